"""A transaction as its own event tells it: what the read side shows of it before anything follows.

The read side has it from its rows; a test holds the two together.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from events import money
from events.schema import Schema
from events.vocabulary import (
    HoldPlaced,
    Kind,
    Posting,
    Recorded,
    TransactionEvent,
    TransferScheduled,
)

# What `about` is called, by the kind of transaction that refers to it.
_ABOUT = {
    Kind.REFUND: "refund_of",
    Kind.CAPTURE: "hold_id",
    Kind.VOID: "hold_id",
    Kind.CANCELLATION: "scheduled_id",
}
_OF_LINES = (Kind.REFUND, Kind.CAPTURE, Kind.VOID)


def transaction(recorded: Recorded, schema: Schema) -> dict[str, Any]:
    """Return a transaction that was not refused."""
    event = recorded.event
    assert isinstance(event, TransactionEvent)
    totals = _totals(event.postings)
    currency = event.postings[0].currency
    view: dict[str, Any] = {
        "id": recorded.originator_id,
        "kind": event.kind,
        "status": event.stage,
        "source_account_id": _shared([posting.debit for posting in event.postings]),
        "destination_account_id": _shared([posting.credit for posting in event.postings]),
        **_amount(totals[currency], currency, schema),
        "currency": currency,
        "postings": [_posting(event.kind, posting, schema) for posting in event.postings],
        "description": event.description,
        "reference": event.reference,
        "metadata": event.metadata,
        "rate": event.rate,
        "refund_of": None,
        "effective_at": event.effective_at or event.recorded_at,
        "position": recorded.position,
        "created_at": event.recorded_at,
    }
    if event.about is not None:
        view[_ABOUT[event.kind]] = event.about
    if isinstance(event, HoldPlaced) and event.expires_at is not None:
        view["expires_at"] = event.expires_at
    if isinstance(event, TransferScheduled):
        view["due_at"] = event.due_at
    if len(totals) > 1:
        view["totals"] = [
            {"currency": currency, **_amount(amount, currency, schema)}
            for currency, amount in totals.items()
        ]
    return view


def _posting(kind: Kind, posting: Posting, schema: Schema) -> dict[str, Any]:
    view = {
        "source_account_id": posting.debit,
        "destination_account_id": posting.credit,
        **_amount(posting.amount_minor, posting.currency, schema),
        "currency": posting.currency,
    }
    return view | ({"line": posting.line} if kind in _OF_LINES else {})


def _totals(postings: Sequence[Posting]) -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for posting in postings:
        totals[posting.currency] += posting.amount_minor
    return totals


def _shared(account_ids: Sequence[str]) -> str | None:
    """Return the account that all postings have on one side, if it is one."""
    return account_ids[0] if len(set(account_ids)) == 1 else None


def _amount(minor: int, currency: str, schema: Schema) -> dict[str, Any]:
    number = money.to_json(minor, schema.decimals(currency))
    return {"amount": number, "amount_minor": str(minor)}
