"""HTTP ↔ balances at points, differences, statements, the trial balance.

Whatever is wrong is said before the first byte. A statement that fails later is broken off, so that
half of one cannot be taken for the whole.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime

from litestar import get
from litestar.params import FromPath
from litestar.types import ASGIApp

from query_side import queries
from query_side.app import QuerySide
from query_side.statements import (
    as_camt053,
    as_csv,
    as_json,
    difference,
    parameters,
    points,
    trial_balance,
    views,
)
from query_side.statements import statement as statements
from query_side.statements.parameters import Asked, Format
from query_side.statements.statement import Statement
from web import caller as access
from web import conditions, cursors
from web.caller import Caller
from web.http import ENCODER, Answer, HttpRequest, Streamed, check_path
from web.times import TICK

POSITION = "Daybook-Position"
POINT = ("position", "at", "effective_at")
PAGING = ("cursor", "limit")


@get("/accounts/{account_id:str}/balance")
async def balance(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Return an account's four counters, now or at a point."""
    side, caller, given = await _may_read(request, POINT)
    asked = parameters.point(given, effective="effective_at")
    await _reached(request, side, asked)
    async with queries.snapshot(side.pool) as connection:
        account = await points.account(connection, caller.ledger, account_id)
        decimals = side.schema.decimals(account.currency)
        point = await points.locate(connection, asked)
        if not given:
            counters = await points.now(connection, account)
            return _answer(views.balance(account, counters, decimals), point.known)
        counters = await points.at(connection, account, point)
    body = views.balance(account, counters, decimals) | views.point(point)
    return _answer(body, point.known)


@get("/accounts/{account_id:str}/balance-difference")
async def balance_difference(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Return what lies between an account's balances at two points, and what made it so."""
    names = ("from_position", "from_at", "to_position", "to_at", *PAGING)
    side, caller, given = await _may_read(request, names)
    asked = (
        parameters.point(given, "from_position", "from_at"),
        parameters.point(given, "to_position", "to_at"),
    )
    await _reached(request, side, *asked)
    cursor, limit = given.get("cursor"), cursors.limit(given.get("limit"))
    if cursor is None and asked[0] == Asked():
        asked = (Asked(position=0), asked[1])
    found = await difference.between(side.pool, caller.ledger, account_id, asked, cursor, limit)
    decimals = side.schema.decimals(found.account.currency)
    return _answer(views.difference(found, decimals), found.last.known)


@get("/accounts/{account_id:str}/statement")
async def statement(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Return an account's statement of a period: balances, totals, and every entry."""
    names = ("from", "to", "basis", "format", "position", "at")
    side, caller, given = await _may_read(request, names)
    period, basis, asked = (
        parameters.period(given),
        parameters.basis(given),
        parameters.point(given),
    )
    form = parameters.form(given, request.headers.get("accept", ""))
    await _reached(request, side, asked)
    found = await statements.head(side.pool, caller.ledger, account_id, period, basis, asked)
    decimals = side.schema.decimals(found.account.currency)
    pages = statements.lines(side.pool, found)
    headers = {POSITION: str(found.known)}
    match form:
        case Format.JSON:
            return Streamed(as_json.statement(found, pages, decimals), headers)
        case Format.CSV:
            chunks = as_csv.statement(found, pages, decimals)
            return _file(chunks, headers, as_csv.MEDIA_TYPE, _name(found, "csv"))
        case Format.CAMT053:
            as_camt053.check(found, decimals)
            chunks = as_camt053.statement(found, pages, decimals, datetime.now(UTC))
            return _file(chunks, headers, as_camt053.MEDIA_TYPE, _name(found, "xml"))


@get("/trial-balance")
async def trial(request: HttpRequest) -> ASGIApp:
    """Return every account's counters at a point, and their sums."""
    side, caller, given = await _may_read(request, (*POINT, "currency", "format", *PAGING))
    asked = parameters.point(given, effective="effective_at")
    currency = given.get("currency")
    if currency is not None:
        side.schema.decimals(currency)
    form = parameters.form(given, request.headers.get("accept", ""), (Format.JSON, Format.CSV))
    cursor, limit = given.get("cursor"), cursors.limit(given.get("limit"))
    await _reached(request, side, asked)
    found = await trial_balance.page(side.pool, caller.ledger, asked, currency, cursor, limit)
    if form is Format.JSON:
        return _answer(views.trial_balance(found, side.schema), found.point.known)
    rows = trial_balance.accounts(side.pool, caller.ledger, found.point, currency)
    chunks = as_csv.trial_balance(found.totals, rows, side.schema)
    headers = {POSITION: str(found.point.known)}
    name = f"trial-balance-{found.point.known}.csv"
    return _file(chunks, headers, as_csv.MEDIA_TYPE, name)


ROUTES = [balance, balance_difference, statement, trial]


async def _may_read(
    request: HttpRequest, known: Sequence[str]
) -> tuple[QuerySide, Caller, dict[str, str]]:
    """Return the open query side, the caller, and the parameters, once the read is fresh enough."""
    side: QuerySide = request.app.state.query_side
    caller = await access.caller(request.headers, side.tokens, "read")
    check_path(request)
    given = parameters.parameters(request.query_params.multi_items(), known)
    await conditions.ensure(request.headers, side.projected.reached, side.settings.wait_s_max)
    return side, caller, given


async def _reached(request: HttpRequest, side: QuerySide, *asked: Asked) -> None:
    """Wait for the positions that are asked for, as `Daybook-Min-Position` would."""
    wanted = max((each.position for each in asked if each.position is not None), default=None)
    if wanted is not None:
        headers = dict(request.headers) | {conditions.MIN_POSITION: str(wanted)}
        await conditions.ensure(headers, side.projected.reached, side.settings.wait_s_max)


def _answer(body: object, position: int) -> Answer:
    return Answer(ENCODER.encode(body), headers={POSITION: str(position)})


def _file(
    chunks: AsyncGenerator[bytes, None], headers: Mapping[str, str], media_type: str, name: str
) -> Streamed:
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Streamed(chunks, {**headers, **disposition}, media_type)


def _name(found: Statement, extension: str) -> str:
    days = found.period.start.date(), (found.period.end - TICK).date()
    return f"statement-{found.account.account_id}-{days[0]}-{days[1]}.{extension}"
