"""Reads, each with the position that it is true of.

Rows and checkpoint are read in one snapshot, so `Daybook-Position` is exactly that of the rows.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from events import checkpoints
from runtime import database
from runtime.database import Executor
from runtime.sql import queries

SQL = queries("query_side")
Rows = list[asyncpg.Record]


class Read(NamedTuple):
    """Rows, and the position they are true of."""

    rows: Rows
    position: int

    @property
    def row(self) -> asyncpg.Record | None:
        """The only row, if there is one."""
        return self.rows[0] if self.rows else None


@asynccontextmanager
async def snapshot(pool: database.Pool) -> AsyncIterator[Executor]:
    """Read everything as it was at one moment."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


async def position_before(connection: Executor, moment: datetime) -> int:
    """Return the last position that was recorded before `moment`; 0 is before the log."""
    position: int | None = await connection.fetchval(SQL["position_before"], moment)
    return position or 0


async def read(pool: database.Pool, name: str, *arguments: Any) -> Read:  # noqa: ANN401
    """Run one named query in a snapshot."""
    async with snapshot(pool) as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        return Read(await connection.fetch(SQL[name], *arguments), position)
