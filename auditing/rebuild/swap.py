"""Swap the new tables with the live ones; no request fails, and every answer is consistent.

    #   connection   step                         who waits, and why
    1   first        lock autovacuum out          autovacuum, which gives up after a second
    2   first        lock the checkpoint          the projector, until 7
    3   second       fold the last events         nobody; they are committed for all new snapshots
    4   second       wait for older snapshots     the swap: a reader that began before 3, and finds
                                                  a table swapped, would miss rows that its own
                                                  checkpoint promises
    5   first        lock the live tables         readers, until 7: for a fraction of a second
    6   first        move both sets of tables     nobody: the catalogue changes, and no row
    7   first        record, COMMIT

If a lock is not granted in time, everything is rolled back, and tried again after a pause. Prepared
statements look their tables up by name, and so find the new ones.

Readers lock the tables in any order, so a reader and a swap may wait for each other. No request
fails, because the swap gives up before PostgreSQL looks for deadlocks: all waits of step 5 together
are shorter than `deadlock_timeout` (a second, by default).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from auditing.rebuild.load import Folded, fold_on
from auditing.rebuild.tables import NAMES, REBUILT, REPLACED
from events import checkpoints
from runtime.database import Connection
from runtime.problems import Unavailable
from runtime.sql import queries

SQL = queries("auditing")
# The projector waits while these events are folded: a fraction of a second.
EVENTS_MAX = 2_000
TRIES_MAX = 60
PAUSE_S = 1.0
SNAPSHOTS_S_MAX = 1.0
SNAPSHOTS_PAUSE_S = 0.005
# For each of the eight tables.
LOCK_WAIT_MS = 50
# PostgreSQL cancels an autovacuum that blocks a lock after its deadlock_timeout.
VACUUM_WAIT_MS = 5_000

Record = Callable[[Connection, int], Awaitable[None]]


async def swap(first: Connection, second: Connection, folded: Folded, record: Record) -> None:
    """Swap, and call `record` with the position, in one transaction. Raises Unavailable."""
    for _ in range(TRIES_MAX):
        await approach(second, folded)
        if await _swapped(first, second, folded, record):
            return
        await asyncio.sleep(PAUSE_S)
    raise Unavailable(
        "swap_blocked",
        f"The new tables could not be swapped in within {TRIES_MAX} tries: some transaction on this"
        " database is open all the time (see pg_stat_activity), or the projector is faster than"
        " the rebuild. The live tables are as they were.",
    )


async def approach(connection: Connection, folded: Folded) -> None:
    """Fold what the projector has folded since, without stopping it."""
    async with connection.transaction():
        await fold_on(connection, folded, await checkpoints.read(connection, checkpoints.PROJECTOR))


class _NotNowError(Exception):
    """Another transaction is in the way: roll back, and try again."""


async def _swapped(first: Connection, second: Connection, folded: Folded, record: Record) -> bool:
    """Try to swap once; return whether it succeeded."""
    try:
        async with first.transaction():
            await _lock(first, "keep_statement", VACUUM_WAIT_MS)
            position = (await checkpoints.lock(first, checkpoints.PROJECTOR)).position
            await _fold_the_last(second, folded, position)
            await _snapshots_ended(second, [first, second])
            await _move(first)
            # A projector must not continue from balances that it remembers: they may be wrong.
            await first.execute(SQL["touch_checkpoint"])
            await record(first, position)
    except (_NotNowError, asyncpg.LockNotAvailableError):
        return False
    return True


async def _fold_the_last(connection: Connection, folded: Folded, position: int) -> None:
    # Negative: after a crash of PostgreSQL, the checkpoint is behind, and moves on again.
    if not 0 <= position - folded.position <= EVENTS_MAX:
        raise _NotNowError
    async with connection.transaction():
        await fold_on(connection, folded, position)


async def _snapshots_ended(connection: Connection, ours: Sequence[Connection]) -> None:
    """Wait until all snapshots that are open now have ended. Newer ones see the last events.

    The caller has no transaction, in which PostgreSQL would repeat its first answer.
    """
    pids = [one.get_server_pid() for one in ours]
    before = {tuple(row) for row in await connection.fetch(SQL["open_snapshots"], pids)}
    deadline = time.monotonic() + SNAPSHOTS_S_MAX
    while before and time.monotonic() < deadline:
        await asyncio.sleep(SNAPSHOTS_PAUSE_S)
        before &= {tuple(row) for row in await connection.fetch(SQL["open_snapshots"], pids)}
    if before:
        raise _NotNowError


async def _move(connection: Connection) -> None:
    """Move the live tables away and the new ones in."""
    await _lock(connection, "lock_statement", LOCK_WAIT_MS)
    await connection.execute(f"CREATE SCHEMA {REPLACED}")
    for row in await connection.fetch(SQL["swap_statements"], NAMES):
        await connection.execute(row["away_statement"])
        await connection.execute(row["in_statement"])
    await connection.execute(f"DROP SCHEMA {REBUILT}")


async def _lock(connection: Connection, statement: str, wait_ms: int) -> None:
    """Lock every live table. Raises LockNotAvailableError if one lock is not granted in time."""
    rows = await connection.fetch(SQL["swap_statements"], NAMES)
    await connection.execute(SQL["limit_lock_wait"], str(wait_ms))
    for row in rows:
        await connection.execute(row[statement])
    await connection.execute(SQL["limit_lock_wait"], "0")
