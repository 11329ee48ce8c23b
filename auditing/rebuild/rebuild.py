"""Build new read models beside the live ones, compare them, and swap them in.

    create ──▶ fold the log ──▶ index ──▶ compare ──▶ swap ──▶ drop the old ones
               up to the        from the   at one       │
               checkpoint       live ones  position     └── nothing has waited until here

Writes, projections and reads continue all the time. A rebuild that is killed changes nothing: the
next one drops what it left, and begins again. Memory holds the balances and policies of all
accounts, and the states of changed transactions, but no entries.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from auditing.rebuild import tables
from auditing.rebuild.comparison import TableDifference, compare
from auditing.rebuild.load import Folded, Progress, load
from auditing.rebuild.swap import swap
from auditing.repair import plan
from events import checkpoints
from runtime import database
from runtime.database import Connection
from runtime.problems import Conflict, Rejected
from runtime.sql import queries
from sealing import check_event
from sealing.check_event import Seal, SealError

SQL = queries("auditing")
# One for each journal, one that reads ahead, and one that holds the lock.
CONNECTIONS = len(tables.JOURNALS) + 2
BUILDERS = 2


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What was built, up to `position`, and how the live tables differed from it."""

    rebuild_id: UUID
    rebuilt_by: str
    position: int
    row_count: int
    differences: list[TableDifference]
    swapped: bool
    old_kept: bool
    started_at: datetime
    finished_at: datetime

    @property
    def differing(self) -> int:
        """Return how many rows differ."""
        return sum(table.differing for table in self.differences)


async def rebuild(
    database_url: str,
    *,
    rebuilt_by: str,
    progress: Progress,
    compare_only: bool = False,
    keep_old: bool = False,
) -> Rebuilt:
    """Rebuild as the login that owns the tables. Raises Conflict, Rejected, Unavailable."""
    rebuild_id, started, folded = uuid4(), datetime.now(UTC), Folded()
    async with _connections(database_url) as (lock, *others):
        seal = await _seal(lock)
        await tables.create(lock)
        try:
            await load(others, folded, seal, await _checkpoint(lock), progress)
            progress("indexing", 0, 1)
            await tables.index(others[:BUILDERS])
            progress("comparing", 0, 1)
            differences = await compare(others[0], folded)
            differing = sum(table.differing for table in differences)
            if not compare_only:
                progress("swapping", 0, 1)

                async def record(connection: Connection, position: int) -> None:
                    await connection.execute(
                        SQL["record_rebuild"],
                        rebuild_id,
                        rebuilt_by,
                        position,
                        folded.rows,
                        differing,
                        msgspec.json.encode(differences).decode(),
                        started,
                        datetime.now(UTC),
                    )

                await swap(lock, others[0], folded, record)
        except BaseException:
            if not lock.is_closed():
                await tables.drop(lock)
            raise
        if compare_only or not keep_old:
            await tables.drop(lock)
    return Rebuilt(
        rebuild_id=rebuild_id,
        rebuilt_by=rebuilt_by,
        position=folded.position,
        row_count=folded.rows,
        differences=differences,
        swapped=not compare_only,
        old_kept=keep_old and not compare_only,
        started_at=started,
        finished_at=datetime.now(UTC),
    )


async def drop_old(database_url: str) -> None:
    """Drop the tables that `keep_old` kept. Raises Conflict, Unavailable."""
    async with _connections(database_url, 1) as (connection,):
        await tables.drop(connection)


async def _checkpoint(connection: Connection) -> int:
    return await checkpoints.read(connection, checkpoints.PROJECTOR)


async def _seal(connection: Connection) -> Seal:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        try:
            return await check_event.opened(connection)
        except SealError as error:
            raise Rejected("log_unsound", plan.unprovable(str(error)).explanation) from error


@asynccontextmanager
async def _connections(
    database_url: str, count: int = CONNECTIONS
) -> AsyncIterator[list[Connection]]:
    """Open the connections; the first one holds the lock that excludes other rebuilds."""
    async with AsyncExitStack() as stack:
        opened: list[Connection] = []
        for _ in range(count):
            # The commit of the swap waits for the disk, and thereby for everything written before.
            asynchronous = {"synchronous_commit": "off"} if opened else {}
            connection = await database.connect(database_url, **asynchronous)
            stack.push_async_callback(connection.close)
            opened.append(connection)
        if not await opened[0].fetchval(SQL["lock_rebuild"]):
            raise Conflict("rebuild_running", "Another rebuild of this database is under way.")
        yield opened
