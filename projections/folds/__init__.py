"""The pure folds: events → rows of the read models."""
