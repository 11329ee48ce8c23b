"""Reads, each with the position that it is true of.

Rows and checkpoint are read in one snapshot, so `Daybook-Position` is never newer or older than the
rows beside it.
"""

from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from events import checkpoints, codec
from events.vocabulary import Recorded, account_stream_id
from query_side import cursors
from runtime import database
from runtime.sql import queries

SQL = queries("query_side")
LINE_MAX = 2**15 - 1
Rows = list[asyncpg.Record]


class Read(NamedTuple):
    """Rows, the position they are true of, and the cursor of the page after them."""

    rows: Rows
    position: int
    next_cursor: str | None = None

    @property
    def row(self) -> asyncpg.Record | None:
        """The only row, if there is one."""
        return self.rows[0] if self.rows else None


async def read(pool: database.Pool, name: str, *arguments: Any) -> Read:  # noqa: ANN401
    """Run one named query in a snapshot."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        return Read(await connection.fetch(SQL[name], *arguments), position)


async def transactions(pool: database.Pool, ledger: str, cursor: str | None, limit: int) -> Read:
    """Return a page of a ledger's transactions, newest first."""
    (before,) = cursors.decode(cursor, 1)
    found = await read(pool, "transactions", ledger, before, limit + 1)
    return _page(found, limit, "position")


async def entries(
    pool: database.Pool, ledger: str, account_id: str, cursor: str | None, limit: int
) -> Read:
    """Return a page of an account's ledger, newest first."""
    position, line = cursors.decode(cursor, 2)
    before_line = min(line, LINE_MAX)
    found = await read(pool, "ledger", ledger, account_id, position, before_line, limit + 1)
    return _page(found, limit, "position", "line")


async def audit_trail(
    pool: database.Pool, ledger: str, account_id: str, cursor: str | None, limit: int
) -> tuple[list[Recorded], Read]:
    """Return a page of everything in the log that concerns an account, newest first."""
    (before,) = cursors.decode(cursor, 1)
    stream_id = account_stream_id(ledger, account_id)
    found = await read(pool, "audit_trail", ledger, account_id, before, limit + 1, stream_id)
    paged = _page(found, limit, "notification_id")
    return [codec.recorded(row) for row in paged.rows], paged


async def submitted(pool: database.Pool, transaction_id: UUID) -> bool:
    """Return whether the log has this transaction, projected or not."""
    return bool(await pool.fetchval(SQL["submitted"], transaction_id))


def _page(found: Read, limit: int, *key: str) -> Read:
    """Cut the one row too many, which says that there is another page."""
    if len(found.rows) <= limit:
        return found
    rows = found.rows[:limit]
    return Read(rows, found.position, cursors.encode(*(rows[-1][part] for part in key)))
