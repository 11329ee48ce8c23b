"""The trial balance: every account's counters at a point, and what they sum up to.

The totals are those of the whole ledger on every page of its accounts.
"""

from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

import asyncpg
import msgspec

from events.types import AccountType, Side
from query_side import queries
from query_side.accounts import points
from query_side.accounts.parameters import PointRequest
from query_side.accounts.points import SQL, Point
from query_side.counters import NAMES
from runtime import database
from runtime.sql import Row
from web import cursors
from web.cursors import Cursor

PAGE_ROWS = 500
LIST = "trial-balance"
EXAMPLE = (0, "")


class CounterSum(msgspec.Struct):
    """The sums of the counters of accounts of one currency: all, of one type, or of one class."""

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

    def counters(self) -> dict[str, int]:
        """Return the four counters by their names."""
        return {name: getattr(self, name) for name in NAMES}

    @property
    def balance(self) -> int | None:
        """What is posted, signed by the side that accounts of the type usually have."""
        if self.account_type is None:
            return None
        posted = self.credits_posted - self.debits_posted
        return posted if self.account_type.normal_side is Side.CREDIT else -posted

    @property
    def balanced(self) -> bool:
        """Whether debits equal credits, posted and pending."""
        posted = self.debits_posted == self.credits_posted
        return posted and self.debits_pending == self.credits_pending


class CurrencySums(msgspec.Struct):
    """The sums of one currency: of all accounts, by type, by class."""

    currency: str
    everything: CounterSum
    types: dict[AccountType, CounterSum]
    classes: list[CounterSum]


class TrialBalancePage(NamedTuple):
    """The totals at a point, and a page of the accounts."""

    point: Point
    totals: list[CurrencySums]
    rows: list[asyncpg.Record]
    next_cursor: str | None


async def page(
    pool: database.Pool,
    ledger: str,
    asked: PointRequest,
    currency: str | None,
    cursor: str | None,
    limit: int,
) -> TrialBalancePage:
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
    return TrialBalancePage(point, totals, rows, next_cursor)


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


def _totals(rows: Iterable[Row]) -> list[CurrencySums]:
    """Return the sums of rows, each of which is a class, in their order."""
    found: dict[str, CurrencySums] = {}
    for row in rows:
        kind = AccountType(row["account_type"])
        currency = row["currency"]
        totals = found.setdefault(currency, CurrencySums(currency, CounterSum(), {}, []))
        totals.classes.append(CounterSum(kind, row["account_class"]))
        of_type = totals.types.setdefault(kind, CounterSum(kind))
        for each in (totals.everything, of_type, totals.classes[-1]):
            each.add(row)
    return list(found.values())
