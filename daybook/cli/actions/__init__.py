"""What commands do and how they print their results; imported when a command runs."""
