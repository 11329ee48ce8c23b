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
from msgspec import Struct

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

# The field that names the earlier transaction, by the kind of transaction that refers to it.
_ABOUT = {
    Kind.REFUND: "refund_of",
    Kind.CAPTURE: "hold_id",
    Kind.VOID: "hold_id",
    Kind.CANCELLATION: "scheduled_id",
}
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
    source, destination, amount, currency = facts.summary
    shown = Transaction(
        id=facts.transaction_id,
        kind=facts.kind,
        status=facts.stage,
        source_account_id=source,
        destination_account_id=destination,
        amount=None,
        amount_minor=None,
        currency=currency,
        postings=[_posting(facts, number, schema) for number in range(len(facts.postings))],
        description=facts.description,
        reference=facts.reference,
        metadata=facts.metadata,
        rate=facts.rate,
        refund_of=None,
        effective_at=facts.effective_at or facts.recorded_at,
        position=facts.position,
        created_at=facts.recorded_at,
    )
    if amount is not None and currency is not None:
        _show(shown, "amount", amount, schema.decimals(currency))
    _show_about(shown, facts)
    _show_totals(shown, facts, schema)
    if facts.code is not None and facts.detail is not None:
        shown.code, shown.detail = facts.code, facts.detail
    if facts.changed_at is not None and facts.changed_position is not None:
        shown.changed_at, shown.changed_position = facts.changed_at, facts.changed_position
    if related is not None:
        shown.related = [
            Related(other["transaction_id"], Kind(other["kind"]), Stage(other["status"]))
            for other in related
        ]
    return shown


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


def _show(
    shown: Transaction | PostingView | CurrencyTotal, name: str, minor: int, decimals: int
) -> None:
    """Set an amount in units, and the same in minor units."""
    setattr(shown, name, money.to_json(minor, decimals))
    setattr(shown, f"{name}_minor", str(minor))


def _show_about(shown: Transaction, facts: TransactionFacts) -> None:
    """Name the earlier transaction, and the time when this one comes due."""
    if facts.about is not None:
        setattr(shown, _ABOUT[facts.kind], facts.about)
    if facts.due_at is not None:
        setattr(shown, "expires_at" if facts.kind is Kind.HOLD else "due_at", facts.due_at)


def _posting(facts: TransactionFacts, number: int, schema: Schema) -> PostingView:
    posting = facts.postings[number]
    decimals = schema.decimals(posting.currency)
    shown = PostingView(
        source_account_id=posting.debit,
        destination_account_id=posting.credit,
        amount=money.to_json(posting.amount_minor, decimals),
        amount_minor=str(posting.amount_minor),
        currency=posting.currency,
    )
    if facts.kind in _OF_LINES:
        shown.line = posting.line
    if facts.used and facts.used[number]:
        _show(shown, _use(facts), facts.used[number], decimals)
    return shown


def _show_totals(shown: Transaction, facts: TransactionFacts, schema: Schema) -> None:
    """Show what was refunded or captured, and of several currencies the totals of each.

    The figure beside the transaction's own amount is in the currency of that amount, too.
    """
    used = any(facts.used)
    if len(facts.postings) == 1 and not used:
        return
    amounts: dict[str, int] = {}
    uses: dict[str, int] = {}
    for number, posting in enumerate(facts.postings):
        currency = posting.currency
        amounts[currency] = amounts.get(currency, 0) + posting.amount_minor
        if used:
            uses[currency] = uses.get(currency, 0) + facts.used[number]
    if used and facts.summary.currency is not None:
        currency = facts.summary.currency
        _show(shown, _use(facts), uses[currency], schema.decimals(currency))
    if len(amounts) > 1:
        shown.totals = []
        for currency, total in amounts.items():
            decimals = schema.decimals(currency)
            of_currency = CurrencyTotal(
                currency=currency, amount=money.to_json(total, decimals), amount_minor=str(total)
            )
            if used:
                _show(of_currency, _use(facts), uses[currency], decimals)
            shown.totals.append(of_currency)


def _use(facts: TransactionFacts) -> str:
    return "captured" if facts.kind is Kind.HOLD else "refunded"
