"""Fold the log into the new tables: first all of it, then the events recorded since.

The folds are the projector's own (`projections/folds/`), but the state that they build on stays in
memory. Balances, policies and the states of transactions are written once, at the end.

    log ──a page ahead──▶ fold ──▶ COPY entries, transactions, mentions, moments, all at once
                            └────▶ accounts, balances, standings, books: at the end
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from auditing.pages import read_ahead
from auditing.rebuild import tables
from auditing.rebuild.rows import lines
from auditing.rebuild.tables import JOURNALS, REBUILT, REGISTERS
from auditing.repair import plan
from events import codec, log
from events.types import Recorded
from projections.folds import projected_rows
from projections.folds.projected_rows import ChangedKeys, ProjectedRows
from runtime.database import Connection
from runtime.problems import Rejected
from runtime.sql import as_rows, queries
from sealing.check_event import Seal

SQL = queries("auditing")
PAGE_EVENTS_MAX = 2_000
PAGES_AHEAD_MAX = 4
# The rows that may have an earlier version, and the query of a repair that deletes them.
REMOVING = {
    name: SQL[query].replace("read.", f"{REBUILT}.")
    for name, query in {
        "accounts": "remove_accounts",
        "balances": "remove_balances",
        "standings": "remove_standings",
        "books": "remove_books",
        "moments": "remove_moments",
    }.items()
}
KEYS = {
    "accounts": ("ledger", "account_id"),
    "balances": ("ledger", "account_id"),
    "standings": ("transaction_id",),
    "books": ("ledger",),
    "moments": ("recorded_at",),
}
# The field of the projected rows that holds each register.
FIELDS = {name: name for name in REGISTERS} | {"standings": "transaction_states"}

Progress = Callable[[str, int, int], None]


class Folded:
    """The read models as of `position`: all rows of registers, and the last page of journals."""

    def __init__(self) -> None:
        self.position = 0
        self.page = ProjectedRows({}, {}, {})
        self._gone = 0

    @property
    def rows(self) -> int:
        """Return how many rows all tables have so far."""
        page = self.page
        return (
            self._gone
            + len(page.recorded_times)
            + sum(len(getattr(page, field)) for field in FIELDS.values())
        )

    def take(self, events: Sequence[Recorded]) -> None:
        """Fold the next events. Raises Rejected if an event is missing before or between them."""
        if events[0].position != self.position + 1 or (
            events[-1].position != self.position + len(events)
        ):
            detail = (
                f"The log has no event right after position {self.position}: it has a gap. Restore"
                " it from a backup; read models of a log with a gap are not built."
            )
            raise Rejected("log_unsound", detail)
        projected_rows.fold(events, self.page)
        self.position = events[-1].position

    def journals(self) -> dict[str, bytes]:
        """Return the journals' rows since the last call, as CSV.

        The last recorded time may continue in the next event, so it is kept for the next call.
        """
        page = self.page
        *ended, latest = page.recorded_times.values()
        made: dict[str, list[Any]] = {
            "entries": page.entries,
            "transactions": page.transactions,
            "mentions": page.account_references,
            "moments": ended,
        }
        page.entries, page.transactions, page.account_references = [], [], []
        page.recorded_times = {latest.recorded_at: latest}
        self._gone += sum(map(len, made.values()))
        return {name: lines(rows) for name, rows in made.items() if rows}


async def load(
    connections: Sequence[Connection], folded: Folded, seal: Seal, until: int, progress: Progress
) -> None:
    """Fold the whole log up to `until` into the empty tables.

    It takes one connection to read, and one for each journal. Every event is compared with `seal`,
    which has a connection of its own. Raises Rejected.
    """
    reader, *writers = connections
    async with AsyncExitStack() as stack:
        streams = {
            name: await stack.enter_async_context(_copying(connection, name))
            for name, connection in zip(JOURNALS, writers, strict=True)
        }
        async for rows in read_ahead(log.stored_pages(reader, 0, until)):
            if (position := await seal.broken(rows)) is not None:
                raise Rejected("log_unsound", plan.unsealed(position).explanation)
            events = [codec.recorded(row) for row in rows]
            for first in range(0, len(events), PAGE_EVENTS_MAX):
                folded.take(events[first : first + PAGE_EVENTS_MAX])
                for name, piece in folded.journals().items():
                    await streams[name].put(piece)
                progress("folding", folded.position, until)
    if folded.position < until:
        detail = f"The log ends at position {folded.position}, and the read models at {until}."
        raise Rejected("log_unsound", detail)
    page = folded.page
    for name, rows in _registers(page, page).items():
        await tables.copy(reader, name, _once(lines(rows)))
    await tables.copy(reader, "moments", _once(lines(list(page.recorded_times.values()))))


async def fold_on(connection: Connection, folded: Folded, until: int) -> None:
    """Fold the next events, up to `until`, into the filled tables, page by page.

    The caller has a transaction. If it is rolled back, the tables must be created anew.
    """
    async for events in log.pages(connection, folded.position, until):
        changed = projected_rows.changed(events)
        folded.take(events)
        page = folded.page
        replaced = {**_registers(page, changed), "moments": list(page.recorded_times.values())}
        added: dict[str, list[Any]] = {
            "entries": page.entries,
            "transactions": page.transactions,
            "mentions": page.account_references,
        }
        for name, rows in replaced.items():
            if rows:
                keys = [{key: getattr(row, key) for key in KEYS[name]} for row in rows]
                await connection.fetch(REMOVING[name], as_rows(keys))
        for name, rows in (replaced | added).items():
            if rows:
                await tables.copy(connection, name, _once(lines(rows)))
        folded.journals()


def _registers(page: ProjectedRows, keys: ProjectedRows | ChangedKeys) -> dict[str, list[Any]]:
    """Return the rows of `keys` in each register, sorted by key."""
    kept: dict[str, dict[Any, Any]] = {name: getattr(page, field) for name, field in FIELDS.items()}
    return {
        name: [rows[key] for key in sorted(getattr(keys, FIELDS[name]))]
        for name, rows in kept.items()
    }


@asynccontextmanager
async def _copying(connection: Connection, name: str) -> AsyncIterator[asyncio.Queue[bytes | None]]:
    """Copy every piece that is put into the queue, until None."""
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(PAGES_AHEAD_MAX)

    async def source() -> AsyncIterator[bytes]:
        while (piece := await pieces.get()) is not None:
            yield piece

    task = asyncio.create_task(tables.copy(connection, name, source()))
    try:
        yield pieces
        await pieces.put(None)
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
