"""What readers need: pure folds of the log, and the rows they become."""
