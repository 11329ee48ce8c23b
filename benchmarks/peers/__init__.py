"""What Daybook is measured against, on the same machine in the same run."""
