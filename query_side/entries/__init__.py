"""Entries: the sides of postings, of a whole ledger or of one account."""
