"""The four-way view over HTTP: ask for it, see how far it is, read the last one."""

from datetime import UTC, datetime

from litestar import get, post
from litestar.types import ASGIApp

from auditing.app import AuditSide
from auditing.four_way import jobs, views
from auditing.reconcile.job_routes import POSITION, parameters
from events import checkpoints
from runtime.database import Executor
from runtime.sql import Row
from web import caller as access
from web.caller import Caller
from web.http import ENCODER, Answer, HttpRequest, check_path


@post("/four-way", status_code=202)
async def ask(request: HttpRequest) -> ASGIApp:
    """Queue the ledger's view; while it is under way, that one is the answer."""
    side, caller = await _caller(request, "reconcile")
    async with side.pool.acquire() as connection:
        return await _answer(connection, await jobs.request(connection, caller.ledger), 202)


@get("/four-way")
async def latest(request: HttpRequest) -> ASGIApp:
    """Show how the ledger's view stands, with the last report that there is."""
    side, caller = await _caller(request, "read")
    async with side.pool.acquire() as connection:
        return await _answer(connection, await jobs.row_of(connection, caller.ledger), 200)


ROUTES = [ask, latest]


async def _caller(request: HttpRequest, scope: str) -> tuple[AuditSide, Caller]:
    side: AuditSide = request.app.state.audit_side
    caller = await access.caller(request.headers, side.tokens, scope)
    check_path(request)
    parameters(request, set())
    return side, caller


async def _answer(connection: Executor, row: Row, status: int) -> Answer:
    position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    body = ENCODER.encode(views.asked(row, datetime.now(UTC)))
    return Answer(body, status, headers={POSITION: str(position)})
