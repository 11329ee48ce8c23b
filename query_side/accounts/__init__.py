"""Accounts: lists of them, their policies, their balances at any point, and what changed them."""
