"""HTTP ↔ statements and the trial balance.

Every problem is answered before the first byte is sent. A statement that fails later is broken off,
so that no client takes half of a statement for the whole.
"""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from litestar.types import ASGIApp

from query_side.accounts import points
from query_side.accounts.parameters import NOT_FOUND, POINT_PROBLEMS, OfAccount
from query_side.app import QuerySide
from query_side.statements import answers, as_camt053, as_csv, as_json, trial_balance
from query_side.statements import statement as statements
from query_side.statements.answers import Statement, TrialBalance
from query_side.statements.parameters import (
    CSV,
    FORMAT_OF,
    PERIOD_PROBLEMS,
    TEXT_XML,
    XML,
    StatementFormat,
    StatementParameters,
    TrialBalanceParameters,
)
from query_side.statements.statement import AccountStatement
from web.answers import POSITION, Reply, Streamed
from web.caller import Caller
from web.freshness import Fresh
from web.media import JSON
from web.operations import merged, operation
from web.times import TICK

TAG = "Reading accounts"


@operation(
    "GET",
    "/accounts/{account_id}/statement",
    name="statement",
    tag=TAG,
    scope="read",
    answers={200: {JSON: Statement, CSV: str, XML: str, TEXT_XML: str}},
    problems=merged(NOT_FOUND, POINT_PROBLEMS, PERIOD_PROBLEMS, {400: ("camt_unrepresentable",)}),
)
async def statement(
    side: QuerySide,
    caller: Caller,
    path: OfAccount,
    query: StatementParameters,
    headers: Fresh,
    media: str,
) -> ASGIApp:
    """An account's statement of a period: its balances, its totals, and every entry."""
    period, asked = query.period(), query.point()
    await points.reached(side, headers, asked)
    found = await statements.head(
        side.pool, caller.ledger, path.account_id, period, query.basis, asked
    )
    decimals = side.schema.decimals(found.account.currency)
    pages = statements.lines(side.pool, found)
    match query.format or FORMAT_OF[media]:
        case StatementFormat.JSON:
            chunks = as_json.statement(found, pages, decimals)
            return Streamed(chunks, {POSITION: str(found.known)})
        case StatementFormat.CSV:
            chunks = as_csv.statement(found, pages, decimals)
            return _file(chunks, found.known, as_csv.MEDIA_TYPE, _name(found, "csv"))
        case StatementFormat.CAMT053:
            as_camt053.check(found, decimals)
            chunks = as_camt053.statement(found, pages, decimals, datetime.now(UTC))
            return _file(chunks, found.known, as_camt053.MEDIA_TYPE, _name(found, "xml"))


@operation(
    "GET",
    "/trial-balance",
    name="trialBalance",
    tag=TAG,
    scope="read",
    answers={200: {JSON: TrialBalance, CSV: str}},
    problems=POINT_PROBLEMS,
)
async def trial(
    side: QuerySide, caller: Caller, query: TrialBalanceParameters, headers: Fresh, media: str
) -> Reply | ASGIApp:
    """Every account's counters at a point, and their sums."""
    asked = query.point()
    if query.currency is not None:
        side.schema.decimals(query.currency)
    await points.reached(side, headers, asked)
    found = await trial_balance.page(
        side.pool, caller.ledger, asked, query.currency, query.cursor, query.limit
    )
    if (query.format or FORMAT_OF[media]) == StatementFormat.JSON:
        return Reply(answers.trial_balance(found, side.schema), position=found.point.known)
    rows = trial_balance.accounts(side.pool, caller.ledger, found.point, query.currency)
    chunks = as_csv.trial_balance(found.totals, rows, side.schema)
    name = f"trial-balance-{found.point.known}.csv"
    return _file(chunks, found.point.known, as_csv.MEDIA_TYPE, name)


OPERATIONS = [statement, trial]


def _file(
    chunks: AsyncGenerator[bytes, None], position: int, media_type: str, name: str
) -> Streamed:
    headers = {
        POSITION: str(position),
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Streamed(chunks, headers, media_type)


def _name(found: AccountStatement, extension: str) -> str:
    days = found.period.start.date(), (found.period.end - TICK).date()
    return f"statement-{found.account.account_id}-{days[0]}-{days[1]}.{extension}"
