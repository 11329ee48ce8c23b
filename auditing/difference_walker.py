"""The replayed log beside its views, row by row: every row that differs, as one typed value.

    events ──fold──▶ expected rows of a page ───┐
                                                ├─ compared as text, or row by row ─▶ differences
    journals of the same positions ─────────────┘
    replayed state ─────────────────────────────┐
                                                ├─ compared by key ─────────────────▶ differences
    registers, at the position of the replay ───┘

Reconciliation makes sentences of the differences, the continuous audit remembers them, repair makes
changes of them, and the four-way view counts with the same replay. The walk decides nothing.

Memory is bounded by a page of events with its rows, and by the replayed state. A page of all
ledgers is compared as one text (`row_text.py`). Its rows are read only if the texts differ.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from auditing import unflushed_accounts, view_catalog
from auditing.differences import (
    Difference,
    Gap,
    RowDifference,
    Scope,
    journal_difference,
    ledger_of,
    register_difference,
)
from auditing.expected_rows import (
    ExpectedEntry,
    ExpectedReference,
    ExpectedTime,
    ExpectedTransaction,
)
from auditing.pages import ended
from auditing.replay import AccountKey, ReplayedState, account_references, recorded_times
from auditing.view_catalog import (
    ACCOUNT_REFERENCES,
    ENTRIES,
    RECORDED_TIMES,
    SQL,
    TRANSACTIONS,
    Columns,
    Journal,
    JournalRow,
    Register,
)
from events import checkpoints, log
from events.types import Recorded
from runtime.database import Executor
from runtime.sql import Row

REGISTER_ROWS_MAX = 5_000
FIRST_ENTRIES_MAX = 10_000

Pages = AsyncIterator[Sequence[Recorded]]


class ExpectedPage(msgspec.Struct):
    """The rows that a page of events must have made."""

    entries: list[ExpectedEntry]
    transactions: list[ExpectedTransaction]
    references: list[ExpectedReference]

    def rows(self, view: Journal) -> Sequence[JournalRow]:
        """Return the rows of one journal."""
        rows: dict[str, Sequence[JournalRow]] = {
            ENTRIES.table: self.entries,
            TRANSACTIONS.table: self.transactions,
            ACCOUNT_REFERENCES.table: self.references,
        }
        return rows[view.table]


class DifferenceWalker:
    """One walk through the log and the views in a scope.

    Events up to `position` are folded, and their journals compared; recorded times are compared up
    to `settled`, since the last one, in `open_times`, may continue in the next event. With
    `as_text`, events of all ledgers are folded, because a page's text has the rows of all of them.
    """

    def __init__(self, scope: Scope, *, as_text: bool = True) -> None:
        self.scope = scope
        self.state = ReplayedState(only=scope.account)
        self.position = 0
        self.settled = 0
        self.open_times: list[ExpectedTime] = []
        self.events_read = 0
        self.rows_compared: dict[str, int] = {}
        # The first entry that differs says more of a wrong balance than the last event does.
        self.first_entries: dict[AccountKey, int] = {}
        self.pages_read_by_row = 0
        self._as_text = as_text and scope.account_id is None
        self._only_ledger = None if self._as_text else scope.ledger
        if scope.account_id is not None:
            self._journals: tuple[Journal, ...] = (ENTRIES, ACCOUNT_REFERENCES)
        else:
            self._journals = (ENTRIES, TRANSACTIONS, ACCOUNT_REFERENCES)
        # A recorded time is no ledger's own.
        self._timed = scope.ledger is None

    async def prepare(self, connection: Executor) -> None:
        """Make the session write times as `row_text` does; without this, pages are slow."""
        if self._as_text:
            await connection.execute(SQL["plain_times"])

    async def stretch(self, connection: Executor) -> int | None:
        """Return the checkpoint, if it is more than a page ahead of the walk; else None.

        Journals up to the checkpoint are only ever added to, so so much needs no snapshot.
        """
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        return None if checkpoint - self.position <= log.PAGE_EVENTS_MAX else checkpoint

    def fold(self, page: Sequence[Recorded]) -> tuple[ExpectedPage, list[Difference]]:
        """Fold the events after `position`; return their rows, and the gaps between them."""
        made = ExpectedPage([], [], [])
        gaps: list[Difference] = []
        before, only, fold = self.position, self._only_ledger, self.state.fold
        gapless = self.scope.account_id is None
        for recorded in page:
            if recorded.position != before + 1 and gapless:
                gaps.append(Gap(before, recorded.position))
            before = recorded.position
            if only is not None and recorded.event.ledger != only:
                continue
            entries, transaction = fold(recorded)
            if entries:
                made.entries += entries
            elif references := account_references(recorded):
                made.references += references
            if transaction is not None:
                made.transactions.append(transaction)
        self.position = before
        if self.scope.ledger is None:
            self.events_read += len(page)
        else:
            self.events_read += sum(each.event.ledger == self.scope.ledger for each in page)
        if self.scope.account_id is not None:
            made.entries = [each for each in made.entries if self.scope.covers(each.recorded_at)]
            made.references = [
                each for each in made.references if each.account_id == self.scope.account_id
            ]
        return made, gaps

    async def compare_page(
        self, connection: Executor, page: Sequence[Recorded]
    ) -> tuple[ExpectedPage, list[Difference]]:
        """Fold a page and compare its journals; return the rows it made and what differs."""
        after, until = self.position, page[-1].position
        # PostgreSQL writes the text of the page while Python folds it.
        reading = asyncio.create_task(self._texts(connection, after, until))
        await asyncio.sleep(0)
        try:
            made, differences = self.fold(page)
            texts = await reading
        finally:
            await ended(reading)
        for view in self._journals:
            rows = made.rows(view)
            if view.as_text is not None and self._as_text:
                if texts[view.table] == view.as_text(rows):
                    self._count(view, rows)
                    continue
                self.pages_read_by_row += 1
            differences += await self._compare_rows(connection, view, after, until, rows)
        if self._timed:
            differences += await self._compare_times(connection, page)
        return made, differences

    async def compare_end(self, connection: Executor, until: int) -> list[Difference]:
        """Compare what is left of the journals: nothing may stand beyond the last event."""
        after = self.position
        differences = self.end_log(until)
        for view in self._journals:
            differences += await self._compare_rows(connection, view, after, log.NO_END, ())
        if self._timed:
            differences += await self._compare_rows(
                connection, RECORDED_TIMES, self.settled, log.NO_END, self.open_times
            )
        return differences

    def end_log(self, until: int) -> list[Difference]:
        """Return the gap, if the log ends before `until`, and continue after it."""
        after, self.position = self.position, until
        if after < until and self.scope.account_id is None:
            return [Gap(after, until + 1)]
        return []

    async def read_side(
        self, connection: Executor, pages: Pages, checkpoint: int
    ) -> AsyncIterator[Difference]:
        """Yield how the read models differ, in the caller's snapshot; `pages` end at `checkpoint`.

        Raises UnreadableEventError.
        """
        async for page in pages:
            for difference in (await self.compare_page(connection, page))[1]:
                yield difference
        for difference in await self.compare_end(connection, checkpoint):
            yield difference
        views: tuple[Register, ...] = view_catalog.READ_SIDE
        if self.scope.account_id is not None:
            views = (view_catalog.ACCOUNTS, view_catalog.BALANCES)
        for view in views:
            async for difference in self._compare_register(connection, view, checkpoint):
                yield difference

    async def command_side(
        self, connection: Executor, pages: Pages, head: log.Head
    ) -> AsyncIterator[Difference]:
        """Yield how the command side's rows differ, in the same snapshot; `pages` end at `head`.

        Raises UnreadableEventError.
        """
        async for page in pages:
            for difference in self.fold(page)[1]:
                yield difference
        for difference in self.end_log(head.position):
            yield difference
        accounts = await unflushed_accounts.command_accounts(connection, head, self.scope.account)
        views = (
            accounts,
            view_catalog.COMMAND_TRANSACTION_STATES,
            view_catalog.COMMAND_CLOSED_BOOKS,
        )
        for view in views if self.scope.account_id is None else (accounts,):
            async for difference in self._compare_register(connection, view, head.position):
                yield difference

    async def compare_keys(
        self, connection: Executor, view: Register, keys: Collection[Any]
    ) -> dict[Any, RowDifference]:
        """Compare the rows of `keys`, which the log knows; return the differences by key."""
        if not keys:
            return {}
        columns = zip(*keys, strict=True) if len(view.key) > 1 else (keys,)
        rows = await connection.fetch(view.keys_query, *map(list, columns))
        found = {_key(view, row): view.shown(row) for row in rows}
        self._count(view, found)
        compared = {
            key: self._of_register(view, key, found.get(key), self.position) for key in keys
        }
        return {key: difference for key, difference in compared.items() if difference is not None}

    async def _compare_register(
        self, connection: Executor, view: Register, at: int
    ) -> AsyncIterator[RowDifference]:
        """Yield how a register differs from the replayed state, as of `at`, in the scope."""
        replayed = view.replayed(self.state)
        unseen = {key for key, entry in replayed.items() if view.columns(entry) is not None}
        if self.scope.account is not None:
            unseen = {self.scope.account}
        compared = 0
        async for key, row in self._rows(connection, view):
            unseen.discard(key)
            if self.scope.includes(ledger_of(key, replayed.get(key))):
                compared += 1
                difference = self._of_register(view, key, view.shown(row), at)
                if difference is not None:
                    yield difference
        self.rows_compared[view.table] = self.rows_compared.get(view.table, 0) + compared
        for key in sorted(unseen):
            difference = self._of_register(view, key, None, at)
            if difference is not None and self.scope.includes(difference.ledger):
                yield difference

    async def _rows(self, connection: Executor, view: Register) -> AsyncIterator[tuple[Any, Row]]:
        """Yield the rows of a register by key, or the one of the account."""
        if self.scope.account is not None:
            for row in await connection.fetch(view.account_query, *self.scope.account):
                yield self.scope.account, row
            return
        after = view.start
        while rows := await connection.fetch(view.query, *after, REGISTER_ROWS_MAX):
            for row in rows:
                yield _key(view, row), row
            after = tuple(rows[-1][name] for name in view.key)

    def _of_register(
        self,
        view: Register,
        key: Any,  # noqa: ANN401 - as in `RowDifference`
        actual: Columns | None,
        at: int,
    ) -> RowDifference | None:
        difference = register_difference(view, self.state, key, actual, at)
        if difference is None or difference.expected is None or not view.of_entries:
            return difference
        position = self.first_entries.get(key, difference.position)
        return msgspec.structs.replace(difference, position=position)

    async def _texts(self, connection: Executor, after: int, until: int) -> dict[str, str | None]:
        """Return the text of each journal that has one, at positions in (after, until]."""
        return {
            view.table: await connection.fetchval(view.text_query, after, until)
            for view in self._journals
            if view.text_query and self._as_text
        }

    async def _compare_times(
        self, connection: Executor, page: Sequence[Recorded]
    ) -> list[Difference]:
        """Compare the recorded times that ended in this page."""
        times = recorded_times(page)
        if self.open_times and self.open_times[0].recorded_at != times[0].recorded_at:
            times = self.open_times + times
        *settled, latest = times
        self.open_times = [latest]
        if not settled:
            return []
        after, self.settled = self.settled, settled[-1].position
        return await self._compare_rows(connection, RECORDED_TIMES, after, self.settled, settled)

    async def _compare_rows(
        self,
        connection: Executor,
        view: Journal,
        after: int,
        until: int,
        expected: Sequence[JournalRow],
    ) -> list[Difference]:
        """Compare a journal's rows at positions in (after, until] with those that must be there."""
        scope = self.scope
        if scope.account is None:
            rows = await connection.fetch(view.query, after, until)
        else:
            period = (scope.start, scope.end) if view.dated else ()
            rows = await connection.fetch(view.account_query, after, until, *scope.account, *period)
        key = attrgetter(*view.key)
        actual = {key(found): found for found in (view.row(*row) for row in rows)}
        pairs: list[tuple[JournalRow | None, JournalRow | None]] = []
        for made in expected:
            found = actual.pop(key(made), None)
            if found != made:
                pairs.append((made, found))
        pairs += [(None, found) for found in actual.values()]
        differences: list[Difference] = []
        for pair in pairs:
            difference = journal_difference(view, *pair)
            if scope.includes(difference.ledger):
                self._note_first_entry(difference)
                differences.append(difference)
        self._count(view, expected)
        return differences

    def _note_first_entry(self, difference: RowDifference) -> None:
        row = difference.expected or difference.actual
        if difference.view is ENTRIES and row is not None:
            self.note_first_entry((row["ledger"], row["account_id"]), difference.position)

    def note_first_entry(self, key: AccountKey, position: int) -> None:
        """Remember the first entry of an account that differs."""
        if len(self.first_entries) < FIRST_ENTRIES_MAX:
            self.first_entries.setdefault(key, position)

    def _count(self, view: Journal | Register, rows: Collection[Any]) -> None:
        """Count the rows of the scope that were compared."""
        if self._as_text and self.scope.ledger is not None:
            count = sum(self.scope.includes(row.ledger) for row in rows)
        else:
            count = len(rows)
        self.rows_compared[view.table] = self.rows_compared.get(view.table, 0) + count


def _key(view: Register, row: Row) -> Any:  # noqa: ANN401 - as above
    parts = tuple(row[name] for name in view.key)
    return parts if len(parts) > 1 else parts[0]
