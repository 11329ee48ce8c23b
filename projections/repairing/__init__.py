"""From the log back into the views: plan which rows to mend, mend them at once, check again."""
