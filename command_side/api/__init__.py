"""From a request to a command, and from an outcome to an answer."""
