"""What the log says, beside what a view shows: entries, transactions, counters."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from events.replay import AccountKey, Books, Line, Outcome, Tally
from projections import discrepancies
from projections.discrepancies import Findings, Kind
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("projections")
PAGE_ROWS_MAX = 5_000
NO_ID = UUID(int=0)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What to reconcile: everything, or one account, whose entries in [start, end) are compared."""

    ledger: str | None = None
    account_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def covers(self, at: datetime) -> bool:
        """Return whether `at` lies in the period."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


class View(NamedTuple):
    """A table with a row for each account: its query, its kind of discrepancy, what it must hold.

    The query takes the key after which to go on (ledger, account id), and how many rows.
    """

    query: str
    kind: Kind
    columns: Callable[[Tally], dict[str, Any]]


class Run:
    """One reconciliation under way: the auditor's books, and what was found so far."""

    def __init__(self, connection: Executor, scope: Scope, books: Books) -> None:
        self.connection = connection
        self.scope = scope
        self.books = books
        self.findings = Findings()
        self.events_read = 0
        self.entries_compared = 0
        self.balances_compared = 0


async def entries(run: Run, after: int, until: int, expected: Iterable[Line]) -> None:
    """Compare the entries at positions in (after, until] with what the log says."""
    scope = run.scope
    if scope.account_id is None:
        rows = await run.connection.fetch(SQL["entries_between"], after, until)
    else:
        rows = await run.connection.fetch(
            SQL["account_entries_between"],
            after,
            until,
            scope.ledger,
            scope.account_id,
            scope.start,
            scope.end,
        )
    actual = {(row["position"], row["line"], row["ledger"], row["account_id"]): row for row in rows}
    for line in expected:
        key = (line.position, line.line, line.ledger, line.account_id)
        row = actual.pop(key, None)
        run.entries_compared += 1
        found = discrepancies.of_entry(line, None if row is None else _line(row))
        if found is not None:
            run.findings.add(found)
    for row in actual.values():
        found = discrepancies.of_entry(None, _line(row))
        assert found is not None
        run.findings.add(found)


async def transactions(run: Run, after: int, until: int, expected: Iterable[Outcome]) -> None:
    """Compare the transactions at positions in (after, until] with what the log says."""
    rows = await run.connection.fetch(SQL["transactions_between"], after, until)
    actual = {row["transaction_id"]: _outcome(row) for row in rows}
    for outcome in expected:
        found = discrepancies.of_transaction(outcome, actual.pop(outcome.transaction_id, None))
        if found is not None:
            run.findings.add(found)
    for outcome in actual.values():
        found = discrepancies.of_transaction(None, outcome)
        assert found is not None
        run.findings.add(found)


async def accounts(run: Run, view: View, position: int) -> None:
    """Compare a view's row of every account with the auditor's tally, key by key."""
    unseen = set(run.books.accounts)
    after = ("", "")
    while rows := await run.connection.fetch(view.query, *after, PAGE_ROWS_MAX):
        for row in rows:
            after = (row["ledger"], row["account_id"])
            unseen.discard(after)
            run.balances_compared += 1
            booked = run.books.accounts.get(after)
            if booked is None:
                run.findings.add(discrepancies.of_unknown_account(view.kind, after, position))
            else:
                tally(run, after, booked, row, view)
    for key in sorted(unseen):
        tally(run, key, run.books.accounts[key], None, view)


def tally(run: Run, key: AccountKey, booked: Tally, row: Row | None, view: View) -> None:
    """Compare one account's row in a view with the auditor's tally."""
    expected = view.columns(booked)
    actual = None if row is None else {name: row[name] for name in expected}
    if actual != expected:
        first = run.findings.first_position(*key) or booked.last_position
        run.findings.add(discrepancies.of_account(view.kind, key, first, expected, actual))


async def refunded(run: Run, query: str, position: int) -> None:
    """Compare the refunded totals of a view with the auditor's."""
    expected = dict(run.books.refunded)
    after = NO_ID
    while rows := await run.connection.fetch(query, after, PAGE_ROWS_MAX):
        for row in rows:
            after = row["transaction_id"]
            booked = expected.pop(after, 0)
            if booked != row["refunded"]:
                run.findings.add(
                    discrepancies.of_refunded(after, position, booked, row["refunded"])
                )
    for transaction_id, booked in expected.items():
        run.findings.add(discrepancies.of_refunded(transaction_id, position, booked, 0))


def counters(booked: Tally) -> dict[str, Any]:
    """Return the totals under the names that the views give them."""
    return {"debits_posted": booked.debits, "credits_posted": booked.credits}


def _policy(booked: Tally) -> dict[str, Any]:
    return {
        "account_class": booked.account_class,
        "currency": booked.currency,
        "normal_side": booked.normal_side,
        "overdraft_limit": booked.overdraft_limit,
        "status": booked.status,
    }


def _balance(booked: Tally) -> dict[str, Any]:
    pending = {"debits_pending": 0, "credits_pending": 0}
    as_of = {"position": booked.last_position, "as_of": booked.last_at}
    return counters(booked) | pending | {"normal_side": booked.normal_side} | as_of


def _command_account(booked: Tally) -> dict[str, Any]:
    pending = {"debits_pending": 0, "credits_pending": 0}
    return counters(booked) | pending | _policy(booked) | {"version": booked.version}


BALANCES = View(SQL["all_balances"], Kind.BALANCE_DRIFT, _balance)
ACCOUNTS = View(SQL["all_accounts"], Kind.POLICY_MISMATCH, _policy)
COMMAND_ACCOUNTS = View(SQL["all_command_accounts"], Kind.COMMAND_DRIFT, _command_account)


def _outcome(row: Row) -> Outcome:
    names = (field for field in Outcome.__struct_fields__ if field != "metadata")
    metadata = None if row["metadata"] is None else msgspec.json.decode(row["metadata"])
    return Outcome(metadata=metadata, **{name: row[name] for name in names})


def _line(row: Row) -> Line:
    return Line(*(row[name] for name in Line.__struct_fields__))
