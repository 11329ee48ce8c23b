"""A statement: what an account came to at the two ends of a period, and every entry between.

    by recorded time     the entries between two positions, as they were recorded
    by effective time    those of them that were not dated back, and what was dated back into the
                         period until the point that the statement is true of: two orders, merged

The balances come from counters, the totals from a sum, and the entries one by one: each way must
lead to the same closing balance, or the statement is not sent to its end.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import NAMESPACE_OID, UUID, uuid5

import asyncpg
import msgspec

from events import codec
from events.types import BooksClosed, Posting, Side, books_stream_id
from query_side import queries
from query_side.statements import points
from query_side.statements.parameters import Asked, Basis, Period
from query_side.statements.points import SQL, Account, Counters, Point
from runtime import database
from runtime.database import Executor
from web import cursors

# Rows of one query: some hundred kilobytes, however long the statement is.
PAGE_ROWS = 500
_POSTINGS: msgspec.json.Decoder[tuple[Posting, ...]] = msgspec.json.Decoder(tuple[Posting, ...])

Row = asyncpg.Record
Cursor = tuple[datetime, int, int]


class Total(msgspec.Struct, frozen=True):
    """How many entries one side has, and their sum in minor units."""

    entries: int = 0
    amount: int = 0


class Statement(msgspec.Struct, frozen=True):
    """Everything about a statement but its entries. `known` is the position that it is true of."""

    account: Account
    basis: Basis
    period: Period
    known: int
    first: int
    last: int
    books_closed: bool
    opening: Counters
    closing: Counters
    debits: Total
    credits: Total

    @property
    def opening_balance(self) -> int:
        """The balance that everything before the period left."""
        return self.opening.balance(self.account.normal_side)

    @property
    def closing_balance(self) -> int:
        """The balance that the period leaves."""
        return self.closing.balance(self.account.normal_side)

    @property
    def statement_id(self) -> UUID:
        """The same for the same statement, whoever asks and however often."""
        period, account = self.period, self.account
        parts = (account.ledger, account.account_id, period.start, period.end, self.basis)
        return uuid5(NAMESPACE_OID, "|".join(map(str, (*parts, self.known))))


class Line(msgspec.Struct, frozen=True, gc=False):
    """One entry, and the balance after it; amounts in minor units."""

    position: int
    line: int
    transaction_id: UUID
    kind: str
    side: Side
    amount: int
    balance: int
    recorded_at: datetime
    effective_at: datetime
    reference: str | None
    description: str | None
    counterparty: str | None


async def head(
    pool: database.Pool, ledger: str, account_id: str, period: Period, basis: Basis, asked: Asked
) -> Statement:
    """Return a statement without its entries, as it was known at the point. Raises NotFound."""
    async with queries.snapshot(pool) as connection:
        account = await points.account(connection, ledger, account_id)
        known = (await points.locate(connection, asked)).known
        ends = [
            await _end(connection, basis, known, moment) for moment in (period.start, period.end)
        ]
        opening, closing = [await points.at(connection, account, end) for end in ends]
        closed = await _books_closed(connection, ledger, period, known)
        reached = ends[0].reached, ends[1].reached
        totals = await _totals(connection, account, basis, period, *reached, known)
    debits, credits_ = totals[Side.DEBIT], totals[Side.CREDIT]
    assert opening.debits_posted + debits.amount == closing.debits_posted
    assert opening.credits_posted + credits_.amount == closing.credits_posted
    return Statement(
        account, basis, period, known, *reached, closed, opening, closing, debits, credits_
    )


async def lines(pool: database.Pool, statement: Statement) -> AsyncIterator[list[Line]]:
    """Yield the statement's entries, a page at a time, each with the balance after it."""
    normal_side = statement.account.normal_side
    balance = statement.opening_balance
    async for rows in _rows(pool, statement):
        page = []
        for row in rows:
            side = Side(row["side"])
            balance += row["amount"] if side is normal_side else -row["amount"]
            page.append(_line(row, side, balance))
        yield page
    assert balance == statement.closing_balance, "the entries do not lead to the closing balance"


async def _books_closed(connection: Executor, ledger: str, period: Period, known: int) -> bool:
    """Return whether, as it was known, nothing could be dated into the period any more."""
    row = await connection.fetchrow(SQL["last_closing"], books_stream_id(ledger), known)
    if row is None:
        return False
    event = codec.recorded(row).event
    assert isinstance(event, BooksClosed)
    return event.closed_before >= period.end


async def _end(connection: Executor, basis: Basis, known: int, moment: datetime) -> Point:
    """Return an end of the period as a point: nothing later is looked at by recorded time."""
    reached = min(known, await queries.position_before(connection, moment))
    if basis is Basis.RECORDED:
        return Point(reached, reached)
    return Point(known, reached, moment)


async def _totals(
    connection: Executor,
    account: Account,
    basis: Basis,
    period: Period,
    first: int,
    last: int,
    known: int,
) -> dict[Side, Total]:
    where = (account.ledger, account.account_id)
    everything = basis is Basis.RECORDED
    rows = await connection.fetch(SQL["statement_totals"], *where, first, last, everything)
    if basis is Basis.EFFECTIVE:
        rows += await connection.fetch(
            SQL["statement_totals_dated_back"], *where, period.start, period.end, known
        )
    totals = dict.fromkeys(Side, Total())
    for row in rows:
        side = Side(row["side"])
        so_far = totals[side]
        totals[side] = Total(so_far.entries + row["entries"], so_far.amount + row["amount"])
    return totals


async def _rows(pool: database.Pool, statement: Statement) -> AsyncIterator[list[Row]]:
    """Yield the rows of the period in the order of the basis."""
    if statement.basis is Basis.RECORDED:
        async for rows in _recorded(pool, statement):
            yield rows
        return
    merged: list[Row] = []
    async for row in _merged(
        _one_by_one(_recorded(pool, statement)), _one_by_one(_dated_back(pool, statement))
    ):
        merged.append(row)
        if len(merged) == PAGE_ROWS:
            yield merged
            merged = []
    if merged:
        yield merged


async def _recorded(pool: database.Pool, statement: Statement) -> AsyncIterator[list[Row]]:
    """Yield pages of what was recorded in the period; what was dated back by recorded time only."""
    account = statement.account
    where = (account.ledger, account.account_id)
    everything = statement.basis is Basis.RECORDED
    position, line = statement.first, cursors.LINE_MAX
    while True:
        rows = await pool.fetch(
            SQL["statement_entries"],
            *where,
            position,
            line,
            statement.last,
            everything,
            PAGE_ROWS,
        )
        yield rows
        if len(rows) < PAGE_ROWS:
            return
        position, line = rows[-1]["position"], rows[-1]["line"]


async def _dated_back(pool: database.Pool, statement: Statement) -> AsyncIterator[list[Row]]:
    """Yield pages of what was dated back into the period, whenever it was recorded."""
    account, period = statement.account, statement.period
    where = (account.ledger, account.account_id, period.end, statement.known)
    # Before every row of the period's first moment: no event has the position 0.
    place: Cursor = (period.start, 0, 0)
    while True:
        rows = await pool.fetch(SQL["statement_entries_dated_back"], *where, *place, PAGE_ROWS)
        yield rows
        if len(rows) < PAGE_ROWS:
            return
        place = rows[-1]["effective_at"], rows[-1]["position"], rows[-1]["line"]


async def _one_by_one(pages: AsyncIterator[list[Row]]) -> AsyncIterator[Row]:
    async for rows in pages:
        for row in rows:
            yield row


async def _merged(one: AsyncIterator[Row], other: AsyncIterator[Row]) -> AsyncIterator[Row]:
    """Yield the rows of two ordered iterators in one order."""
    first, second = await anext(one, None), await anext(other, None)
    while first is not None and second is not None:
        if _key(first) < _key(second):
            yield first
            first = await anext(one, None)
        else:
            yield second
            second = await anext(other, None)
    for head_row, rest in ((first, one), (second, other)):
        if head_row is not None:
            yield head_row
            async for row in rest:
                yield row


def _key(row: Row) -> Cursor:
    return row["effective_at"] or row["recorded_at"], row["position"], row["line"]


def _line(row: Row, side: Side, balance: int) -> Line:
    return Line(
        row["position"],
        row["line"],
        row["transaction_id"],
        row["kind"],
        side,
        row["amount"],
        balance,
        row["recorded_at"],
        row["effective_at"] or row["recorded_at"],
        row["reference"],
        row["description"],
        _counterparty(row, side),
    )


def _counterparty(row: Row, side: Side) -> str | None:
    """Return the other account of the entry's posting: each posting is two lines."""
    if row["postings"] is None:
        other = "destination_account_id" if side is Side.DEBIT else "source_account_id"
        found: str | None = row[other]
        return found
    line: int = row["line"]
    posting = _POSTINGS.decode(row["postings"])[line // 2]
    return posting.credit if side is Side.DEBIT else posting.debit
