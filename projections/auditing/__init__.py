"""The log against every view of it: compare, name, keep."""
