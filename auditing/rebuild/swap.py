"""The new tables take the place of the live ones: nobody's request fails, and no answer is torn.

    #   connection   step                         who waits
    1   first        keep autovacuum away         autovacuum, which gives up after a second
    2   first        lock the checkpoint          the projector, until 7
    3   second       fold the last events         and commit them: from now on nobody reads as of
                                                  a time when they were not there, except
    4   second       open snapshots end           those who already do. A reader that began before
                                                  3 and finds a table swapped would miss rows that
                                                  its own checkpoint promises
    5   first        lock the live tables         readers, until 7: for a fraction of a second
    6   first        move both sets of tables     a change of the catalogue, whatever their size
    7   first        record, COMMIT

Whatever cannot be had in time is given back at once, and tried again after a pause. Statements that
were prepared before look their tables up anew, by name.

Readers take the tables in any order. A reader and a swap that wait for each other are nobody's
request that fails, as long as the swap gives up before PostgreSQL looks for deadlocks: all waits of
step 5 together are shorter than its `deadlock_timeout` (a second, if it was not changed).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from auditing.rebuild.load import Folded, go_on
from auditing.rebuild.tables import NAMES, REBUILT, REPLACED
from events import checkpoints
from runtime.database import Connection
from runtime.problems import Unavailable
from runtime.sql import queries

SQL = queries("auditing")
# What is folded while the projector waits: a fraction of a second.
EVENTS_MAX = 2_000
TRIES_MAX = 60
PAUSE_S = 1.0
SNAPSHOTS_S_MAX = 1.0
SNAPSHOTS_PAUSE_S = 0.005
# For each of eight tables.
LOCK_WAIT_MS = 50
# PostgreSQL sends an autovacuum away for us after its deadlock_timeout.
VACUUM_WAIT_MS = 5_000

Record = Callable[[Connection, int], Awaitable[None]]


async def swap(first: Connection, second: Connection, folded: Folded, record: Record) -> None:
    """Swap, and call `record` with the position in the same transaction. Raises Unavailable."""
    for _ in range(TRIES_MAX):
        await approach(second, folded)
        if await _swapped(first, second, folded, record):
            return
        await asyncio.sleep(PAUSE_S)
    raise Unavailable(
        "swap_blocked",
        f"The new tables could not take their place in {TRIES_MAX} tries: some transaction on this"
        " database is open all the time (see pg_stat_activity), or the projector is faster than"
        " the rebuild. The live tables are as they were.",
    )


async def approach(connection: Connection, folded: Folded) -> None:
    """Fold what the projector has folded meanwhile, while it goes on."""
    async with connection.transaction():
        await go_on(connection, folded, await checkpoints.read(connection, checkpoints.PROJECTOR))


class _NotNowError(Exception):
    """Something is in the way: give everything back, and try again."""


async def _swapped(first: Connection, second: Connection, folded: Folded, record: Record) -> bool:
    """Try once; return whether it was done."""
    try:
        async with first.transaction():
            await _lock(first, "keep_statement", VACUUM_WAIT_MS)
            position = (await checkpoints.lock(first, checkpoints.PROJECTOR)).position
            await _fold_the_last(second, folded, position)
            await _snapshots_ended(second, [first, second])
            await _move(first)
            # What a projector remembers of balances may be what was wrong.
            await first.execute(SQL["touch_checkpoint"])
            await record(first, position)
    except (_NotNowError, asyncpg.LockNotAvailableError):
        return False
    return True


async def _fold_the_last(connection: Connection, folded: Folded, position: int) -> None:
    # Behind: a server that crashed gave the checkpoint back, and the projector folds again.
    if not 0 <= position - folded.position <= EVENTS_MAX:
        raise _NotNowError
    async with connection.transaction():
        await go_on(connection, folded, position)


async def _snapshots_ended(connection: Connection, ours: Sequence[Connection]) -> None:
    """Wait until everybody who reads as of now has ended; whoever comes later does not matter.

    Not to be asked in a transaction, in which PostgreSQL would give the first answer for ever.
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
    """Lock every live table. Raises LockNotAvailableError if one cannot be had in time."""
    rows = await connection.fetch(SQL["swap_statements"], NAMES)
    await connection.execute(SQL["limit_lock_wait"], str(wait_ms))
    for row in rows:
        await connection.execute(row[statement])
    await connection.execute(SQL["limit_lock_wait"], "0")
