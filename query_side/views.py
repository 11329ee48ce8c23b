"""What the read API answers with. Amounts go out in units (exact JSON numbers) and minor units."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from events import codec, money, transaction_view
from events.schema import Schema
from events.types import Kind, Recorded, Side, Stage
from runtime.sql import Row

View = dict[str, Any]

_COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")


def polled(row: Row, schema: Schema) -> View:
    """Return what became of a submission: FAILED if it was refused, at once or when it was due."""
    failed = row["status"] == Stage.FAILED
    return {
        "status": Stage.FAILED if failed else Stage.COMPLETED,
        "idempotencyKey": row["idempotency_key"],
        "result": transaction_view.answer(transaction_view.of_row(row), schema),
    }


def account(row: Row, schema: Schema) -> View:
    """Return an account's policy."""
    limit = row["overdraft_limit"]
    decimals = schema.decimals(row["currency"])
    return {
        "account_id": row["account_id"],
        "class": row["account_class"],
        "type": row["account_type"],
        "currency": row["currency"],
        "normal_side": row["normal_side"],
        "overdraft": "unlimited" if limit is None else money.to_text(limit, decimals),
        "status": row["status"],
        "version": row["version"],
        "metadata": transaction_view.parsed(row["metadata"]),
        "opened_at": row["opened_at"],
    }


def balance(row: Row, schema: Schema) -> View:
    """Return the four counters, the balance they make, and what of it is available."""
    minor = _balances(row) | {name: row[name] for name in _COUNTERS}
    decimals = schema.decimals(row["currency"])
    view: View = {"account_id": row["account_id"], "currency": row["currency"]}
    for name, value in minor.items():
        view |= money.fields(decimals, **{name: value})
    return view | {"position": row["position"], "as_of": row["as_of"]}


def entry(row: Row, schema: Schema) -> View:
    """Return one line of an account's ledger, with the account's balance after it."""
    decimals = schema.decimals(row["currency"])
    view = {
        "account_id": row["account_id"],
        "position": row["position"],
        "line": row["line"],
        "transaction_id": row["transaction_id"],
        "kind": row["kind"],
        "side": row["side"],
        **money.fields(decimals, amount=row["amount"]),
        "currency": row["currency"],
    }
    for name, value in _balances(row).items():
        view |= money.fields(decimals, **{name: value})
    return view | {
        "effective_at": row["effective_at"] or row["recorded_at"],
        "recorded_at": row["recorded_at"],
    }


def books(row: Row | None) -> View:
    """Return until when a ledger's books are closed, and where it says so; null twice if never."""
    if row is None:
        return {"closed_before": None, "position": None}
    return {"closed_before": row["closed_before"], "position": row["position"]}


def event(recorded: Recorded) -> View:
    """Return one event of the log, as it was recorded."""
    return {
        "position": recorded.position,
        "stream_id": recorded.originator_id,
        "version": recorded.version,
        "type": recorded.event.topic,
        "recorded_at": recorded.event.recorded_at,
        "data": codec.as_written(recorded.event),
    }


def verification(row: Row, entries: Sequence[Row]) -> View:
    """Return a transaction's entries, and whether they are what it should have made.

    Balanced: of every kind of entry and every currency, debits = credits = what its postings say.
    """
    totals: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: {"debit": 0, "credit": 0})
    for line in entries:
        totals[line["kind"], line["currency"]][line["side"]] += line["amount"]
    expected = _expected(row)
    return {
        "transaction_id": row["transaction_id"],
        "balanced": totals.keys() == expected.keys()
        and all(
            total["debit"] == total["credit"] == expected[key] for key, total in totals.items()
        ),
        "totals": [
            {
                "kind": kind,
                "currency": currency,
                "debits_minor": str(total["debit"]),
                "credits_minor": str(total["credit"]),
            }
            for (kind, currency), total in totals.items()
        ],
        "entries": [
            {
                "account_id": line["account_id"],
                "kind": line["kind"],
                "side": line["side"],
                "amount_minor": str(line["amount"]),
                "currency": line["currency"],
            }
            for line in entries
        ],
    }


def _expected(row: Row) -> dict[tuple[str, str], int]:
    """Return how much of each kind of entry and currency the transaction's own events made."""
    postings = transaction_view.postings_of(row)
    amounts = [posting.amount_minor for posting in postings]
    used = transaction_view.used_of(row, postings)
    left = [amount - gone for amount, gone in zip(amounts, used, strict=True)]
    made: list[tuple[str, list[int]]] = []
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
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for kind, figures in made:
        for posting, amount in zip(postings, figures, strict=True):
            if amount:
                expected[kind, posting.currency] += amount
    return expected


def _balances(row: Row) -> dict[str, int]:
    posted = row["credits_posted"] - row["debits_posted"]
    if row["normal_side"] == Side.CREDIT:
        return {"balance": posted, "available": posted - row["debits_pending"]}
    return {"balance": -posted, "available": -posted - row["credits_pending"]}
