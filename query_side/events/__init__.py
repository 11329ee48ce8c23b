"""The log over HTTP: pages of it, all of it line by line, and what is added as it is added."""
