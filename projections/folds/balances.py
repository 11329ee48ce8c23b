"""The four counters of an account. Pure."""

from datetime import datetime

import msgspec

AccountKey = tuple[str, str]


class Balance(msgspec.Struct, array_like=True, gc=False):
    """A row of `read.balances`, column by column: counters in minor units, as of `position`.

    Changed in place: folds are hot.
    """

    ledger: str
    account_id: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    position: int
    as_of: datetime
