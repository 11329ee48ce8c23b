"""One ledger compared from four sides: log, read models, queue, bank statements."""
