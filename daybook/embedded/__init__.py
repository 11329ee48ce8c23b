"""Daybook and its servers on one machine, started and supervised by one process."""
