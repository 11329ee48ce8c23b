"""Transactions: lists of them, what became of a submission, and proof that each one balances."""
