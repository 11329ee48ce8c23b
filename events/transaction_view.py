"""How a transaction is shown: as the command side answers, and as the query side reads it. Pure.

It is shown from a row of `read.transactions` beside its standing, or from a stand-in for one.
Amounts go out twice, in units (exact JSON numbers) and in minor units (strings).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from events import money
from events.schema import Schema
from events.types import Kind, Posting
from runtime.sql import Row

View = dict[str, Any]

# What `about` is called, by the kind of transaction that refers to it.
_ABOUT = {
    Kind.REFUND: "refund_of",
    Kind.CAPTURE: "hold_id",
    Kind.VOID: "hold_id",
    Kind.CANCELLATION: "scheduled_id",
}
_POSTINGS = msgspec.json.Decoder(tuple[Posting, ...], strict=False)


def transaction(row: Row, schema: Schema, related: Iterable[Row] | None = None) -> View:
    """Return a transaction as it stands; `related` are those that refer to it.

    What only some have is only there if they have it, but for `refund_of`.
    """
    postings = postings_of(row)
    used = used_of(row, postings)
    view = {
        "id": row["transaction_id"],
        "kind": row["kind"],
        "status": row["status"],
        "source_account_id": row["source_account_id"],
        "destination_account_id": row["destination_account_id"],
        **amount("amount", row["amount"], row["currency"], schema),
        "currency": row["currency"],
        "postings": [
            _posting(row, posting, gone, schema)
            for posting, gone in zip(postings, used, strict=True)
        ],
        "description": row["description"],
        "reference": row["reference"],
        "metadata": parsed(row["metadata"]),
        "rate": parsed(row["rate"]),
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


def postings_of(row: Row) -> tuple[Posting, ...]:
    """Return a transaction's postings; of one that is like its summary, the row keeps no other."""
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


def _posting(row: Row, posting: Posting, used: int, schema: Schema) -> View:
    view = {
        "source_account_id": posting.debit,
        "destination_account_id": posting.credit,
        **amount("amount", posting.amount_minor, posting.currency, schema),
        "currency": posting.currency,
    }
    if row["kind"] in (Kind.REFUND, Kind.CAPTURE, Kind.VOID):
        view["line"] = posting.line
    if used:
        view |= amount(_use(row), used, posting.currency, schema)
    return view


def _totals(row: Row, postings: Sequence[Posting], used: Sequence[int], schema: Schema) -> View:
    """Return what was refunded or captured; if there are several currencies, all figures of each.

    What stands beside the transaction's own amount is in its currency, too.
    """
    amounts: dict[str, int] = defaultdict(int)
    uses: dict[str, int] = defaultdict(int)
    for posting, gone in zip(postings, used, strict=True):
        amounts[posting.currency] += posting.amount_minor
        uses[posting.currency] += gone
    view: View = {}
    if any(used):
        view |= amount(_use(row), uses[row["currency"]], row["currency"], schema)
    if len(amounts) > 1:
        view["totals"] = [
            {
                "currency": currency,
                **amount("amount", total, currency, schema),
                **(amount(_use(row), uses[currency], currency, schema) if any(used) else {}),
            }
            for currency, total in amounts.items()
        ]
    return view


def _use(row: Row) -> str:
    return "captured" if row["kind"] == Kind.HOLD else "refunded"


def amount(name: str, minor: int | None, currency: str, schema: Schema) -> View:
    """Return an amount under `name`, in units and in minor units; None is null twice."""
    if minor is None:
        return {name: None, f"{name}_minor": None}
    number = money.to_json(minor, schema.decimals(currency))
    return {name: number, f"{name}_minor": str(minor)}


def parsed(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON in a column of text."""
    return None if text is None else msgspec.json.decode(text)
