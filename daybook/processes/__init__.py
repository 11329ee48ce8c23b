"""The long-running processes: API servers and workers, each under one loop."""
