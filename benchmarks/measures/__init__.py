"""One module for each measure: it starts its load, and returns the rows of the table."""
