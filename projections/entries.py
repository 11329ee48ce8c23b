"""Fold: the entries of a transaction, each with its account's balance after it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from events.vocabulary import Recorded, Side, TransferPosted
from projections.balances import AccountKey, Balance


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One side of a posting in an account's ledger; a row of `read.entries`, field by column.

    Amounts in minor units; `amount` is the posting's own text.
    """

    ledger: str
    account_id: str
    position: int
    line: int
    transaction_id: UUID
    side: Side
    amount: str
    currency: str
    balance: int
    recorded_at: datetime


def fold(recorded: Recorded, balances: Mapping[AccountKey, Balance]) -> list[Entry]:
    """Return the entries of one event, given the balances *after* it.

    Lines count 0, 1, 2 … through the postings, debit before credit. An account that stands in
    several postings of one transaction shows its final balance on each line.
    """
    event = recorded.event
    if not isinstance(event, TransferPosted):
        return []
    return [
        Entry(
            event.ledger,
            account_id,
            recorded.position,
            2 * index + offset,
            recorded.originator_id,
            side,
            posting.amount,
            posting.currency,
            balances[event.ledger, account_id].balance,
            event.recorded_at,
        )
        for index, posting in enumerate(event.postings)
        for offset, (side, account_id) in enumerate(
            ((Side.DEBIT, posting.debit), (Side.CREDIT, posting.credit))
        )
    ]
