"""The new tables take the place of the live ones: nobody's request fails, and no answer is torn.

    #   connection   step                         who waits
    1   first        lock the checkpoint          the projector, until 6
    2   second       fold the last events         and commit them: from now on nobody reads as of
                                                  a time when they were not there, except
    3   first        open snapshots end           those who already do. A reader that began before
                                                  2 and finds a table swapped would miss rows that
                                                  its own checkpoint promises
    4   first        lock the live tables         readers, until 6: for SWAP_LOCK_WAIT_MS at most
    5   first        move both sets of tables     a change of the catalogue, whatever their size
    6   first        record, COMMIT

Whatever cannot be had in time is given back at once, and tried again after a pause. Statements that
were prepared before look their tables up anew, by name.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from events import checkpoints
from projections.rebuilding.load import Folded, go_on
from projections.rebuilding.tables import NAMES, REBUILT, REPLACED
from runtime.database import Connection
from runtime.problems import Unavailable
from runtime.sql import queries

SQL = queries("projections")
# What is folded while the projector waits: a fraction of a second.
EVENTS_MAX = 2_000
TRIES_MAX = 60
PAUSE_S = 1.0
SNAPSHOTS_S_MAX = 1.0
SNAPSHOTS_PAUSE_S = 0.005
# Longer than PostgreSQL's deadlock_timeout, after which an autovacuum in the way gives up.
SWAP_LOCK_WAIT_MS = 1_500

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


async def _swapped(first: Connection, second: Connection, folded: Folded, record: Record) -> bool:
    transaction = first.transaction()
    await transaction.start()
    try:
        position = await checkpoints.lock(first, checkpoints.PROJECTOR)
        done = 0 <= position - folded.position <= EVENTS_MAX
        if done:
            async with second.transaction():
                await go_on(second, folded, position)
            done = await _snapshots_ended(second, [first, second]) and await _moved(first)
        if done:
            await record(first, position)
    except BaseException:
        await transaction.rollback()
        raise
    if done:
        await transaction.commit()
    else:
        await transaction.rollback()
    return done


async def _snapshots_ended(connection: Connection, ours: Sequence[Connection]) -> bool:
    """Wait until everybody who reads as of now has ended; whoever comes later does not matter.

    Not to be asked in a transaction, in which PostgreSQL would give the first answer for ever.
    """
    pids = [one.get_server_pid() for one in ours]
    before = {tuple(row) for row in await connection.fetch(SQL["open_snapshots"], pids)}
    deadline = time.monotonic() + SNAPSHOTS_S_MAX
    while before and time.monotonic() < deadline:
        await asyncio.sleep(SNAPSHOTS_PAUSE_S)
        before &= {tuple(row) for row in await connection.fetch(SQL["open_snapshots"], pids)}
    return not before


async def _moved(connection: Connection) -> bool:
    """Move the live tables away and the new ones in; False if somebody reads for too long."""
    rows = await connection.fetch(SQL["swap_statements"], NAMES)
    await connection.execute(SQL["limit_lock_wait"], str(SWAP_LOCK_WAIT_MS))
    try:
        async with connection.transaction():
            for row in rows:
                await connection.execute(row["lock_statement"])
    except asyncpg.LockNotAvailableError:
        return False
    await connection.execute(f"CREATE SCHEMA {REPLACED}")
    for row in rows:
        await connection.execute(row["away_statement"])
        await connection.execute(row["in_statement"])
    await connection.execute(f"DROP SCHEMA {REBUILT}")
    return True
