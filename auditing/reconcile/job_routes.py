"""Reconciliations over HTTP: ask for one, see how far it is, read what it found."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from auditing.app import AuditSide
from auditing.differences import Scope
from auditing.discrepancies import Kind
from auditing.reconcile import job_views, jobs
from auditing.reconcile.continuous import CONTINUOUS
from events import checkpoints
from runtime.database import Executor
from runtime.problems import Invalid, NotFound
from runtime.sql import Row
from web import caller as access
from web import cursors
from web.caller import Caller
from web.cursors import BIGGEST, Cursor
from web.http import ENCODER, Answer, HttpRequest, check_path, decode, read_body
from web.times import moment

POSITION = "Daybook-Position"
CSV = "text/csv"


class ReconciliationBody(msgspec.Struct, forbid_unknown_fields=True):
    """Without an account, the whole ledger; the period says which of its entries are compared."""

    account_id: str | None = None
    startDate: str | None = None  # noqa: N815 - the API's own spelling
    endDate: str | None = None  # noqa: N815


_BODY = msgspec.json.Decoder(ReconciliationBody)


@post("/reconciliations", status_code=202)
async def ask(request: HttpRequest) -> ASGIApp:
    """Queue a reconciliation; while one of the ledger is under way, that one is the answer."""
    side, caller = await _caller(request, "reconcile")
    body = decode(await read_body(request, side.settings.body_bytes_max) or b"{}", _BODY)
    scope = scope_of(caller.ledger, body.account_id, body.startDate, body.endDate)
    if body.account_id is None and (body.startDate is not None or body.endDate is not None):
        detail = "A period needs an `account_id`: a whole ledger is compared whole."
        raise Invalid("period_invalid", detail, field="startDate")
    async with side.pool.acquire() as connection:
        requested = await jobs.request(connection, scope, jobs.WORKER)
        shown = await _shown(connection, caller, requested)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    return _answer(shown, position, 202)


@get("/reconciliations")
async def listed(request: HttpRequest) -> ASGIApp:
    """List the ledger's reconciliations, newest first."""
    side, caller = await _caller(request, "read")
    given = parameters(request, {"limit", "cursor"})
    limit, before = newest_first(given, "reconciliations")
    async with side.pool.acquire() as connection:
        rows = await connection.fetch(jobs.SQL["reconciliations"], caller.ledger, before, limit + 1)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    items, following = page_of(rows, limit, "reconciliations", up=False)
    now = datetime.now(UTC)
    body = {"items": [job_views.reconciliation(row, now) for row in items], "next": following}
    return _answer(body, position)


@get("/reconciliations/{reconciliation_id:str}")
async def one(request: HttpRequest, reconciliation_id: FromPath[str]) -> ASGIApp:
    """Show how a reconciliation stands."""
    side, caller = await _caller(request, "read")
    parameters(request, set())
    async with side.pool.acquire() as connection:
        shown = await _shown(connection, caller, _id(reconciliation_id))
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    return _answer(shown, position)


@get("/reconciliations/{reconciliation_id:str}/discrepancies")
async def found(request: HttpRequest, reconciliation_id: FromPath[str]) -> ASGIApp:
    """List what a reconciliation found, in the order in which it was found: JSON or CSV."""
    side, caller = await _caller(request, "read")
    given = parameters(request, {"limit", "cursor", "kind", "account_id"})
    limit = cursors.limit(given.get("limit"))
    after = 0
    if (text := given.get("cursor")) is not None:
        after = cursors.decode(text, "discrepancies", (0,)).cut[0]
    kind = given.get("kind")
    if kind is not None and kind not in set(Kind):
        raise Invalid("kind_unknown", "There is no such kind of discrepancy.", field="kind")
    async with side.pool.acquire() as connection:
        row = await _visible(connection, caller, _id(reconciliation_id))
        rows = await connection.fetch(
            jobs.SQL["discrepancies"],
            row["reconciliation_id"],
            after,
            kind,
            given.get("account_id"),
            caller.ledger,
            limit + 1,
        )
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    items, following = page_of(rows, limit, "discrepancies", up=True)
    if CSV in request.headers.get("accept", ""):
        headers = {POSITION: str(position)} | ({"Daybook-Next": following} if following else {})
        return Answer(job_views.as_csv(items).encode(), headers=headers, media_type=CSV)
    body = {"items": [job_views.discrepancy(row) for row in items], "next": following}
    return _answer(body, position)


ROUTES = [ask, listed, one, found]


def scope_of(ledger: str, account_id: str | None, start: str | None, end: str | None) -> Scope:
    """Return what to reconcile. Raises Invalid for a period that is none."""
    scope = Scope(
        ledger=ledger,
        account_id=account_id,
        start=moment(start, "startDate", whole_day=False),
        end=moment(end, "endDate", whole_day=True),
    )
    if scope.start is not None and scope.end is not None and scope.start >= scope.end:
        raise Invalid("period_invalid", "`startDate` must be before `endDate`.", field="startDate")
    return scope


def parameters(request: HttpRequest, known: set[str]) -> dict[str, str]:
    """Return the query's parameters, each once. Raises Invalid for one that is not known."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise Invalid("parameter_unknown", f"There is no parameter {name!r}.", field=name)
        if name in given:
            raise Invalid("parameter_repeated", f"`{name}` is given twice.", field=name)
        if "\x00" in value:
            raise Invalid("control_character", f"`{name}` holds U+0000.", field=name)
        given[name] = value
    return given


def newest_first(given: dict[str, str], name: str) -> tuple[int, int]:
    """Return how many to show, and before which number. Raises Invalid."""
    limit = cursors.limit(given.get("limit"))
    text = given.get("cursor")
    return limit, BIGGEST if text is None else cursors.decode(text, name, (0,)).cut[0]


def page_of(rows: list[Any], limit: int, name: str, *, up: bool) -> tuple[list[Any], str | None]:
    """Return the rows of a page of `limit`, and the cursor of the next, if there is more."""
    if len(rows) <= limit:
        return rows, None
    shown = rows[:limit]
    last = shown[-1]["id" if up else "number"]
    return shown, cursors.encode(name, Cursor(up, (last,)))


async def _caller(request: HttpRequest, scope: str) -> tuple[AuditSide, Caller]:
    side: AuditSide = request.app.state.audit_side
    caller = await access.caller(request.headers, side.tokens, scope)
    check_path(request)
    return side, caller


def _id(text: str) -> UUID:
    """Return the id in a path; one that is none is one of nothing. Raises NotFound."""
    if text == "continuous":
        return CONTINUOUS
    try:
        return UUID(text)
    except ValueError as error:
        raise _unknown() from error


async def _visible(connection: Executor, caller: Caller, reconciliation_id: UUID) -> Row:
    """Return a row of the caller's ledger, or that of the continuous one. Raises NotFound."""
    row = await connection.fetchrow(jobs.SQL["reconciliation"], reconciliation_id)
    if row is None or (row["ledger"] != caller.ledger and reconciliation_id != CONTINUOUS):
        raise _unknown()
    return row


async def _shown(connection: Executor, caller: Caller, reconciliation_id: UUID) -> dict[str, Any]:
    row = await _visible(connection, caller, reconciliation_id)
    counted = None
    if reconciliation_id == CONTINUOUS:
        rows = await connection.fetch(
            jobs.SQL["counted_discrepancies"], reconciliation_id, caller.ledger
        )
        counted = {row["kind"]: row["times"] for row in rows}
    return job_views.reconciliation(row, datetime.now(UTC), counted)


def _unknown() -> NotFound:
    return NotFound("reconciliation_not_found", "The ledger has no such reconciliation.")


def _answer(body: object, position: int, status: int = 200) -> Answer:
    return Answer(ENCODER.encode(body), status, headers={POSITION: str(position)})
