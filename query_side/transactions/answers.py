"""What the routes of transactions answer with. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal
from uuid import UUID

from msgspec import Struct

from events import transaction_view
from events.answers import Polled, Transaction
from events.money import Minor
from events.schema import Schema
from events.types import Kind, Side, Stage
from query_side.counters import Movement
from runtime.sql import Row


class Processing(Struct):
    """In the log, and not yet in the read models."""

    status: Literal["PROCESSING"]
    idempotencyKey: str  # noqa: N815 - the API's own spelling


class Transactions(Struct):
    """Transactions, newest first. Only `next: null` is the end; `previous` finds newer ones."""

    items: list[Transaction]
    next: str | None
    previous: str


class VerifiedTotal(Struct):
    """The sums of one kind of entry in one currency."""

    kind: Movement
    currency: str
    debits_minor: Minor
    credits_minor: Minor


class VerifiedEntry(Struct):
    """An entry of the transaction's own events."""

    account_id: str
    kind: Movement
    side: Side
    amount_minor: Minor
    currency: str


class Verification(Struct):
    """Whether debits equal credits, and both equal what the postings say."""

    transaction_id: UUID
    balanced: bool
    totals: list[VerifiedTotal]
    entries: list[VerifiedEntry]


def transaction(row: Row, schema: Schema, related: Iterable[Row] | None = None) -> Transaction:
    """Return a transaction as it stands; `related` are the rows that refer to it."""
    return transaction_view.answer(transaction_view.of_row(row), schema, related)


def polled(row: Row, schema: Schema) -> Polled:
    """Return what became of a submission."""
    failed = row["status"] == Stage.FAILED
    return Polled(
        "FAILED" if failed else "COMPLETED", row["idempotency_key"], transaction(row, schema)
    )


def verification(row: Row, entries: Sequence[Row]) -> Verification:
    """Return a transaction's entries, and whether they are those that it should have made.

    A transaction is balanced if, for every kind of entry and every currency, its debits and its
    credits are both what its postings say.
    """
    totals: dict[tuple[Movement, str], dict[Side, int]] = defaultdict(
        lambda: dict.fromkeys(Side, 0)
    )
    for entry in entries:
        totals[entry["kind"], entry["currency"]][Side(entry["side"])] += entry["amount"]
    expected = _expected(row)
    return Verification(
        row["transaction_id"],
        totals.keys() == expected.keys()
        and all(
            total[Side.DEBIT] == total[Side.CREDIT] == expected[key]
            for key, total in totals.items()
        ),
        [
            VerifiedTotal(kind, currency, str(total[Side.DEBIT]), str(total[Side.CREDIT]))
            for (kind, currency), total in totals.items()
        ],
        [
            VerifiedEntry(
                entry["account_id"],
                entry["kind"],
                Side(entry["side"]),
                str(entry["amount"]),
                entry["currency"],
            )
            for entry in entries
        ],
    )


def _expected(row: Row) -> dict[tuple[Movement, str], int]:
    """Return how much of each kind of entry and currency the transaction's own events made."""
    postings = transaction_view.postings_of(row)
    amounts = [posting.amount_minor for posting in postings]
    used = transaction_view.used_of(row, postings)
    left = [amount - gone for amount, gone in zip(amounts, used, strict=True)]
    made: list[tuple[Movement, list[int]]] = []
    match Kind(row["kind"]), Stage(row["status"]):
        case (_, Stage.FAILED | Stage.SCHEDULED | Stage.CANCELLED) | (Kind.CANCELLATION, _):
            pass
        case Kind.HOLD, Stage.EXPIRED:
            made = [("held", amounts), ("released", left)]
        case Kind.HOLD, _:
            made = [("held", amounts)]
        case Kind.VOID, _:
            made = [("released", amounts)]
        case _:
            made = [("posted", amounts)]
    expected: dict[tuple[Movement, str], int] = defaultdict(int)
    for kind, figures in made:
        for posting, amount in zip(postings, figures, strict=True):
            if amount:
                expected[kind, posting.currency] += amount
    return expected
