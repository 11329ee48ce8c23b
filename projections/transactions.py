"""Fold: one row per submitted transaction, refused ones included. Pure."""

from datetime import datetime
from uuid import UUID

import msgspec

from events.vocabulary import Recorded, TransferPosted, TransferRejected

COMPLETED, FAILED = "COMPLETED", "FAILED"
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """A row of `read.transactions`, field by column; `amount` is text of minor units."""

    transaction_id: UUID
    ledger: str
    position: int
    idempotency_key: str
    kind: str
    status: str
    code: str | None
    detail: str | None
    source_account_id: str | None
    destination_account_id: str | None
    amount: str | None
    currency: str | None
    description: str | None
    metadata: str | None
    refund_of: UUID | None
    recorded_at: datetime


def fold(recorded: Recorded) -> Transaction | None:
    """Return the transaction that `recorded` is, or None if it is about something else.

    A refund that was refused before its original was found names no accounts and no amount.
    """
    event = recorded.event
    if not isinstance(event, TransferPosted | TransferRejected):
        return None
    refused = event if isinstance(event, TransferRejected) else None
    first = event.postings[0] if event.postings else None
    return Transaction(
        recorded.originator_id,
        event.ledger,
        recorded.position,
        event.key,
        "transfer" if event.refund_of is None else "refund",
        COMPLETED if refused is None else FAILED,
        None if refused is None else refused.code,
        None if refused is None else refused.detail,
        None if first is None else first.debit,
        None if first is None else first.credit,
        None if first is None else first.amount,
        None if first is None else first.currency,
        event.description,
        None if event.metadata is None else _ENCODER.encode(event.metadata).decode(),
        event.refund_of,
        event.recorded_at,
    )
