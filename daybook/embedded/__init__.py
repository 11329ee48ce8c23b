"""The embedded default: real servers on one machine, started and supervised."""
