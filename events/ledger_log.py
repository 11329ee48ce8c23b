"""Reading the log of one ledger, in bounded steps, up to a position or a time.

Nothing here reads a read model, so it finds what was recorded, projected or not.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from events import event_filter, log
from events.event_filter import EventFilter
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("events")
LOOK_MAX = 20_000


class Found(NamedTuple):
    """Matching events, and the position where reading stopped.

    Upwards everything up to `edge` was read; backwards everything after it.
    """

    rows: Sequence[Row]
    edge: int


async def look(
    connection: Executor,
    wanted: EventFilter,
    after: int,
    until: int,
    limit: int,
    *,
    backwards: bool = False,
) -> Found:
    """Return matching events of (after, until], from its beginning or backwards from its end.

    At most LOOK_MAX positions are read, and at most `limit` events returned. Either bound may stop
    the reading; `edge` is where to go on.
    """
    if backwards:
        name, low, high = "read_of_ledger_backwards", max(after, until - LOOK_MAX), until
    else:
        name, low, high = "read_of_ledger", after, min(until, after + LOOK_MAX)
    rows: Sequence[Row] = await connection.fetch(
        SQL[name], low, high, wanted.ledger, wanted.topic, wanted.needle, limit
    )
    edge = low if backwards else high
    if len(rows) == limit:
        last: int = rows[-1]["notification_id"]
        edge = last - 1 if backwards else last
    return Found([row for row in rows if wanted.matches(row)], edge)


async def tail(
    connection: Executor, ledgers: Sequence[str], after: int, until: int, limit: int
) -> Found:
    """Return events of several ledgers in (after, until]; each row also has its `ledger`."""
    until = min(until, after + LOOK_MAX)
    rows = await connection.fetch(SQL["read_tail"], after, until, ledgers, limit)
    return Found(rows, rows[-1]["notification_id"] if len(rows) == limit else until)


async def begun(connection: Executor, wanted: EventFilter) -> int:
    """Return a position before all events that match; 0 if no later one is known.

    Events about a transaction are recorded after the transaction itself.
    """
    if wanted.transaction_id is None:
        return 0
    for row in await connection.fetch(SQL["find"], [wanted.transaction_id]):
        if event_filter.event_header(row).ledger == wanted.ledger:
            position: int = row["notification_id"]
            return position - 1
    return 0


async def position_before(connection: Executor, moment: datetime) -> int:
    """Return the last position that was recorded before `moment`; 0 is before the log.

    Recorded times follow positions, so each read halves what is left of the log.
    """
    low, high = 0, (await log.head(connection)).position
    while low < high:
        middle = (low + high) // 2
        rows = await log.rows_after(connection, middle, 1)
        if rows and event_filter.event_header(rows[0]).recorded_at < moment:
            low = rows[0]["notification_id"]
        else:
            high = middle
    return low
