"""The four counters of an account. Pure."""

from datetime import datetime

import msgspec

from events.vocabulary import Side

AccountKey = tuple[str, str]


class Balance(msgspec.Struct):
    """One account's counters, in minor units, as of `position`. Changed in place: folds are hot."""

    ledger: str
    account_id: str
    position: int
    as_of: datetime
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    def move(self, side: Side, posted: int, pending: int) -> None:
        """Add to the counters of `side`; what is released is a negative `pending`."""
        if side is Side.DEBIT:
            self.debits_posted += posted
            self.debits_pending += pending
        else:
            self.credits_posted += posted
            self.credits_pending += pending
