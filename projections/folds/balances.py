"""The four counters of an account. Pure."""

from datetime import datetime

import msgspec

AccountKey = tuple[str, str]


class BalanceRow(msgspec.Struct, array_like=True, gc=False):
    """A row of `read.balances`: counters in minor units, as of `position`.

    Folds change it in place, because a new row for each line would be slower.
    """

    ledger: str
    account_id: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    position: int
    as_of: datetime
