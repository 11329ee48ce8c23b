"""What the read API answers with. Amounts go out in units (exact JSON numbers) and minor units."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from events import money
from events.schema import Schema
from events.vocabulary import Kind, Posting, Recorded, Side, Stage
from runtime.sql import Row

View = dict[str, Any]

# What `about` is called, by the kind of transaction that refers to it.
_ABOUT = {
    Kind.REFUND: "refund_of",
    Kind.CAPTURE: "hold_id",
    Kind.VOID: "hold_id",
    Kind.CANCELLATION: "scheduled_id",
}
_COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
_POSTINGS = msgspec.json.Decoder(tuple[Posting, ...])


def transaction(row: Row, schema: Schema, related: Iterable[Row] | None = None) -> View:
    """Return a transaction as it stands; `related` are those that refer to it.

    What only some have is only there if they have it, but for `refund_of`.
    """
    postings = _postings(row)
    used = _used(row, postings)
    view = {
        "id": row["transaction_id"],
        "kind": row["kind"],
        "status": row["status"],
        "source_account_id": row["source_account_id"],
        "destination_account_id": row["destination_account_id"],
        **_amount("amount", row["amount"], row["currency"], schema),
        "currency": row["currency"],
        "postings": [
            _posting(row, posting, amount, schema)
            for posting, amount in zip(postings, used, strict=True)
        ],
        "description": row["description"],
        "reference": row["reference"],
        "metadata": _json(row["metadata"]),
        "rate": _json(row["rate"]),
        "refund_of": None,
        "effective_at": row["effective_at"] or row["recorded_at"],
        "position": row["position"],
        "created_at": row["recorded_at"],
    }
    if row["about"] is not None:
        view[_ABOUT[row["kind"]]] = row["about"]
    if row["due_at"] is not None:
        view["expires_at" if row["kind"] == Kind.HOLD else "due_at"] = row["due_at"]
    view |= _totals(row, postings, used, schema)
    if row["code"] is not None:
        view |= {"code": row["code"], "detail": row["detail"]}
    if row["changed_at"] is not None:
        view |= {"changed_at": row["changed_at"], "changed_position": row["changed_position"]}
    if related is not None:
        view["related"] = [
            {"id": other["transaction_id"], "kind": other["kind"], "status": other["status"]}
            for other in related
        ]
    return view


def polled(row: Row, schema: Schema) -> View:
    """Return what became of a submission: FAILED if it was refused, at once or when it was due."""
    failed = row["status"] == Stage.FAILED
    return {
        "status": Stage.FAILED if failed else Stage.COMPLETED,
        "idempotencyKey": row["idempotency_key"],
        "result": transaction(row, schema),
    }


def _postings(row: Row) -> tuple[Posting, ...]:
    """Return a transaction's postings; of one that is like its summary, the row keeps no other."""
    if row["postings"] is not None:
        return _POSTINGS.decode(row["postings"])
    if row["amount"] is None:
        return ()
    source, destination = row["source_account_id"], row["destination_account_id"]
    return (Posting(source, destination, str(row["amount"]), row["currency"]),)


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
        "metadata": _json(row["metadata"]),
        "opened_at": row["opened_at"],
    }


def balance(row: Row, schema: Schema) -> View:
    """Return the four counters, the balance they make, and what of it is available."""
    minor = _balances(row) | {name: row[name] for name in _COUNTERS}
    view: View = {"account_id": row["account_id"], "currency": row["currency"]}
    for name, value in minor.items():
        view |= _amount(name, value, row["currency"], schema)
    return view | {"position": row["position"], "as_of": row["as_of"]}


def entry(row: Row, schema: Schema) -> View:
    """Return one line of an account's ledger, with the account's balance after it."""
    view = {
        "account_id": row["account_id"],
        "position": row["position"],
        "line": row["line"],
        "transaction_id": row["transaction_id"],
        "kind": row["kind"],
        "side": row["side"],
        **_amount("amount", row["amount"], row["currency"], schema),
        "currency": row["currency"],
    }
    for name, value in _balances(row).items():
        view |= _amount(name, value, row["currency"], schema)
    return view | {
        "effective_at": row["effective_at"] or row["recorded_at"],
        "recorded_at": row["recorded_at"],
    }


def event(recorded: Recorded) -> View:
    """Return one event of the log, as it was recorded."""
    return {
        "position": recorded.position,
        "stream_id": recorded.originator_id,
        "version": recorded.version,
        "type": recorded.event.topic,
        "recorded_at": recorded.event.recorded_at,
        "data": recorded.event,
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
    postings = _postings(row)
    amounts = [posting.amount_minor for posting in postings]
    left = [amount - used for amount, used in zip(amounts, _used(row, postings), strict=True)]
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


def _posting(row: Row, posting: Posting, used: int, schema: Schema) -> View:
    view = {
        "source_account_id": posting.debit,
        "destination_account_id": posting.credit,
        **_amount("amount", posting.amount_minor, posting.currency, schema),
        "currency": posting.currency,
    }
    if row["kind"] in (Kind.REFUND, Kind.CAPTURE, Kind.VOID):
        view["line"] = posting.line
    if used:
        view |= _amount(_use(row), used, posting.currency, schema)
    return view


def _totals(row: Row, postings: Sequence[Posting], used: Sequence[int], schema: Schema) -> View:
    """Return what was refunded or captured; if there are several currencies, all figures of each.

    What stands beside the transaction's own amount is in its currency, too.
    """
    amounts: dict[str, int] = defaultdict(int)
    uses: dict[str, int] = defaultdict(int)
    for posting, amount in zip(postings, used, strict=True):
        amounts[posting.currency] += posting.amount_minor
        uses[posting.currency] += amount
    view: View = {}
    if any(used):
        view |= _amount(_use(row), uses[row["currency"]], row["currency"], schema)
    if len(amounts) > 1:
        view["totals"] = [
            {
                "currency": currency,
                **_amount("amount", amount, currency, schema),
                **(_amount(_use(row), uses[currency], currency, schema) if any(used) else {}),
            }
            for currency, amount in amounts.items()
        ]
    return view


def _used(row: Row, postings: Sequence[Posting]) -> list[int]:
    """Return how much of each posting was refunded or captured."""
    used = row["used"] or []
    return [used[line] if line < len(used) else 0 for line in range(len(postings))]


def _use(row: Row) -> str:
    return "captured" if row["kind"] == Kind.HOLD else "refunded"


def _balances(row: Row) -> dict[str, int]:
    posted = row["credits_posted"] - row["debits_posted"]
    if row["normal_side"] == Side.CREDIT:
        return {"balance": posted, "available": posted - row["debits_pending"]}
    return {"balance": -posted, "available": -posted - row["credits_pending"]}


def _amount(name: str, minor: int | None, currency: str, schema: Schema) -> View:
    if minor is None:
        return {name: None, f"{name}_minor": None}
    number = money.to_json(minor, schema.decimals(currency))
    return {name: number, f"{name}_minor": str(minor)}


def _json(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    return None if text is None else msgspec.json.decode(text)
