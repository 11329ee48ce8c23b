"""The log: append under one lock, read after a position.

Promise: positions are 1, 2, 3 … without gaps, in the order of commits, and recorded times never go
backwards. A writer holds the row lock of `events.head` until its commit, and appends only what it
decided on that head.
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

    Every row of the command side's accounts has the events up to `accounts_stored`. `mended` counts
    the repairs of such rows.
    """

    position: int
    recorded_at: datetime
    accounts_stored: int
    mended: int


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
    """Append each (stream id, version, event) after `head`, and return the head after that.

    Return None, and append nothing, if another process has moved the head; while the caller has
    locked it, none can. Raises asyncpg.UniqueViolationError if a stream already has that version.
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
    """Return the same as stored rows, for a caller that only passes them on."""
    return await connection.fetch(SQL["read_after"], position, until, limit)


async def rows_at(connection: Executor, positions: Sequence[int]) -> Sequence[Row]:
    """Return the events at these positions, as stored, in order."""
    return await connection.fetch(SQL["read_at"], positions)


async def pages(
    connection: Executor, after: int, until: int, mentioning: str | None = None
) -> AsyncIterator[list[Recorded]]:
    """Yield the events in (after, until], a bounded page at a time.

    With `mentioning`, yield only the events whose state has that account id as a JSON string: a
    coarse filter that leaves out most of the log.
    """
    async for rows in stored_pages(connection, after, until, mentioning):
        yield [codec.recorded(row) for row in rows]


async def stored_pages(
    connection: Executor, after: int, until: int, mentioning: str | None = None
) -> AsyncIterator[Sequence[Row]]:
    """Yield the same as stored rows, for a caller that looks at the bytes first."""
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
