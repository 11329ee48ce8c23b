"""What changed an account between two points: both balances, and every entry between them."""

from typing import NamedTuple

import asyncpg

from events import checkpoints
from query_side import queries
from query_side.accounts import points
from query_side.accounts.parameters import PointRequest
from query_side.accounts.points import SQL, OpenedAccount, Point
from query_side.counters import AccountCounters
from runtime import database
from runtime.problems import Invalid
from web import cursors
from web.cursors import Cursor

LIST = "balance-difference"
EXAMPLE = (0, 0, 0, 0)


class Difference(NamedTuple):
    """The account's counters at two positions, and a page of the entries after the first."""

    account: OpenedAccount
    first: Point
    last: Point
    before: AccountCounters
    after: AccountCounters
    rows: list[asyncpg.Record]
    next_cursor: str | None


async def between(
    pool: database.Pool,
    ledger: str,
    account_id: str,
    asked: tuple[PointRequest, PointRequest],
    cursor: str | None,
    limit: int,
) -> Difference:
    """Return the difference between two points, and its entries, newest first.

    A cursor remembers both positions, so that every page explains the same difference. Raises
    NotFound, Invalid.
    """
    async with queries.snapshot(pool) as connection:
        account = await points.account(connection, ledger, account_id)
        if cursor is None:
            first, last = [(await points.locate(connection, each)).known for each in asked]
            place = last + 1, 0
        else:
            known = await checkpoints.read(connection, checkpoints.PROJECTOR)
            first, last, position, line = cursors.decode(cursor, LIST, EXAMPLE).cut
            last = min(last, known)
            place = min(position, last + 1), min(line, cursors.LINE_MAX)
        if first > last:
            raise Invalid("period_invalid", "The first point is after the second.", field="from_at")
        ends = Point(first, first), Point(last, last)
        before, after = [await points.at(connection, account, end) for end in ends]
        rows = await connection.fetch(
            SQL["difference"], ledger, account_id, first, *place, limit + 1
        )
    more = len(rows) > limit
    rows = rows[:limit]
    following = (first, last, rows[-1]["position"], rows[-1]["line"]) if more else None
    next_cursor = (
        None if following is None else cursors.encode(LIST, Cursor(up=False, cut=following))
    )
    return Difference(account, *ends, before, after, rows, next_cursor)
