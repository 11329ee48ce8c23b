"""The log over HTTP: pages of it, all of it line by line, and new events as they come."""
