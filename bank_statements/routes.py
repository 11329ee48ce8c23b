"""HTTP ↔ statements of others: import, match, look at what differs, decide.

Whoever may reconcile may import and decide; whoever may read may look. A statement is of one
account, an account of one ledger, and every query asks for the caller's.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from bank_statements import findings, importer, parameters, review, store, views
from bank_statements.app import StatementSide
from bank_statements.findings import Kind, Place, Statement
from bank_statements.importer import Upload
from bank_statements.store import SQL
from events import checkpoints
from runtime.database import Executor
from runtime.problems import Invalid, NotFound
from runtime.sql import Row
from web import caller as access
from web import conditions, cursors
from web.caller import Caller
from web.cursors import BIGGEST, Cursor
from web.http import ENCODER, Answer, HttpRequest, check_path, decode, read_body

POSITION = "Daybook-Position"
PAGING = ("cursor", "limit")
STATUSES = ("proposed", "accepted", "rejected")
_DECISION = msgspec.json.Decoder(parameters.Decision)
_OVERRIDE = msgspec.json.Decoder(parameters.Override)


@post("/statements", status_code=201)
async def import_statement(request: HttpRequest) -> ASGIApp:
    """Keep a file, and propose matches; the same file again answers with what there is."""
    side, caller, given = await _may(
        request, "reconcile", ("account_id", "format", parameters.MAP, *parameters.TERMS)
    )
    account_id = parameters.account(given.get("account_id"))
    how = parameters.how_to_read(given, request.headers.get("content-type", ""))
    terms = parameters.terms(given)
    data = await read_body(request, side.settings.statement_bytes_max)
    upload = Upload(data, how, terms, caller.who)
    async with side.pool.acquire() as connection:
        done = await importer.import_file(
            connection, caller.ledger, account_id, upload, side.schema
        )
    return await _summary(side, caller, done.statement_id, 201 if done.new else 200)


@post("/statements/{statement_id:str}/match", status_code=200)
async def match_again(request: HttpRequest, statement_id: FromPath[str]) -> ASGIApp:
    """Propose matches for what is left, on the entries that there are now."""
    side, caller, given = await _may(request, "reconcile", parameters.TERMS)
    known_as, terms = _id(statement_id), parameters.terms(given)
    async with side.pool.acquire() as connection:
        await importer.match_again(connection, caller.ledger, known_as, terms)
    return await _summary(side, caller, known_as)


@get("/statements")
async def statements(request: HttpRequest) -> ASGIApp:
    """List a ledger's statements, the latest first."""
    side, caller, given = await _may(request, "read", ("account_id", *PAGING))
    limit, (below,) = cursors.limit(given.get("limit")), _after(given, "statements", (BIGGEST,))
    account_id = parameters.account(given["account_id"]) if "account_id" in given else None
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        rows = await connection.fetch(
            SQL["statements_after"], caller.ledger, below, account_id, limit + 1
        )
    items = [views.statement(row, side.schema.decimals(row["currency"])) for row in rows[:limit]]
    last = (rows[limit - 1]["statement_number"],) if len(rows) > limit else None
    return _page(items, "statements", last, position)


@get("/statements/{statement_id:str}")
async def statement(request: HttpRequest, statement_id: FromPath[str]) -> ASGIApp:
    """Return a statement, and how much of it agrees with the ledger."""
    side, caller, _ = await _may(request, "read", ())
    return await _summary(side, caller, _id(statement_id))


@get("/statements/{statement_id:str}/lines")
async def lines(request: HttpRequest, statement_id: FromPath[str]) -> ASGIApp:
    """List a statement's lines, each with its match."""
    side, caller, given = await _may(request, "read", PAGING)
    limit, (after,) = cursors.limit(given.get("limit")), _after(given, "lines", (0,))
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, _id(statement_id))
        rows = await connection.fetch(SQL["lines_after"], of.row["statement_id"], after, limit + 1)
    items = [views.line(row, of.decimals) for row in rows[:limit]]
    last = (rows[limit - 1]["line_number"],) if len(rows) > limit else None
    return _page(items, "lines", last, position)


@get("/statements/{statement_id:str}/matches")
async def matches(request: HttpRequest, statement_id: FromPath[str]) -> ASGIApp:
    """List a statement's matches, rejected ones included."""
    side, caller, given = await _may(request, "read", ("status", *PAGING))
    limit, (after,) = cursors.limit(given.get("limit")), _after(given, "matches", (0,))
    status = given.get("status")
    if status is not None and status not in STATUSES:
        detail = f"`status` must be one of: {', '.join(STATUSES)}."
        raise Invalid("status_unknown", detail, field="status")
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, _id(statement_id))
        rows = await _matches(connection, of, after, status, limit + 1)
    items = [views.match(row, of.decimals) for row in rows[:limit]]
    last = (rows[limit - 1]["match_number"],) if len(rows) > limit else None
    return _page(items, "matches", last, position)


@get("/statements/{statement_id:str}/discrepancies")
async def discrepancies(request: HttpRequest, statement_id: FromPath[str]) -> ASGIApp:
    """List where a statement and the ledger do not agree."""
    side, caller, given = await _may(request, "read", ("kind", *PAGING))
    limit = cursors.limit(given.get("limit"))
    after = Place(*_after(given, "findings", tuple(Place())))
    try:
        only = Kind(given["kind"]) if "kind" in given else None
    except ValueError as error:
        detail = f"`kind` must be one of: {', '.join(Kind)}."
        raise Invalid("kind_unknown", detail, field="kind") from error
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, _id(statement_id))
        found, last = await findings.page(connection, of, after, limit, only)
    return _page(found, "findings", None if last is None else tuple(last), position)


@post("/statements/{statement_id:str}/matches/{match_id:str}/accept", status_code=200)
async def accept(
    request: HttpRequest, statement_id: FromPath[str], match_id: FromPath[str]
) -> ASGIApp:
    """Accept a match that was proposed."""
    return await _decide(request, statement_id, match_id, "accepted")


@post("/statements/{statement_id:str}/matches/{match_id:str}/reject", status_code=200)
async def reject(
    request: HttpRequest, statement_id: FromPath[str], match_id: FromPath[str]
) -> ASGIApp:
    """Reject a match, accepted or not: what it linked is free again."""
    return await _decide(request, statement_id, match_id, "rejected")


@post("/statements/{statement_id:str}/matches", status_code=201)
async def override(request: HttpRequest, statement_id: FromPath[str]) -> ASGIApp:
    """Link lines and entries by hand."""
    side, caller, _ = await _may(request, "reconcile", ())
    known_as = _id(statement_id)
    body = decode(await read_body(request, side.settings.body_bytes_max), _OVERRIDE)
    given = msgspec.structs.replace(body, reason=parameters.reason(body.reason))
    async with side.pool.acquire() as connection:
        number = await review.link(connection, caller.ledger, known_as, given, caller.who)
    return await _match(side, caller, known_as, number, 201)


ROUTES = [
    import_statement,
    match_again,
    statements,
    statement,
    lines,
    matches,
    discrepancies,
    accept,
    reject,
    override,
]


async def _may(
    request: HttpRequest, scope: str, known: Sequence[str]
) -> tuple[StatementSide, Caller, dict[str, str]]:
    """Return the open side, the caller, and the parameters, once the read is fresh enough."""
    side: StatementSide = request.app.state.statement_side
    caller = await access.caller(request.headers, side.tokens, scope)
    check_path(request)
    given = parameters.parameters(request.query_params.multi_items(), known)
    await conditions.ensure(request.headers, side.projected.reached, side.settings.wait_s_max)
    return side, caller, given


async def _decide(
    request: HttpRequest, statement_id: str, match_id: str, verdict: review.Verdict
) -> ASGIApp:
    side, caller, _ = await _may(request, "reconcile", ())
    known_as = _id(statement_id)
    body = decode(await read_body(request, side.settings.body_bytes_max), _DECISION)
    reason = parameters.reason(body.reason)
    async with side.pool.acquire() as connection:
        number = _number(match_id)
        await review.decide(
            connection, caller.ledger, known_as, number, verdict, caller.who, reason
        )
    return await _match(side, caller, known_as, number)


async def _statement(
    connection: Executor, side: StatementSide, caller: Caller, statement_id: UUID
) -> Statement:
    row = await store.statement(connection, caller.ledger, statement_id)
    account = await store.account(connection, caller.ledger, row["account_id"])
    return Statement(row, account, side.schema.decimals(row["currency"]))


async def _summary(
    side: StatementSide, caller: Caller, statement_id: UUID, status: int = 200
) -> Answer:
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, statement_id)
        totals = await findings.totals(connection, of)
    return _answer(views.summary(of, totals), position, status)


async def _match(
    side: StatementSide, caller: Caller, statement_id: UUID, number: int, status: int = 200
) -> Answer:
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, statement_id)
        (row,) = await _matches(connection, of, number - 1, None, 1)
    return _answer(views.match(row, of.decimals), position, status)


async def _matches(
    connection: Executor, of: Statement, after: int, status: str | None, count: int
) -> Sequence[Row]:
    return await connection.fetch(
        SQL["matches_after"], of.row["statement_id"], after, status, count
    )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        # Nobody has such a statement, as nobody has one of another ledger.
        raise NotFound("statement_not_found", f"There is no statement {text}.") from error


def _number(text: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) < len(str(review.LAST_NUMBER))
    if not digits:
        raise NotFound("match_not_found", f"The statement has no match {text}.")
    return int(text)


def _after(given: dict[str, str], name: str, start: tuple[int, ...]) -> tuple[int, ...]:
    """Return the key that a page comes after."""
    text = given.get("cursor")
    return start if text is None else cursors.decode(text, name, start).cut


def _page(
    items: Sequence[object], name: str, last: tuple[int, ...] | None, position: int
) -> Answer:
    following = None if last is None else cursors.encode(name, Cursor(up=True, cut=last))
    return _answer({"items": items, "next": following}, position)


def _answer(body: Any, position: int, status: int = 200) -> Answer:  # noqa: ANN401 - any JSON
    return Answer(ENCODER.encode(body), status, {POSITION: str(position)})
