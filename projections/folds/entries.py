"""Fold: the entries of an event, and the counters that they move, line by line. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from events.vocabulary import (
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Recorded,
    Side,
    TransferPosted,
)
from projections.folds.balances import AccountKey, Balance


class Movement(StrEnum):
    """What an entry does to its amount: post it, reserve it, or let it go again."""

    POSTED = "posted"
    HELD = "held"
    RELEASED = "released"


Moving = TransferPosted | HoldPlaced | HoldVoided | HoldExpired


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One side of a posting in an account's ledger; a row of `read.entries`, field by column.

    Amounts in minor units; `amount` is the posting's own text. The counters are the account's after
    this line.
    """

    ledger: str
    account_id: str
    position: int
    line: int
    transaction_id: UUID
    kind: Movement
    side: Side
    amount: str
    currency: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    recorded_at: datetime
    effective_at: datetime | None


def fold(recorded: Recorded, balances: Mapping[AccountKey, Balance]) -> list[Entry]:
    """Return the entries of one event, and bring the `balances` of its accounts up to date.

    Lines count 0, 1, 2 … through the postings, debit before credit. A capture posts what it takes
    out of the hold.
    """
    event = recorded.event
    if not isinstance(event, Moving):
        return []
    kind, posts, holds = _effect(event)
    effective_at = event.effective_at if isinstance(event, TransferPosted) else None
    made = []
    line = 0
    for posting in event.postings:
        amount = posting.amount_minor
        for side, account_id in ((Side.DEBIT, posting.debit), (Side.CREDIT, posting.credit)):
            balance = balances[event.ledger, account_id]
            balance.move(side, posts * amount, holds * amount)
            balance.position = recorded.position
            balance.as_of = event.recorded_at
            made.append(
                Entry(
                    event.ledger,
                    account_id,
                    recorded.position,
                    line,
                    recorded.originator_id,
                    kind,
                    side,
                    posting.amount,
                    posting.currency,
                    balance.debits_posted,
                    balance.credits_posted,
                    balance.debits_pending,
                    balance.credits_pending,
                    event.recorded_at,
                    effective_at,
                )
            )
            line += 1
    return made


def _effect(event: Moving) -> tuple[Movement, int, int]:
    """Return the movement, and the signs of what is posted and of what is held."""
    match event:
        case TransferPosted():
            return Movement.POSTED, 1, -1 if event.kind is Kind.CAPTURE else 0
        case HoldPlaced():
            return Movement.HELD, 0, 1
        case HoldVoided() | HoldExpired():
            return Movement.RELEASED, 0, -1
