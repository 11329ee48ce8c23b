"""A statement: an account's balances at both ends of a period, and every entry between them.

    by recorded time     the entries between two positions, as they were recorded
    by effective time    those of them that were not dated back, merged with the entries that were
                         dated back into the period and known at the statement's point

The balances come from counters, the totals from a sum, and the entries one by one. All three must
lead to the same closing balance; otherwise the statement is broken off.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import NAMESPACE_OID, UUID, uuid5

import asyncpg
import msgspec

from events import codec
from events.types import BooksClosed, Kind, Posting, Side, books_stream_id
from query_side import queries
from query_side.accounts import points
from query_side.accounts.parameters import PointRequest
from query_side.accounts.points import SQL, OpenedAccount, Point
from query_side.counters import AccountCounters
from query_side.statements.parameters import Basis, StatementPeriod
from runtime import database
from runtime.database import Executor
from web import cursors

# Rows of one query: some hundred kilobytes, however long the statement is.
PAGE_ROWS = 500
# Amounts are text in the column.
_POSTINGS = msgspec.json.Decoder(tuple[Posting, ...], strict=False)

Row = asyncpg.Record
EntryKey = tuple[datetime, int, int]


class SideTotal(msgspec.Struct, frozen=True):
    """The number of entries of one side, and their sum in minor units."""

    entries: int = 0
    amount: int = 0


class AccountStatement(msgspec.Struct, frozen=True):
    """A statement without its entries. `known` is the position at which it is true."""

    account: OpenedAccount
    basis: Basis
    period: StatementPeriod
    known: int
    first: int
    last: int
    books_closed: bool
    opening: AccountCounters
    closing: AccountCounters
    debits: SideTotal
    credits: SideTotal

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
        """The id: equal for every request for the same statement."""
        period, account = self.period, self.account
        parts = (account.ledger, account.account_id, period.start, period.end, self.basis)
        return uuid5(NAMESPACE_OID, "|".join(map(str, (*parts, self.known))))


class StatementEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry, and the balance after it; amounts in minor units."""

    position: int
    line: int
    transaction_id: UUID
    kind: Kind
    side: Side
    amount: int
    balance: int
    recorded_at: datetime
    effective_at: datetime
    reference: str | None
    description: str | None
    counterparty: str


async def head(
    pool: database.Pool,
    ledger: str,
    account_id: str,
    period: StatementPeriod,
    basis: Basis,
    asked: PointRequest,
) -> AccountStatement:
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
    return AccountStatement(
        account=account,
        basis=basis,
        period=period,
        known=known,
        first=reached[0],
        last=reached[1],
        books_closed=closed,
        opening=opening,
        closing=closing,
        debits=debits,
        credits=credits_,
    )


async def lines(
    pool: database.Pool, statement: AccountStatement
) -> AsyncIterator[list[StatementEntry]]:
    """Yield the statement's entries, a page at a time, each with the balance after it."""
    normal_side = statement.account.normal_side
    balance = statement.opening_balance
    async for rows in _rows(pool, statement):
        page = []
        for row in rows:
            side = Side(row["side"])
            balance += row["amount"] if side is normal_side else -row["amount"]
            page.append(_entry(row, side, balance))
        yield page
    assert balance == statement.closing_balance, "the entries do not lead to the closing balance"


async def _books_closed(
    connection: Executor, ledger: str, period: StatementPeriod, known: int
) -> bool:
    """Return whether, at `known`, nothing could be dated into the period any more."""
    row = await connection.fetchrow(SQL["last_closing"], books_stream_id(ledger), known)
    if row is None:
        return False
    event = codec.recorded(row).event
    assert isinstance(event, BooksClosed)
    return event.closed_before >= period.end


async def _end(connection: Executor, basis: Basis, known: int, moment: datetime) -> Point:
    """Return an end of the period as a point; by recorded time nothing later counts."""
    reached = min(known, await queries.position_before(connection, moment))
    if basis is Basis.RECORDED:
        return Point(reached, reached)
    return Point(known, reached, moment)


async def _totals(
    connection: Executor,
    account: OpenedAccount,
    basis: Basis,
    period: StatementPeriod,
    first: int,
    last: int,
    known: int,
) -> dict[Side, SideTotal]:
    where = (account.ledger, account.account_id)
    everything = basis is Basis.RECORDED
    rows = await connection.fetch(SQL["statement_totals"], *where, first, last, everything)
    if basis is Basis.EFFECTIVE:
        rows += await connection.fetch(
            SQL["statement_totals_dated_back"], *where, period.start, period.end, known
        )
    totals = dict.fromkeys(Side, SideTotal())
    for row in rows:
        side = Side(row["side"])
        so_far = totals[side]
        totals[side] = SideTotal(so_far.entries + row["entries"], so_far.amount + row["amount"])
    return totals


async def _rows(pool: database.Pool, statement: AccountStatement) -> AsyncIterator[list[Row]]:
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


async def _recorded(pool: database.Pool, statement: AccountStatement) -> AsyncIterator[list[Row]]:
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


async def _dated_back(pool: database.Pool, statement: AccountStatement) -> AsyncIterator[list[Row]]:
    """Yield pages of what was dated back into the period, whenever it was recorded."""
    account, period = statement.account, statement.period
    where = (account.ledger, account.account_id, period.end, statement.known)
    # Before every row of the period's first moment: no event has the position 0.
    after: EntryKey = (period.start, 0, 0)
    while True:
        rows = await pool.fetch(SQL["statement_entries_dated_back"], *where, *after, PAGE_ROWS)
        yield rows
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1]["effective_at"], rows[-1]["position"], rows[-1]["line"]


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


def _key(row: Row) -> EntryKey:
    return row["effective_at"] or row["recorded_at"], row["position"], row["line"]


def _entry(row: Row, side: Side, balance: int) -> StatementEntry:
    return StatementEntry(
        position=row["position"],
        line=row["line"],
        transaction_id=row["transaction_id"],
        kind=Kind(row["kind"]),
        side=side,
        amount=row["amount"],
        balance=balance,
        recorded_at=row["recorded_at"],
        effective_at=row["effective_at"] or row["recorded_at"],
        reference=row["reference"],
        description=row["description"],
        counterparty=_counterparty(row, side),
    )


def _counterparty(row: Row, side: Side) -> str:
    """Return the other account of the entry's posting: each posting is two lines."""
    if row["postings"] is None:
        other = "destination_account_id" if side is Side.DEBIT else "source_account_id"
        found: str = row[other]
        return found
    line: int = row["line"]
    posting = _POSTINGS.decode(row["postings"])[line // 2]
    return posting.credit if side is Side.DEBIT else posting.debit
