"""Reading the log for somebody: of one ledger, in bounded steps, up to a position or a time.

Nothing here asks a read model, so what it finds is what was recorded, projected or not.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from events import event_filter, log
from events.event_filter import Wanted
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("events")
LOOK_MAX = 20_000


class Found(NamedTuple):
    """Wanted events, and the position where looking for them stopped.

    Upwards everything up to `edge` was looked at; downwards everything after it.
    """

    rows: Sequence[Row]
    edge: int


async def look(
    connection: Executor,
    wants: Wanted,
    after: int,
    until: int,
    limit: int,
    *,
    backwards: bool = False,
) -> Found:
    """Look for wanted events in (after, until], from its beginning or backwards from its end.

    Looks at LOOK_MAX events at most, and returns `limit` at most: either bound may be what stopped
    it, and `edge` is where to go on.
    """
    if backwards:
        name, low, high = "read_of_ledger_backwards", max(after, until - LOOK_MAX), until
    else:
        name, low, high = "read_of_ledger", after, min(until, after + LOOK_MAX)
    rows: Sequence[Row] = await connection.fetch(
        SQL[name], low, high, wants.ledger, wants.topic, wants.needle, limit
    )
    edge = low if backwards else high
    if len(rows) == limit:
        last: int = rows[-1]["notification_id"]
        edge = last - 1 if backwards else last
    return Found([row for row in rows if wants.takes(row)], edge)


async def tail(
    connection: Executor, ledgers: Sequence[str], after: int, until: int, limit: int
) -> Found:
    """Look for events of several ledgers in (after, until]; each row has its `ledger`, too."""
    until = min(until, after + LOOK_MAX)
    rows = await connection.fetch(SQL["read_tail"], after, until, ledgers, limit)
    return Found(rows, rows[-1]["notification_id"] if len(rows) == limit else until)


async def begun(connection: Executor, wants: Wanted) -> int:
    """Return a position after which all events of the wanted transaction are; 0 if none is known.

    What is about a transaction that exists was recorded after it.
    """
    if wants.transaction_id is None:
        return 0
    for row in await connection.fetch(SQL["find"], [wants.transaction_id]):
        if event_filter.told_by(row).ledger == wants.ledger:
            position: int = row["notification_id"]
            return position - 1
    return 0


async def position_before(connection: Executor, moment: datetime) -> int:
    """Return the last position that was recorded before `moment`; 0 is before the log.

    Recorded times follow positions, so each question halves what is left of the log.
    """
    low, high = 0, (await log.head(connection)).position
    while low < high:
        middle = (low + high) // 2
        rows = await log.rows_after(connection, middle, 1)
        if rows and event_filter.told_by(rows[0]).recorded_at < moment:
            low = rows[0]["notification_id"]
        else:
            high = middle
    return low
