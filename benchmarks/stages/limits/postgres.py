"""PostgreSQL alone: the same rows into the product's tables, 500 transfers a commit.

In a database of its own, migrated, on the same server and with the sessions' own settings: the
writer waits for the disk, and the projector does not.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from benchmarks import service
from benchmarks.service import SQL, Bench
from benchmarks.stages.limits.clock import Spent, spending
from command_side.writer import writer
from daybook.migrations.migrate import migrate
from events import log
from projections import worker
from projections.catch_up import SQL as CATCH_UP
from projections.folds.balances import BalanceRow
from projections.folds.projected_rows import ProjectedRows
from runtime import database
from runtime.database import Connection
from runtime.sql import Row, as_records

DATABASE = "bench_stages"
COLUMNS = ("originator_id", "originator_version", "topic", "state")


class Writing(msgspec.Struct, frozen=True):
    """CPU of the tables that are written: the server's, and the client's."""

    log: Spent
    entries: Spent
    transactions: Spent
    balances: Spent


async def writing(
    bench: Bench,
    pages_of_rows: Sequence[Sequence[Row]],
    folded: Sequence[ProjectedRows],
    opened: Sequence[BalanceRow],
) -> Writing:
    """Write the log, then each read model: a table at a time, a page a commit."""
    url = await service.create_database(bench, DATABASE)
    await migrate(url)
    spent = Writing(Spent(), Spent(), Spent(), Spent())
    async with _connected(url, writer.ROLE) as (connection, pid):
        head = await log.head(connection)
        position = head.position
        for rows in pages_of_rows:
            with spending(spent.log, pid):
                status = await connection.execute(
                    log.SQL["append"],
                    position,
                    head.mended,
                    head.recorded_at,
                    position,
                    *([row[column] for row in rows] for column in COLUMNS),
                )
            assert status != log.NOTHING_INSERTED, "somebody else moved the head"
            position += len(rows)
    async with _connected(url, worker.ROLE, synchronous_commit="off") as (connection, pid):
        await database.copy(connection, "read", "balances", opened)
        for page in folded:
            with spending(spent.entries, pid):
                async with connection.transaction():
                    await database.copy(connection, "read", "entries", page.entries)
        for page in folded:
            with spending(spent.transactions, pid):
                async with connection.transaction():
                    await database.copy(connection, "read", "transactions", page.transactions)
        for page in folded:
            with spending(spent.balances, pid):
                async with connection.transaction():
                    moved = as_records(list(page.balances.values()))
                    await connection.execute(CATCH_UP["move_balances"], moved)
    await service.drop_database(bench, DATABASE)
    return spent


class Reading(msgspec.Struct, frozen=True):
    """CPU of reading the log: as stored, as a relay does, and as events, as a projector does."""

    stored: Spent
    events: Spent


async def reading(bench: Bench, after: int, count: int, page: int) -> Reading:
    """Read `count` events of the service's log, twice, a page at a time."""
    spent = Reading(Spent(), Spent())
    async with _connected(bench.service.database_url, worker.ROLE) as (connection, pid):
        for taken, read in ((spent.stored, log.rows_after), (spent.events, log.read_after)):
            for position in range(after, after + count, page):
                with spending(taken, pid):
                    await read(connection, position, page)
    return spent


@asynccontextmanager
async def _connected(url: str, role: str, **settings: str) -> AsyncIterator[tuple[Connection, int]]:
    """Connect as the product's process does; yield the connection, and its backend's pid."""
    connection = await database.connect(url, role, **settings, **database.BY_KEY)
    try:
        yield connection, await connection.fetchval(SQL["backend"])
    finally:
        await connection.close()
