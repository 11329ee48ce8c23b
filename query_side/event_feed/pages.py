"""The log of one ledger, a page at a time or all of it, in bounded work and memory.

All ledgers share the log, so a page reads a bounded part of it: where few of the events match, the
page is short or empty, and its `next` goes on from there (decision 0014).
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from events import ledger_log, log
from query_side.event_feed import answers
from query_side.event_feed.parameters import LIST, EventQuery
from query_side.list_query import PageRequest
from runtime import database
from runtime.database import Executor
from runtime.sql import Row
from web import cursors
from web.cursors import Cursor

LINES_EVENTS_MAX = 1_000
# How many clients of a process read long stretches at the same moment. The others take turns, so
# that connections are left for all other requests.
TURNS = 2


class EventPage(NamedTuple):
    """Events in the order asked for, the head of the log, and cursors of the pages beside."""

    rows: Sequence[Row]
    position: int
    next: str | None
    previous: str


class Stretch(NamedTuple):
    """The positions in (after, until], of a log that ends at `head`."""

    after: int
    until: int
    head: int


async def stretch(connection: Executor, asked: EventQuery) -> Stretch:
    """Return the positions between which the events that are asked for can be."""
    head = (await log.head(connection)).position
    after, until = max(asked.after, await ledger_log.begun(connection, asked.wanted)), head
    if asked.before is not None:
        until = min(until, asked.before - 1)
    if asked.period.start is not None:
        after = max(after, await ledger_log.position_before(connection, asked.period.start))
    if asked.period.end is not None:
        until = min(until, await ledger_log.position_before(connection, asked.period.end))
    return Stretch(after, until, head)


async def page(pool: database.Pool, asked: EventQuery, request: PageRequest) -> EventPage:
    """Return one page. The log only grows, so it needs no snapshot."""
    async with pool.acquire() as connection:
        after, until, head = await stretch(connection, asked)
        up = request.ascending if request.cursor is None else request.cursor.up
        near = after + 1 if up else until + 1
        if request.cursor is not None:
            (near,) = request.cursor.cut
            after, until = (max(after, near - 1), until) if up else (after, min(until, near - 1))
        rows, edge = await ledger_log.look(
            connection, asked.wanted, after, until, request.limit + 1, backwards=not up
        )
    if len(rows) > request.limit:
        rows = rows[: request.limit]
        last: int = rows[-1]["notification_id"]
        edge = last if up else last - 1
    more = edge < until if up else edge > after
    back = cursors.encode(LIST, Cursor(not up, (near,)))
    # A page that read no position ends where it begins.
    far = max(near, edge + 1) if up else min(near, edge + 1)
    onward = cursors.encode(LIST, Cursor(up, (far,)))
    if up is request.ascending:
        return EventPage(rows, head, onward if more else None, back)
    return EventPage(rows[::-1], head, back, onward)


async def lines(
    pool: database.Pool, turns: asyncio.Semaphore, asked: EventQuery, within: Stretch
) -> AsyncGenerator[bytes, None]:
    """Yield all events of a stretch, one a line; no connection is held while the client reads."""
    edge = within.after
    while edge < within.until:
        async with turns, pool.acquire() as connection:
            rows, edge = await ledger_log.look(
                connection, asked.wanted, edge, within.until, LINES_EVENTS_MAX
            )
        if rows:
            yield b"".join(answers.event_json(row) + b"\n" for row in rows)
