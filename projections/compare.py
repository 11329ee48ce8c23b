"""What the log says, beside what a view shows: entries, transactions, counters."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from events.replay import AccountKey, Books, Line, Outcome, Tally
from projections import discrepancies
from projections.discrepancies import Discrepancy, Findings, Kind
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("projections")
PAGE_ROWS_MAX = 5_000


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What to reconcile: everything, or one account, whose entries in [start, end) are compared."""

    ledger: str | None = None
    account_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def covers(self, at: datetime) -> bool:
        """Return whether `at` lies in the period."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


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
    actual = {row["transaction_id"]: row for row in rows}
    for outcome in expected:
        row = actual.pop(outcome.transaction_id, None)
        if row is None:
            run.findings.add(_transaction(Kind.MISSING_TRANSACTION, outcome, "nothing"))
        elif (row["status"], row["position"]) != (outcome.status, outcome.position):
            shown = f"{row['status']} at position {row['position']}"
            run.findings.add(_transaction(Kind.STATUS_MISMATCH, outcome, shown))
    for row in actual.values():
        run.findings.add(_unexpected_transaction(row))


async def balances(run: Run, query: str, kind: Kind, position: int) -> None:
    """Compare every account's counters with the auditor's tally, key by key."""
    unseen = set(run.books.accounts)
    after = ("", "")
    while rows := await run.connection.fetch(query, *after, PAGE_ROWS_MAX):
        for row in rows:
            after = (row["ledger"], row["account_id"])
            unseen.discard(after)
            booked = run.books.accounts.get(after)
            run.balances_compared += 1
            if booked is None:
                run.findings.add(_drift(kind, after, position, "no such account", _shown(row)))
            else:
                tally(run, after, booked, row, kind)
    for key in sorted(unseen):
        tally(run, key, run.books.accounts[key], None, kind)


def tally(run: Run, key: AccountKey, booked: Tally, row: Row | None, kind: Kind) -> None:
    """Compare one account's counters with the auditor's tally."""
    expected = counters(booked) | {"debits_pending": 0, "credits_pending": 0}
    if row is not None and all(row[name] == value for name, value in expected.items()):
        return
    first = run.findings.first_position(*key) or booked.last_position
    actual = "nothing" if row is None else _shown(row)
    run.findings.add(_drift(kind, key, first, _shown(expected), actual))


def counters(booked: Tally) -> dict[str, int]:
    """Return the totals under the names that the views give them."""
    return {"debits_posted": booked.totals["debit"], "credits_posted": booked.totals["credit"]}


def _shown(row: Row) -> str:
    names = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
    return ", ".join(f"{name} {row[name]}" for name in names)


def _drift(kind: Kind, key: AccountKey, position: int, expected: str, actual: str) -> Discrepancy:
    view = "balance" if kind is Kind.BALANCE_DRIFT else "command side's row"
    return Discrepancy(
        kind=kind,
        position=position,
        expected=expected,
        actual=actual,
        explanation=f"The {view} of account {key[1]} is not the sum of its events.",
        ledger=key[0],
        account_id=key[1],
    )


def _transaction(kind: Kind, outcome: Outcome, actual: str) -> Discrepancy:
    return Discrepancy(
        kind=kind,
        position=outcome.position,
        expected=f"{outcome.status} at position {outcome.position}",
        actual=actual,
        explanation=f"Transaction {outcome.transaction_id} does not stand as the log has it.",
        ledger=outcome.ledger,
        transaction_id=outcome.transaction_id,
    )


def _unexpected_transaction(row: Row) -> Discrepancy:
    return Discrepancy(
        kind=Kind.UNEXPECTED_TRANSACTION,
        position=row["position"],
        expected="nothing",
        actual=f"{row['status']} at position {row['position']}",
        explanation=f"No event of the log made transaction {row['transaction_id']}.",
        ledger=row["ledger"],
        transaction_id=row["transaction_id"],
    )


def _line(row: Row) -> Line:
    return Line(
        row["ledger"],
        row["account_id"],
        row["position"],
        row["line"],
        row["transaction_id"],
        row["side"],
        row["amount"],
        row["currency"],
        row["balance"],
    )
