"""Group commit: from waiting commands to one transaction of the log."""
