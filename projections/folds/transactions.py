"""Fold: one row for each submitted transaction, as its first event states it. Pure."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events.codec import written
from events.types import (
    FIRST_VERSION,
    HoldPlaced,
    HoldVoided,
    Kind,
    Posting,
    Recorded,
    Stage,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
    summary_of,
)

_ENCODER = msgspec.json.Encoder(order="deterministic")


class TransactionRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `read.transactions`; `amount` is in minor units.

    Source and destination are set if all postings share them. The amount is the sum of all postings
    in the currency of the first one.
    """

    transaction_id: UUID
    ledger: str
    position: int
    idempotency_key: str
    kind: Kind
    stage: Stage
    code: str | None
    detail: str | None
    source_account_id: str | None
    destination_account_id: str | None
    amount: int | None
    currency: str | None
    postings: str | None
    description: str | None
    reference: str | None
    metadata: str | None
    rate: str | None
    about: UUID | None
    due_at: datetime | None
    effective_at: datetime | None
    recorded_at: datetime


def fold(recorded: Recorded) -> TransactionRow | None:
    """Return the transaction that `recorded` begins, or None if it begins none.

    A transaction that was refused before its accounts were known has no accounts and no amount.
    """
    event = recorded.event
    code = detail = due_at = None
    match event:
        case TransferPosted() | HoldVoided() | TransferCancelled():
            pass
        case TransferRejected():
            code, detail = event.code, event.detail
        case HoldPlaced():
            due_at = event.expires_at
        case TransferScheduled():
            due_at = event.due_at
        case _:
            return None
    if recorded.version != FIRST_VERSION:
        return None
    source, destination, amount, currency = summary_of(event.postings)
    return TransactionRow(
        transaction_id=recorded.originator_id,
        ledger=event.ledger,
        position=recorded.position,
        idempotency_key=event.key,
        kind=event.kind,
        stage=event.stage,
        code=code,
        detail=detail,
        source_account_id=source,
        destination_account_id=destination,
        amount=amount,
        currency=currency,
        postings=_beyond_summary(event.postings),
        description=event.description,
        reference=event.reference,
        metadata=None if event.metadata is None else _text(event.metadata),
        rate=None if event.rate is None else _text(event.rate),
        about=event.about,
        due_at=due_at,
        effective_at=event.effective_at,
        recorded_at=event.recorded_at,
    )


def _beyond_summary(postings: Sequence[Posting]) -> str | None:
    """Return postings that the summary columns cannot hold: several, or one with a later line."""
    if len(postings) == 1 and postings[0].line == 0:
        return None
    return _text(written(postings)) if postings else None


def _text(value: object) -> str:
    return _ENCODER.encode(value).decode()
