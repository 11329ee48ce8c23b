"""Somebody else's books: statements of banks and processors, matched with ours."""
