"""What the log says, beside what a view shows: a page of a journal, or a whole register."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from events.expected import Line, Mention, Moment, Outcome
from events.replay import Books
from projections.auditing import discrepancies
from projections.auditing.audited import Columns, Journal, Register
from projections.auditing.discrepancies import Findings
from runtime.database import Executor

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
        self.compared: dict[str, int] = {}

    def count(self, table: str, rows: int) -> None:
        """Count rows that were compared."""
        self.compared[table] = self.compared.get(table, 0) + rows


async def journal(
    run: Run,
    view: Journal,
    after: int,
    until: int,
    expected: Iterable[Line | Outcome | Mention | Moment],
) -> None:
    """Compare a journal's rows at positions in (after, until] with what the log says."""
    key, scope = view.key, run.scope
    if scope.account_id is None:
        rows = await run.connection.fetch(view.query, after, until)
    else:
        period = (scope.start, scope.end) if view.dated else ()
        rows = await run.connection.fetch(
            view.account_query, after, until, scope.ledger, scope.account_id, *period
        )
    actual = {key(shown): shown for shown in (view.row(*row) for row in rows)}
    compared = 0
    for made in expected:
        compared += 1
        shown = actual.pop(key(made), None)
        if shown != made:
            _found(run, view, made, shown)
    for shown in actual.values():
        _found(run, view, None, shown)
    run.count(view.table, compared)


async def register(run: Run, view: Register, position: int) -> None:
    """Compare all of a register, as of `position`, with the auditor's books, key by key."""
    booked = view.booked(run.books)
    unseen = {key for key, entry in booked.items() if view.columns(entry) is not None}
    after = view.start
    while rows := await run.connection.fetch(view.query, *after, PAGE_ROWS_MAX):
        for row in rows:
            after = tuple(row[name] for name in view.key)
            key = after if len(after) > 1 else after[0]
            unseen.discard(key)
            _registered(run, view, key, booked.get(key), dict(row), position)
        run.count(view.table, len(rows))
    for key in sorted(unseen):
        _registered(run, view, key, booked[key], None, position)


async def account(run: Run, view: Register, key: tuple[str, str]) -> Columns | None:
    """Compare one account's row in a register, and return it."""
    found = await run.connection.fetchrow(view.account_query, *key)
    row = None if found is None else dict(found)
    _registered(run, view, key, run.books.accounts[key], row, 0)
    run.count(view.table, 1)
    return row


def _found(run: Run, view: Journal, expected: Any, actual: Any) -> None:  # noqa: ANN401 - any row
    made = None if expected is None else msgspec.structs.asdict(expected)
    shown = None if actual is None else msgspec.structs.asdict(actual)
    if shown is None:
        kind = view.missing
    elif made is None:
        kind = view.unexpected
    else:
        kind = view.differs(set(discrepancies.differing(made, shown)))
    position = (expected or actual).position
    run.findings.add(discrepancies.of_row(kind, view.title, position, made, shown))


def _registered(
    run: Run,
    view: Register,
    key: Any,  # noqa: ANN401 - a ledger, an account's key, a transaction's id
    entry: Any,  # noqa: ANN401 - what the register's books keep
    actual: Columns | None,
    position: int,
) -> None:
    """Compare one row with what is booked; one that should not be there is found at `position`."""
    expected: Columns | None = None if entry is None else view.columns(entry)
    if expected is not None:
        expected |= zip(view.key, key if isinstance(key, tuple) else (key,), strict=True)
    if expected != actual:
        if expected is not None:
            first = run.findings.first_entry(*key) if view.of_entries else None
            position = first or view.position(entry)
        run.findings.add(discrepancies.of_row(view.kind, view.title, position, expected, actual))
