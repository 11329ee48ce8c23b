"""What a client may send, and the command that it asks for."""
