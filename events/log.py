"""The log: append under one lock, read after a position.

Promise: positions are 1, 2, 3 … without gaps, in commit order; recorded times never go backwards.
Whoever appends holds the row lock of `events.head` until its commit, and has decided on the head
that it locked.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events import codec
from events.types import Event, Recorded
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("events")
PAGE_EVENTS_MAX = 5_000
NOTHING_INSERTED = "INSERT 0 0"
NO_END = 2**63 - 1


class Head(msgspec.Struct, frozen=True):
    """The last position taken, and the last recorded time.

    Every row of the command side's accounts holds the events up to `accounts_stored`, and `mended`
    counts how often such rows were mended in another way than by appending.
    """

    position: int
    recorded_at: datetime
    accounts_stored: int
    mended: int

    def at(self, now: datetime) -> datetime:
        """Return the time to record next: `now`, but never before the last one."""
        return max(self.recorded_at, now)


async def lock_head(connection: Executor) -> Head:
    """Lock the head until the transaction ends, and return it."""
    row = await connection.fetchrow(SQL["lock_head"])
    assert row is not None, "the log has no head row"
    return Head(*row)


async def head(connection: Executor) -> Head:
    """Return the head without locking it."""
    row = await connection.fetchrow(SQL["head"])
    assert row is not None, "the log has no head row"
    return Head(*row)


async def find(connection: Executor, originator_ids: Sequence[UUID]) -> dict[UUID, Recorded]:
    """Return the first event of each of these streams that exists."""
    rows = await connection.fetch(SQL["find"], originator_ids)
    return {row["originator_id"]: codec.recorded(row) for row in rows}


async def append(
    connection: Executor,
    head: Head,
    events: Sequence[tuple[UUID, int, Event]],
    accounts_stored: int,
) -> Head | None:
    """Append (stream id, version, event) behind `head`, and return the head that is left.

    None, and nothing is appended, if `head` is not the log's any more; of whoever has locked it, it
    is. Raises asyncpg.UniqueViolationError if a stream already has that version.
    """
    recorded_at = events[-1][2].recorded_at
    assert recorded_at >= head.recorded_at, "recorded time went backwards"
    status = await connection.execute(
        SQL["append"],
        head.position,
        head.mended,
        recorded_at,
        accounts_stored,
        [stream_id for stream_id, _, _ in events],
        [version for _, version, _ in events],
        [event.topic for _, _, event in events],
        [codec.encode(event) for _, _, event in events],
    )
    if status == NOTHING_INSERTED:
        return None
    return Head(head.position + len(events), recorded_at, accounts_stored, head.mended)


async def read_after(
    connection: Executor, position: int, limit: int, until: int = NO_END
) -> list[Recorded]:
    """Return up to `limit` events after `position`, in order, none after `until`."""
    rows = await rows_after(connection, position, limit, until)
    return [codec.recorded(row) for row in rows]


async def rows_after(
    connection: Executor, position: int, limit: int, until: int = NO_END
) -> Sequence[Row]:
    """Return the same as stored, for those who only pass it on."""
    return await connection.fetch(SQL["read_after"], position, until, limit)


async def rows_at(connection: Executor, positions: Sequence[int]) -> Sequence[Row]:
    """Return the events at these positions, as stored, in order."""
    return await connection.fetch(SQL["read_at"], positions)


async def pages(
    connection: Executor, after: int, until: int, mentioning: str | None = None
) -> AsyncIterator[list[Recorded]]:
    """Yield the events in (after, until], a bounded page at a time.

    With `mentioning`, only those whose state holds that account id as a JSON string: a coarse
    filter that spares the reader most of the log.
    """
    async for rows in stored_pages(connection, after, until, mentioning):
        yield [codec.recorded(row) for row in rows]


async def stored_pages(
    connection: Executor, after: int, until: int, mentioning: str | None = None
) -> AsyncIterator[Sequence[Row]]:
    """Yield the same as stored, for those who look at the bytes first."""
    position = after
    while position < until:
        if mentioning is None:
            rows = await rows_after(connection, position, PAGE_EVENTS_MAX, until)
        else:
            needle = f'"{mentioning}"'.encode()
            rows = await connection.fetch(
                SQL["read_mentioning"], position, until, needle, PAGE_EVENTS_MAX
            )
        if not rows:
            return
        yield rows
        position = rows[-1]["notification_id"]
