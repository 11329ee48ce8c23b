"""The budget of a transfer, and what each of its stages costs alone: `make bench-stages`."""
