"""Bank statements: read in any format, matched with our entries, and reviewed."""
