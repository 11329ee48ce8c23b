"""All read models anew, beside the live ones: folded from the log, compared, swapped in."""
