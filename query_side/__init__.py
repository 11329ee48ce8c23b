"""What does it look like? Read models over HTTP."""
