"""What an account came to: balances at any point, differences, statements, the trial balance.

    asking ─▶ points ─▶ difference, statement, trial_balance ─▶ views, as_json, as_csv, as_camt053

Entries are only ever added, and an entry up to a position that was passed never changes. So a point
is a position, and pages that are read one after the other, up to the same position, are as true of
each other as if they had been read in one transaction; nothing is held open while a client reads.
"""
