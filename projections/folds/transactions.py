"""Fold: one row per submitted transaction as its first event says it, refused ones too. Pure."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

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


class Transaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `read.transactions`, field by column; `amount` is text of minor units.

    Source and destination are there if all postings share them; the amount is that of all postings
    in the first one's currency.
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
    amount: str | None
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


def fold(recorded: Recorded) -> Transaction | None:
    """Return the transaction that `recorded` begins, or None if it begins none.

    A refusal that came before the accounts were known names no accounts and no amount.
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
    return Transaction(
        recorded.originator_id,
        event.ledger,
        recorded.position,
        event.key,
        event.kind,
        event.stage,
        code,
        detail,
        *summary_of(event.postings),
        _beyond_summary(event.postings),
        event.description,
        event.reference,
        None if event.metadata is None else _text(event.metadata),
        None if event.rate is None else _text(event.rate),
        event.about,
        due_at,
        event.effective_at,
        event.recorded_at,
    )


def _beyond_summary(postings: Sequence[Posting]) -> str | None:
    """Return postings that the summary does not say it all of: several, or one of a later line."""
    if len(postings) == 1 and postings[0].line == 0:
        return None
    return _text(postings) if postings else None


def _text(value: object) -> str:
    return _ENCODER.encode(value).decode()
