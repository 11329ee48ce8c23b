"""Fold: the four counters of an account, and the balance they make. Pure."""

from datetime import datetime
from typing import assert_never

import msgspec

from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Recorded,
    Side,
    TransferPosted,
    TransferRejected,
)

AccountKey = tuple[str, str]


class Balance(msgspec.Struct):
    """One account's counters, in minor units, as of `position`. Changed in place: folds are hot."""

    ledger: str
    account_id: str
    normal_side: Side
    position: int
    as_of: datetime
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    @property
    def balance(self) -> int:
        """Posted balance, positive on the normal side."""
        net = self.credits_posted - self.debits_posted
        return net if self.normal_side is Side.CREDIT else -net


def fold(balances: dict[AccountKey, Balance], recorded: Recorded) -> None:
    """Apply one event to the balances that it concerns, all of which must be there."""
    event = recorded.event
    match event:
        case TransferPosted():
            for posting in event.postings:
                amount = posting.amount_minor
                debited = balances[event.ledger, posting.debit]
                debited.debits_posted += amount
                credited = balances[event.ledger, posting.credit]
                credited.credits_posted += amount
                debited.position = credited.position = recorded.position
                debited.as_of = credited.as_of = event.recorded_at
        case AccountOpened():
            balances[event.ledger, event.account_id] = Balance(
                event.ledger,
                event.account_id,
                event.normal_side,
                recorded.position,
                event.recorded_at,
            )
        case AccountChanged() | TransferRejected():
            pass
        case _:
            assert_never(event)
