"""How the API shows a transaction, as the command side answers and the query side reads. Pure.

    a row of read.transactions  ──of_row────▶ TransactionFacts ──answer──▶ Transaction
    the event of a command      ──of_event──▶

Every amount goes out twice: in units, as an exact JSON number, and in minor units, as a string.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct

from events import money
from events.answers import CurrencyTotal, PostingView, Related, Transaction
from events.schema import Schema
from events.types import (
    Kind,
    Metadata,
    Posting,
    Rate,
    Recorded,
    Stage,
    Summary,
    TransactionEvent,
    due_at,
    summary_of,
)
from runtime.sql import Row

# Only these refer to the lines of an earlier transaction.
_OF_LINES = (Kind.REFUND, Kind.CAPTURE, Kind.VOID)
_POSTINGS = msgspec.json.Decoder(tuple[Posting, ...], strict=False)


class TransactionFacts(Struct, frozen=True, kw_only=True):
    """What there is to show of a transaction, wherever it was read.

    `used` is how much of each posting was refunded or captured. `changed_at` and `changed_position`
    are of the last event that changed the transaction's state, if any did.
    """

    transaction_id: UUID
    kind: Kind
    stage: Stage
    summary: Summary
    postings: tuple[Posting, ...]
    used: Sequence[int]
    description: str | None
    reference: str | None
    metadata: Metadata | None
    rate: Rate | None
    about: UUID | None
    due_at: datetime | None
    effective_at: datetime | None
    recorded_at: datetime
    position: int | None
    code: str | None = None
    detail: str | None = None
    changed_at: datetime | None = None
    changed_position: int | None = None


def of_row(row: Row) -> TransactionFacts:
    """Return the facts of a row of `read.transactions`, joined with its row of `read.standings`."""
    postings = postings_of(row)
    return TransactionFacts(
        transaction_id=row["transaction_id"],
        kind=Kind(row["kind"]),
        stage=Stage(row["status"]),
        summary=Summary(
            row["source_account_id"], row["destination_account_id"], row["amount"], row["currency"]
        ),
        postings=postings,
        used=used_of(row, postings),
        description=row["description"],
        reference=row["reference"],
        metadata=parsed(row["metadata"]),
        rate=parsed(row["rate"]),
        about=row["about"],
        due_at=row["due_at"],
        effective_at=row["effective_at"],
        recorded_at=row["recorded_at"],
        position=row["position"],
        code=row["code"],
        detail=row["detail"],
        changed_at=row["changed_at"],
        changed_position=row["changed_position"],
    )


def of_event(recorded: Recorded) -> TransactionFacts:
    """Return the facts of a transaction that has one event, which is not a refusal."""
    event = recorded.event
    assert isinstance(event, TransactionEvent)
    return TransactionFacts(
        transaction_id=recorded.originator_id,
        kind=event.kind,
        stage=event.stage,
        summary=summary_of(event.postings),
        postings=event.postings,
        used=(),
        description=event.description,
        reference=event.reference,
        metadata=event.metadata,
        rate=event.rate,
        about=event.about,
        due_at=due_at(event),
        effective_at=event.effective_at,
        recorded_at=event.recorded_at,
        position=recorded.position,
    )


def answer(
    facts: TransactionFacts, schema: Schema, related: Iterable[Row] | None = None
) -> Transaction:
    """Return a transaction as the API shows it; `related` are the rows that refer to it."""
    summary = facts.summary
    decimals = 0 if summary.currency is None else schema.decimals(summary.currency)
    return Transaction(
        id=facts.transaction_id,
        kind=facts.kind,
        status=facts.stage,
        source_account_id=summary.source,
        destination_account_id=summary.destination,
        **money.fields(decimals, amount=summary.amount_minor),
        currency=summary.currency,
        postings=_postings(facts, schema),
        description=facts.description,
        reference=facts.reference,
        metadata=facts.metadata,
        rate=facts.rate,
        effective_at=facts.effective_at or facts.recorded_at,
        position=facts.position,
        created_at=facts.recorded_at,
        **_about(facts),
        **_totals(facts, schema),
        code=_or_unset(facts.code),
        detail=_or_unset(facts.detail),
        changed_at=_or_unset(facts.changed_at),
        changed_position=_or_unset(facts.changed_position),
        related=UNSET
        if related is None
        else [
            Related(other["transaction_id"], Kind(other["kind"]), Stage(other["status"]))
            for other in related
        ],
    )


def postings_of(row: Row) -> tuple[Posting, ...]:
    """Return a transaction's postings. The row has none where its summary says it all."""
    if row["postings"] is not None:
        return _POSTINGS.decode(row["postings"])
    if row["amount"] is None:
        return ()
    source, destination = row["source_account_id"], row["destination_account_id"]
    return (Posting(source, destination, row["amount"], row["currency"]),)


def used_of(row: Row, postings: Sequence[Posting]) -> list[int]:
    """Return how much of each posting was refunded or captured."""
    used = row["used"] or []
    return [used[line] if line < len(used) else 0 for line in range(len(postings))]


def parsed(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON in a column of text."""
    return None if text is None else msgspec.json.decode(text)


def _about(facts: TransactionFacts) -> dict[str, Any]:
    """Return the fields that name the earlier transaction, and when this one comes due."""
    about, due = facts.about, _or_unset(facts.due_at)
    made: dict[str, Any] = {"refund_of": None}
    match facts.kind:
        case Kind.REFUND:
            made["refund_of"] = about
        case Kind.CAPTURE | Kind.VOID:
            made["hold_id"] = _or_unset(about)
        case Kind.CANCELLATION:
            made["scheduled_id"] = _or_unset(about)
        case Kind.HOLD:
            return made | {"expires_at": due}
        case _:
            pass
    return made | {"due_at": due}


def _postings(facts: TransactionFacts, schema: Schema) -> list[PostingView]:
    shown = []
    for number, posting in enumerate(facts.postings):
        decimals = schema.decimals(posting.currency)
        used = facts.used[number] if facts.used else 0
        shown.append(
            PostingView(
                source_account_id=posting.debit,
                destination_account_id=posting.credit,
                **money.fields(decimals, amount=posting.amount_minor),
                currency=posting.currency,
                line=posting.line if facts.kind in _OF_LINES else UNSET,
                **(money.fields(decimals, **{_use(facts): used}) if used else {}),
            )
        )
    return shown


def _totals(facts: TransactionFacts, schema: Schema) -> dict[str, Any]:
    """Return what was refunded or captured; of several currencies, also the totals of each.

    The figure beside the transaction's own amount is in the currency of that amount, too.
    """
    amounts: dict[str, int] = {}
    uses: dict[str, int] = {}
    for number, posting in enumerate(facts.postings):
        currency = posting.currency
        amounts[currency] = amounts.get(currency, 0) + posting.amount_minor
        if facts.used:
            uses[currency] = uses.get(currency, 0) + facts.used[number]
    any_used = any(uses.values())

    def used_of_currency(currency: str) -> dict[str, Any]:
        if not any_used:
            return {}
        return money.fields(schema.decimals(currency), **{_use(facts): uses[currency]})

    made: dict[str, Any] = {}
    if facts.summary.currency is not None:
        made |= used_of_currency(facts.summary.currency)
    if len(amounts) > 1:
        made["totals"] = [
            CurrencyTotal(
                currency=currency,
                **money.fields(schema.decimals(currency), amount=total),
                **used_of_currency(currency),
            )
            for currency, total in amounts.items()
        ]
    return made


def _use(facts: TransactionFacts) -> str:
    return "captured" if facts.kind is Kind.HOLD else "refunded"


def _or_unset(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    return UNSET if value is None else value
