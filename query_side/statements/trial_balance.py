"""The trial balance: every account's counters at a point, and what they sum up to.

The totals are always those of the whole ledger, whatever page of its accounts is shown.
"""

from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

import asyncpg
import msgspec

from events.types import AccountType
from query_side import queries
from query_side.statements import points
from query_side.statements.parameters import Asked
from query_side.statements.points import SQL, Counters, Point
from runtime import database
from runtime.sql import Row
from web import cursors
from web.cursors import Cursor

PAGE_ROWS = 500
LIST = "trial-balance"
EXAMPLE = (0, "")


class Sum(msgspec.Struct):
    """The counters of some accounts of one currency together."""

    account_type: AccountType | None = None
    account_class: str | None = None
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    def add(self, row: Row) -> None:
        """Add the counters of a row."""
        self.debits_posted += row["debits_posted"]
        self.credits_posted += row["credits_posted"]
        self.debits_pending += row["debits_pending"]
        self.credits_pending += row["credits_pending"]

    @property
    def balanced(self) -> bool:
        """Whether debits equal credits, posted and pending."""
        posted = self.debits_posted == self.credits_posted
        return posted and self.debits_pending == self.credits_pending


class Totals(msgspec.Struct):
    """The sums of one currency: of all accounts, by type, by class."""

    currency: str
    everything: Sum
    types: dict[AccountType, Sum]
    classes: list[Sum]


class TrialBalance(NamedTuple):
    """The totals at a point, and a page of the accounts."""

    point: Point
    totals: list[Totals]
    rows: list[asyncpg.Record]
    next_cursor: str | None


async def page(
    pool: database.Pool,
    ledger: str,
    asked: Asked,
    currency: str | None,
    cursor: str | None,
    limit: int,
) -> TrialBalance:
    """Return the trial balance at a point, and a page of its accounts. Raises Invalid.

    A cursor remembers the position, so that every page is of the same trial balance.
    """
    after = ""
    if cursor is not None:
        position, after = cursors.decode(cursor, LIST, EXAMPLE).cut
        asked = msgspec.structs.replace(asked, position=position, recorded_before=None)
    async with queries.snapshot(pool) as connection:
        point = await points.locate(connection, asked)
        where = (ledger, point.reached, point.known, point.effective_before, currency)
        totals = _totals(await connection.fetch(SQL["trial_balance_totals"], *where))
        rows = await connection.fetch(SQL["trial_balance_accounts"], *where, after, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    next_cursor = None
    if more:
        place = Cursor(up=True, cut=(point.known, rows[-1]["account_id"]))
        next_cursor = cursors.encode(LIST, place)
    return TrialBalance(point, totals, rows, next_cursor)


async def accounts(
    pool: database.Pool, ledger: str, point: Point, currency: str | None
) -> AsyncIterator[list[asyncpg.Record]]:
    """Yield all accounts of a trial balance, a page at a time."""
    where = (ledger, point.reached, point.known, point.effective_before, currency)
    after = ""
    while True:
        rows = await pool.fetch(SQL["trial_balance_accounts"], *where, after, PAGE_ROWS)
        yield rows
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1]["account_id"]


def counters(row: Row) -> Counters:
    """Return the counters of an account's row."""
    return Counters(
        row["debits_posted"], row["credits_posted"], row["debits_pending"], row["credits_pending"]
    )


def _totals(rows: Iterable[Row]) -> list[Totals]:
    """Sum up rows, one a class, in their order."""
    found: dict[str, Totals] = {}
    for row in rows:
        kind = AccountType(row["account_type"])
        currency = row["currency"]
        totals = found.setdefault(currency, Totals(currency, Sum(), {}, []))
        totals.classes.append(Sum(kind, row["account_class"]))
        of_type = totals.types.setdefault(kind, Sum(kind))
        for each in (totals.everything, of_type, totals.classes[-1]):
            each.add(row)
    return list(found.values())
