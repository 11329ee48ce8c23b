"""Statements of accounts, and the trial balance of a ledger.

    parameters ─▶ points ─▶ statement, trial_balance ─▶ answers, as_json, as_csv, as_camt053

Entries are only ever added, and an entry up to a projected position never changes. So a point is a
position, and pages that are read one after the other up to one position are as consistent as pages
that are read in one transaction. No transaction is held open while a client reads.
"""
