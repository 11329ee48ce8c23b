"""The log against every view of it: compare, name each difference, keep the result."""
