"""Repair over HTTP: a plan, unless it is asked to be applied; and what was repaired before.

Only rows of the caller's ledger are compared, shown and mended.
"""

from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from auditing.app import AuditSide
from auditing.discrepancies import Kind
from auditing.repair import repair as repairs
from auditing.repair import survey as surveys
from auditing.repair.plan import ROWS_MAX, Plan, RowSelection
from auditing.repair.repair import Repair, described
from auditing.repair.survey import Survey
from auditing.roles import REPAIRER
from events import checkpoints, log
from runtime import database
from runtime.database import Executor
from runtime.problems import Invalid, NotFound, Rejected
from runtime.sql import Row, queries
from web import caller as access
from web import conditions
from web.caller import Caller
from web.http import ENCODER, Answer, HttpRequest, check_path, decode, read_body

SQL = queries("auditing")
POSITION = "Daybook-Position"
HISTORY_MAX = 100
# A whole ledger takes the whole log: beyond this, the command line has the patience.
EVENTS_MAX = 1_000_000


class RepairBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which rows: an account's, or those that a reconciliation compared; of them, one difference.

    `plan` is the name of the plan that was looked at: no other one is applied.
    """

    account_id: str | None = None
    reconciliationId: UUID | None = None  # noqa: N815 - the API's own spelling
    kind: Kind | None = None
    position: int | None = None
    transaction_id: UUID | None = None
    apply: bool = False
    reason: str | None = None
    plan: str | None = None


_BODY = msgspec.json.Decoder(RepairBody)


@post("/repairs", status_code=200)
async def repair(request: HttpRequest) -> ASGIApp:
    """Plan a repair; with `apply`, mend the rows and keep who did it and why."""
    side, caller = await _may(request, "repair")
    body = decode(await read_body(request, side.settings.body_bytes_max), _BODY)
    reason = (body.reason or "").strip()
    if body.apply and not reason:
        raise Invalid("reason_missing", "Say why in `reason`: it is kept.", field="reason")
    async with side.pool.acquire() as connection:
        wanted = await _wanted(connection, body, caller)
        if not body.apply:
            found = await surveys.survey(connection, wanted)
            _known(found)
            return _answer(_planned(found.plan), found.checkpoint)
    async with side.repairing:
        return await _applied(side, wanted, body, caller, reason)


@get("/repairs")
async def repaired(request: HttpRequest) -> ASGIApp:
    """List the ledger's latest repairs, newest first."""
    side, caller = await _may(request, "read")
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        rows = await connection.fetch(SQL["repairs"], caller.ledger, None, HISTORY_MAX)
    return _answer({"items": [_kept(row) for row in rows]}, position)


@get("/repairs/{repair_id:str}")
async def one_repair(request: HttpRequest, repair_id: FromPath[str]) -> ASGIApp:
    """Return one repair: who, when, why, and every row before and after."""
    side, caller = await _may(request, "read")
    try:
        wanted = UUID(repair_id)
    except ValueError:
        wanted = UUID(int=0)
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        row = await connection.fetchrow(SQL["repairs"], caller.ledger, wanted, 1)
    if row is None:
        raise NotFound("repair_not_found", "There is no such repair in this ledger.")
    return _answer(_kept(row), position)


ROUTES = [repair, repaired, one_repair]


async def _may(request: HttpRequest, scope: str) -> tuple[AuditSide, Caller]:
    side: AuditSide = request.app.state.audit_side
    caller = await access.caller(request.headers, side.tokens, scope)
    check_path(request)
    await conditions.ensure(request.headers, side.projected.reached, side.settings.wait_s_max)
    return side, caller


async def _wanted(connection: Executor, body: RepairBody, caller: Caller) -> RowSelection:
    if (body.account_id is None) == (body.reconciliationId is None):
        detail = "Name either `account_id` or `reconciliationId`: the rows to repair."
        raise Invalid("repair_ambiguous", detail)
    if body.reconciliationId is None:
        wanted = RowSelection(ledger=caller.ledger, account_id=body.account_id)
    else:
        wanted = await repairs.scope_of(connection, body.reconciliationId, caller.ledger)
        if wanted.account_id is None and (await log.head(connection)).position > EVENTS_MAX:
            detail = (
                f"The log has more than {EVENTS_MAX:,} events: repair account by account here, or"
                " all with `daybook repair`."
            )
            raise Rejected("repair_too_large", detail)
    return msgspec.structs.replace(
        wanted, kind=body.kind, position=body.position, transaction_id=body.transaction_id
    )


async def _applied(
    side: AuditSide, wanted: RowSelection, body: RepairBody, caller: Caller, reason: str
) -> Answer:
    connection = await database.connect(side.settings.database_url, REPAIRER)
    try:
        done = await repairs.apply(
            connection,
            wanted,
            applied_by=caller.who,
            reason=reason,
            fingerprint=body.plan,
        )
        if done is None:
            found = await surveys.survey(connection, wanted)
            _known(found)
            return _answer(_planned(found.plan), found.checkpoint)
    except database.CONNECTION_ERRORS as error:
        raise database.unavailable(error) from error
    finally:
        await connection.close()
    return _answer(_done(done), done.checkpoint)


def _known(found: Survey) -> None:
    """Refuse an account that neither the log nor any view knows."""
    if (
        found.selection.account_id is not None
        and not found.walker.state.accounts
        and not found.row_count
    ):
        raise NotFound(
            "account_not_found", f"The log has no account {found.selection.account_id!r}."
        )


def _planned(plan: Plan) -> dict[str, Any]:
    if plan.obstacles:
        status = "REFUSED"
    elif plan.row_count > ROWS_MAX:
        status = "TOO_LARGE"
    else:
        status = "PLANNED" if plan.changes else "CLEAN"
    return {
        "status": status,
        "account_id": plan.selection.account_id,
        "plan": plan.fingerprint,
        "rowCount": plan.row_count,
        "changes": [described(change) for change in plan.changes],
        "obstacles": plan.obstacles,
        "position": plan.checkpoint,
    }


def _done(done: Repair) -> dict[str, Any]:
    return {
        "repairId": done.repair_id,
        "status": "APPLIED",
        "account_id": done.account_id,
        "plan": done.fingerprint,
        "appliedBy": done.applied_by,
        "reason": done.reason,
        "rowCount": len(done.changes),
        "changes": [described(change) for change in done.changes],
        "verification": None
        if done.check is None
        else {"remaining": done.check.remaining, "timestamp": done.check.checked_at},
        "position": done.checkpoint,
        "timestamp": done.applied_at,
    }


def _kept(row: Row) -> dict[str, Any]:
    return {
        "repairId": row["repair_id"],
        "status": "APPLIED",
        "account_id": row["account_id"],
        "plan": row["fingerprint"],
        "appliedBy": row["applied_by"],
        "reason": row["reason"],
        "rowCount": row["row_count"],
        "changes": msgspec.Raw(row["changes"].encode()),
        "verification": None
        if row["checked_at"] is None
        else {"remaining": row["remaining"], "timestamp": row["checked_at"]},
        "position": row["checkpoint"],
        "timestamp": row["applied_at"],
    }


def _answer(body: object, position: int) -> Answer:
    return Answer(ENCODER.encode(body), headers={POSITION: str(position)})
