"""A ledger seen from four sides: compare them, show them, do it behind the scenes for HTTP."""
