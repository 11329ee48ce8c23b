"""One module a measure: each starts its load, and returns what was seen."""
