"""How points, differences, statements and the trial balance look in JSON. Pure."""

from collections.abc import Mapping
from typing import Any

from events import money
from events.schema import Schema
from events.types import AccountType, Kind, Side
from query_side.statements.difference import Difference
from query_side.statements.points import Account, Counters, Point
from query_side.statements.statement import Line, Statement
from query_side.statements.trial_balance import Sum, Totals, TrialBalance
from query_side.statements.trial_balance import counters as counters_of
from runtime.sql import Row
from web.times import TICK

COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
# What an entry of each kind adds to its side's posted and pending counters.
SIGNS = {"posted": (1, 0), "held": (0, 1), "released": (0, -1)}
CAPTURED = (1, -1)


def balance(account: Account, counters: Counters, decimals: int) -> dict[str, Any]:
    """Return the four counters, the balance they make, and what of it is available."""
    return {
        "account_id": account.account_id,
        "currency": account.currency,
        **_amounts(_balances(account.normal_side, counters), decimals),
        "position": counters.position,
        "as_of": counters.as_of,
    }


def point(found: Point) -> dict[str, Any]:
    """Return which point was answered: the last position, the last effective moment."""
    before = found.effective_before
    return {
        "at_position": found.known,
        "effective_at": None if before is None else before - TICK,
    }


def difference(found: Difference, decimals: int) -> dict[str, Any]:
    """Return both balances, what lies between them, and the entries that made it so."""
    normal_side = found.account.normal_side
    before, after = (_balances(normal_side, each) for each in (found.before, found.after))
    changed = {name: after[name] - before[name] for name in after}
    return {
        "account_id": found.account.account_id,
        "currency": found.account.currency,
        "from": _amounts(before, decimals) | {"at_position": found.first.known},
        "to": _amounts(after, decimals) | {"at_position": found.last.known},
        "difference": _amounts(changed, decimals),
        "items": [_change(row, found.account.currency, decimals) for row in found.rows],
        "next": found.next_cursor,
    }


def statement(found: Statement, decimals: int) -> dict[str, Any]:
    """Return a statement without its entries."""
    account, period = found.account, found.period
    minor = {
        "opening_balance": found.opening_balance,
        "closing_balance": found.closing_balance,
        "total_debits": found.debits.amount,
        "total_credits": found.credits.amount,
    }
    return {
        "statement_id": found.statement_id,
        "account_id": account.account_id,
        "currency": account.currency,
        "normal_side": account.normal_side,
        "basis": found.basis,
        "from": period.start,
        "to": period.end,
        "at_position": found.known,
        "books_closed": found.books_closed,
        **_amounts(minor, decimals),
        "debit_count": found.debits.entries,
        "credit_count": found.credits.entries,
    }


def line(found: Line, decimals: int) -> dict[str, Any]:
    """Return an entry of a statement, with the balance after it."""
    return {
        "position": found.position,
        "line": found.line,
        "transaction_id": found.transaction_id,
        "kind": found.kind,
        "side": found.side,
        **_amounts({"amount": found.amount, "balance": found.balance}, decimals),
        "recorded_at": found.recorded_at,
        "effective_at": found.effective_at,
        "counterparty_account_id": found.counterparty,
        "reference": found.reference,
        "description": found.description,
    }


def trial_balance(found: TrialBalance, schema: Schema) -> dict[str, Any]:
    """Return the totals of each currency, and a page of the accounts."""
    return {
        **point(found.point),
        "totals": [_totals(each, schema) for each in found.totals],
        "items": [_account(row, schema) for row in found.rows],
        "next": found.next_cursor,
    }


def balance_of_type(account_type: AccountType, found: Sum) -> int:
    """Return what is posted, signed by the side that accounts of the type usually have."""
    posted = found.credits_posted - found.debits_posted
    return posted if account_type.normal_side is Side.CREDIT else -posted


def _balances(normal_side: Side, counters: Counters) -> dict[str, int]:
    return {
        "balance": counters.balance(normal_side),
        "available": counters.available(normal_side),
    } | {name: getattr(counters, name) for name in COUNTERS}


def _amounts(minor: Mapping[str, int], decimals: int) -> dict[str, Any]:
    """Return every amount twice: in units, and in minor units."""
    view: dict[str, Any] = {}
    for name, value in minor.items():
        view[name] = money.to_json(value, decimals)
        view[f"{name}_minor"] = str(value)
    return view


def _change(row: Row, currency: str, decimals: int) -> dict[str, Any]:
    """Return an entry, and what it added to its side's counters."""
    captured = row["kind"] == "posted" and row["transaction_kind"] == Kind.CAPTURE
    posted, pending = CAPTURED if captured else SIGNS[row["kind"]]
    amount = row["amount"]
    minor = {"amount": amount, "posted": posted * amount, "pending": pending * amount}
    return {
        "position": row["position"],
        "line": row["line"],
        "transaction_id": row["transaction_id"],
        "kind": row["transaction_kind"],
        "movement": row["kind"],
        "side": row["side"],
        **_amounts(minor, decimals),
        "currency": currency,
        "recorded_at": row["recorded_at"],
        "effective_at": row["effective_at"] or row["recorded_at"],
        "reference": row["reference"],
        "description": row["description"],
    }


def _totals(found: Totals, schema: Schema) -> dict[str, Any]:
    decimals = schema.decimals(found.currency)
    return {
        "currency": found.currency,
        "balanced": found.everything.balanced,
        **_sum(found.everything, decimals),
        "types": [_sum(each, decimals) for each in found.types.values()],
        "classes": [_sum(each, decimals) for each in found.classes],
    }


def _sum(found: Sum, decimals: int) -> dict[str, Any]:
    view: dict[str, Any] = {}
    minor = {name: getattr(found, name) for name in COUNTERS}
    if found.account_type is not None:
        view["account_type"] = found.account_type
        minor["balance"] = balance_of_type(found.account_type, found)
    if found.account_class is not None:
        view["account_class"] = found.account_class
    return view | _amounts(minor, decimals)


def _account(row: Row, schema: Schema) -> dict[str, Any]:
    minor = _balances(Side(row["normal_side"]), counters_of(row))
    return {
        "account_id": row["account_id"],
        "account_type": row["account_type"],
        "account_class": row["account_class"],
        "normal_side": row["normal_side"],
        "currency": row["currency"],
        **_amounts(minor, schema.decimals(row["currency"])),
    }
