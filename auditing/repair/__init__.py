"""Repair rows of the views from the log: plan, apply in one transaction, check again."""
