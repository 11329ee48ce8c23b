"""What happened: the event types, the log, and its readers' checkpoints."""
