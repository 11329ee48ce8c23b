"""What the log says, beside what a view shows: a page of a journal, or a whole register."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from auditing import discrepancies
from auditing.discrepancies import Discrepancy, Findings
from auditing.expected_rows import Line, Mention, Moment, Outcome, Standing
from auditing.replay import Books
from auditing.view_catalog import JOURNALS, SQL, Columns, Journal, Register
from runtime.database import Executor

PAGE_ROWS_MAX = 5_000


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What to reconcile: everything, one ledger, or one account of it.

    Of an account, the entries in [start, end) are compared.
    """

    ledger: str | None = None
    account_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def covers(self, at: datetime) -> bool:
        """Return whether `at` lies in the period."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)


class Run:
    """One reconciliation under way: the auditor's books, and what was found so far.

    Events up to `position` were folded and their journals compared, but for times: those up to
    `settled`, since the last one, in `open_times`, may go on.
    """

    def __init__(self, scope: Scope, books: Books) -> None:
        self.scope = scope
        self.books = books
        self.findings = Findings(scope.ledger)
        self.position = 0
        self.settled = 0
        self.open_times: list[Moment] = []
        self.events_read = 0
        self.compared: dict[str, int] = {}
        # Of one that never ends: rows (table, key) that are known to differ, and told of.
        self.known: set[tuple[str, ...]] = set()
        # … and the run that walks what was verified again.
        self.patrol: Run | None = None
        # How many pages were read row by row, as their text was not the one expected.
        self.pages_explained = 0

    def covers(self, ledger: str) -> bool:
        """Return whether what is in `ledger` is in the scope; only that is counted."""
        return self.scope.ledger in {None, ledger}

    def count(self, table: str, rows: int) -> None:
        """Count rows that were compared."""
        self.compared[table] = self.compared.get(table, 0) + rows


async def plain(connection: Executor) -> None:
    """Let the session write times as `texts` does; another way would only be slow."""
    await connection.execute(SQL["plain_times"])


async def shown(connection: Executor, after: int, until: int) -> dict[str, str | None]:
    """Return the text of each journal that has one, at positions in (after, until]."""
    return {
        view.table: await connection.fetchval(view.text_query, after, until)
        for view in JOURNALS
        if view.text_query
    }


async def page(
    run: Run,
    connection: Executor,
    view: Journal,
    after: int,
    until: int,
    expected: Sequence[Line | Outcome],
    texts: Mapping[str, str | None],
) -> None:
    """Compare a journal's page as a whole, and row by row only if it is not the one expected."""
    assert view.as_text is not None
    if texts[view.table] == view.as_text(expected):
        everything = run.scope.ledger is None
        run.count(
            view.table,
            len(expected) if everything else sum(run.covers(row.ledger) for row in expected),
        )
        return
    run.pages_explained += 1
    await journal(run, connection, view, after, until, expected)


async def journal(
    run: Run,
    connection: Executor,
    view: Journal,
    after: int,
    until: int,
    expected: Sequence[Line | Outcome | Mention | Moment],
) -> None:
    """Compare a journal's rows at positions in (after, until] with what the log says."""
    key, scope = view.key, run.scope
    if scope.account_id is None:
        rows = await connection.fetch(view.query, after, until)
    else:
        period = (scope.start, scope.end) if view.dated else ()
        rows = await connection.fetch(
            view.account_query, after, until, scope.ledger, scope.account_id, *period
        )
    actual = {key(shown): shown for shown in (view.row(*row) for row in rows)}
    compared = 0
    for made in expected:
        compared += isinstance(made, Moment) or run.covers(made.ledger)
        shown = actual.pop(key(made), None)
        if shown != made:
            _found(run, view, made, shown)
    for shown in actual.values():
        _found(run, view, None, shown)
    run.count(view.table, compared)


async def register(run: Run, connection: Executor, view: Register, position: int) -> None:
    """Compare all of a register, as of `position`, with the auditor's books, key by key."""
    booked = view.booked(run.books)
    unseen = {key for key, entry in booked.items() if view.columns(entry) is not None}
    after = view.start
    while rows := await connection.fetch(view.query, *after, PAGE_ROWS_MAX):
        for row in rows:
            after = tuple(row[name] for name in view.key)
            key = _key(after)
            unseen.discard(key)
            _add(run, _registered(run, view, key, booked.get(key), view.shown(row), position))
        run.count(view.table, sum(_covered(run, view, row) for row in rows))
    for key in sorted(unseen):
        _add(run, _registered(run, view, key, booked[key], None, position))


async def registered(
    run: Run, connection: Executor, view: Register, keys: Collection[Any]
) -> dict[Any, Discrepancy]:
    """Compare the rows of `keys`, which the books know; return how those differ that do."""
    if not keys:
        return {}
    columns = zip(*keys, strict=True) if len(view.key) > 1 else (keys,)
    rows = await connection.fetch(view.keys_query, *map(list, columns))
    found = {_key(tuple(row[name] for name in view.key)): view.shown(row) for row in rows}
    booked = view.booked(run.books)
    run.count(view.table, len(found))
    compared = {
        key: _registered(run, view, key, booked[key], found.get(key), run.position) for key in keys
    }
    return {key: differs for key, differs in compared.items() if differs is not None}


async def account(
    run: Run, connection: Executor, view: Register, key: tuple[str, str]
) -> Columns | None:
    """Compare one account's row in a register, and return it."""
    found = await connection.fetchrow(view.account_query, *key)
    row = None if found is None else view.shown(found)
    _add(run, _registered(run, view, key, run.books.accounts[key], row, 0))
    run.count(view.table, 1)
    return row


def _key(parts: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a ledger, an account's key, an id
    return parts if len(parts) > 1 else parts[0]


def _covered(run: Run, view: Register, row: Any) -> bool:  # noqa: ANN401 - asyncpg's row
    """Return whether a row is the scope's; a standing is, if the books know it to be."""
    if run.scope.ledger is None:
        return True
    if "ledger" in view.key:
        return run.covers(row["ledger"])
    entry = view.booked(run.books).get(row[view.key[0]])
    return entry is not None and run.covers(entry.ledger)


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
    run.findings.add(discrepancies.of_row(kind, view.table, view.title, position, made, shown))


def _registered(
    run: Run,
    view: Register,
    key: Any,  # noqa: ANN401 - a ledger, an account's key, a transaction's id
    entry: Any,  # noqa: ANN401 - what the register's books keep
    actual: Columns | None,
    position: int,
) -> Discrepancy | None:
    """Compare one row with what is booked; one that should not be there is found at `position`."""
    expected: Columns | None = None if entry is None else view.columns(entry)
    if expected is not None:
        expected |= zip(view.key, key if isinstance(key, tuple) else (key,), strict=True)
    if expected == actual:
        return None
    if expected is not None:
        first = run.findings.first_entry(*key) if view.of_entries else None
        position = first or view.position(entry)
    found = discrepancies.of_row(view.kind, view.table, view.title, position, expected, actual)
    if isinstance(entry, Standing):
        found = msgspec.structs.replace(found, ledger=entry.ledger)
    return found


def _add(run: Run, found: Discrepancy | None) -> None:
    if found is not None:
        run.findings.add(found)
