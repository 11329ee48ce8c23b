"""Statements and the trial balance as CSV (RFC 4180), written piece by piece.

Amounts are exact, in units, with all their decimals. Free text is guarded against spreadsheets that
would take it for a formula (runtime/csv_cells.py).
"""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable

import asyncpg

from events import money
from events.schema import Schema
from events.types import Side
from query_side import counters
from query_side.counters import NAMES
from query_side.statements.statement import AccountStatement, StatementEntry
from query_side.statements.trial_balance import CounterSum, CurrencySums
from runtime.csv_cells import guarded

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
STATEMENT_HEADER = (
    *("row", "account_id", "currency", "position", "line", "transaction_id", "kind"),
    *("recorded_at", "effective_at", "counterparty_account_id", "reference", "description"),
    *("debit", "credit", "balance"),
)
TRIAL_BALANCE_HEADER = (
    *("row", "currency", "account_type", "account_class", "account_id", "normal_side"),
    *(*NAMES, "balance"),
)

Cells = Iterable[object]


async def statement(
    found: AccountStatement, pages: AsyncIterator[list[StatementEntry]], decimals: int
) -> AsyncGenerator[bytes, None]:
    """Yield a header, the opening balance, the entries, and the closing balance with the totals."""
    account, period = found.account, found.period
    own = account.account_id, account.currency

    def end(row: str, time: str, *amounts: str) -> Cells:
        return (row, *own, "", "", "", "", "", time, "", "", "", *amounts)

    def text(minor: int) -> str:
        return money.to_text(minor, decimals)

    opening = end("opening", period.start.isoformat(), "", "", text(found.opening_balance))
    yield _encoded([STATEMENT_HEADER, opening])
    async for page in pages:
        yield _encoded(_entry(line, own, decimals) for line in page)
    totals = text(found.debits.amount), text(found.credits.amount)
    yield _encoded([end("closing", period.end.isoformat(), *totals, text(found.closing_balance))])


async def trial_balance(
    totals: list[CurrencySums], pages: AsyncIterator[list[asyncpg.Record]], schema: Schema
) -> AsyncGenerator[bytes, None]:
    """Yield a header, every account, and the sums of each class, type and currency."""
    yield _encoded([TRIAL_BALANCE_HEADER])
    async for page in pages:
        yield _encoded(_account(row, schema) for row in page)
    yield _encoded(row for each in totals for row in _sums(each, schema))


def _entry(line: StatementEntry, own: tuple[str, str], decimals: int) -> Cells:
    amount = money.to_text(line.amount, decimals)
    return (
        "entry",
        *own,
        line.position,
        line.line,
        line.transaction_id,
        line.kind,
        line.recorded_at.isoformat(),
        line.effective_at.isoformat(),
        line.counterparty,
        guarded(line.reference),
        guarded(line.description),
        *((amount, "") if line.side is Side.DEBIT else ("", amount)),
        money.to_text(line.balance, decimals),
    )


def _account(row: asyncpg.Record, schema: Schema) -> Cells:
    decimals = schema.decimals(row["currency"])
    balance = counters.of_row(row).balance(Side(row["normal_side"]))
    return (
        "account",
        row["currency"],
        row["account_type"],
        row["account_class"],
        row["account_id"],
        row["normal_side"],
        *(money.to_text(row[name], decimals) for name in NAMES),
        money.to_text(balance, decimals),
    )


def _sums(totals: CurrencySums, schema: Schema) -> Iterable[Cells]:
    decimals = schema.decimals(totals.currency)
    for row, sums in (
        ("class", totals.classes),
        ("type", totals.types.values()),
        ("currency", [totals.everything]),
    ):
        for found in sums:
            yield _sum(row, totals.currency, found, decimals)


def _sum(row: str, currency: str, found: CounterSum, decimals: int) -> Cells:
    kind = found.account_type
    return (
        row,
        currency,
        kind or "",
        found.account_class or "",
        "",
        "" if kind is None else kind.normal_side,
        *(money.to_text(getattr(found, name), decimals) for name in NAMES),
        "" if found.balance is None else money.to_text(found.balance, decimals),
    )


def _encoded(rows: Iterable[Cells]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode()
