"""What happened: the event vocabulary, the log, and the auditor's replay."""
