"""Does every view agree with the log? Replay, reconcile, explain, repair, rebuild."""
