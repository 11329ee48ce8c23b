"""Repair over HTTP: plan it, apply it, and read what was repaired before.

Only rows of the caller's ledger are compared, shown and repaired.
"""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from auditing.app import AuditSide
from auditing.discrepancies import DiscrepancyKind
from auditing.repair import answers
from auditing.repair import repair as repairs
from auditing.repair import survey as surveys
from auditing.repair.answers import RepairDone, RepairPlan, Repairs
from auditing.repair.plan import RowSelection
from auditing.repair.survey import Survey
from auditing.roles import REPAIRER
from events import checkpoints, log
from runtime import database
from runtime.database import Executor
from runtime.problems import Invalid, NotFound, Rejected
from runtime.sql import queries
from web.answers import Reply
from web.caller import Caller
from web.freshness import Fresh
from web.operations import operation

SQL = queries("auditing")
TAG = "Reconciling"
HISTORY_MAX = 100
# A repair of a whole ledger reads the whole log; longer logs are repaired by the command line.
EVENTS_MAX = 1_000_000


class RepairBody(Struct, forbid_unknown_fields=True):
    """Which rows: an account's, or those that a reconciliation compared; of them, one difference.

    `plan` is the name of the plan that was looked at: no other one is applied.
    """

    account_id: str | None = None
    reconciliationId: UUID | None = None  # noqa: N815 - the API's own spelling
    kind: DiscrepancyKind | None = None
    position: int | None = None
    transaction_id: UUID | None = None
    apply: bool = False
    reason: str | None = None
    plan: str | None = None


class OfRepair(Struct, frozen=True):
    """A repair of the ledger."""

    repair_id: Annotated[
        str,
        Meta(
            description="The `repairId` of a repair.",
            extra_json_schema={"type": "string", "format": "uuid"},
        ),
    ]


@operation(
    "POST",
    "/repairs",
    name="repair",
    tag=TAG,
    scope="repair",
    answers={200: RepairPlan | RepairDone},
    problems={
        400: ("reason_missing", "repair_ambiguous"),
        404: ("account_not_found", "reconciliation_not_found"),
        409: ("plan_stale",),
        422: ("log_unsound", "repair_too_large"),
    },
)
async def repair(side: AuditSide, caller: Caller, headers: Fresh, body: RepairBody) -> Reply:
    """Plan which rows to correct from the log; with `apply`, correct them.

    Who applied a repair, and why, is stored for ever.
    """
    del headers
    reason = (body.reason or "").strip()
    if body.apply and not reason:
        raise Invalid("reason_missing", "Say why in `reason`: it is stored.", field="reason")
    async with side.pool.acquire() as connection:
        selection = await _selection(connection, body, caller)
        if not body.apply:
            return await _plan(connection, selection)
    async with side.repairing:
        return await _apply(side, selection, body, caller, reason)


@operation("GET", "/repairs", name="repairs", tag=TAG, scope="read", answers={200: Repairs})
async def listed(side: AuditSide, caller: Caller, headers: Fresh) -> Reply:
    """List the ledger's latest repairs, newest first."""
    del headers
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        rows = await connection.fetch(SQL["repairs"], caller.ledger, None, HISTORY_MAX)
    return Reply(Repairs([*map(answers.stored, rows)]), position=position)


@operation(
    "GET",
    "/repairs/{repair_id}",
    name="oneRepair",
    tag=TAG,
    scope="read",
    answers={200: RepairDone},
    problems={404: ("repair_not_found",)},
)
async def one(side: AuditSide, caller: Caller, path: OfRepair, headers: Fresh) -> Reply:
    """Return one repair: who, when, why, and every row before and after."""
    del headers
    try:
        repair_id = UUID(path.repair_id)
    except ValueError:
        raise _unknown() from None
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        row = await connection.fetchrow(SQL["repairs"], caller.ledger, repair_id, 1)
    if row is None:
        raise _unknown()
    return Reply(answers.stored(row), position=position)


OPERATIONS = [repair, listed, one]


async def _selection(connection: Executor, body: RepairBody, caller: Caller) -> RowSelection:
    if (body.account_id is None) == (body.reconciliationId is None):
        detail = "Name either `account_id` or `reconciliationId`: the rows to repair."
        raise Invalid("repair_ambiguous", detail)
    if body.reconciliationId is None:
        selection = RowSelection(ledger=caller.ledger, account_id=body.account_id)
    else:
        selection = await repairs.scope_of(connection, body.reconciliationId, caller.ledger)
        if selection.account_id is None and (await log.head(connection)).position > EVENTS_MAX:
            detail = (
                f"The log has more than {EVENTS_MAX:,} events: repair account by account here, or"
                " all with `daybook repair`."
            )
            raise Rejected("repair_too_large", detail)
    return msgspec.structs.replace(
        selection, kind=body.kind, position=body.position, transaction_id=body.transaction_id
    )


async def _plan(connection: Executor, selection: RowSelection) -> Reply:
    found = await surveys.survey(connection, selection)
    _check_known(found)
    return Reply(answers.planned(found.plan), position=found.checkpoint)


async def _apply(
    side: AuditSide, selection: RowSelection, body: RepairBody, caller: Caller, reason: str
) -> Reply:
    connection = await database.connect(side.settings.database_url, REPAIRER)
    try:
        done = await repairs.apply(
            connection,
            selection,
            applied_by=caller.who,
            reason=reason,
            fingerprint=body.plan,
        )
        if done is None:
            return await _plan(connection, selection)
    except database.CONNECTION_ERRORS as error:
        raise database.unavailable(error) from error
    finally:
        await connection.close()
    return Reply(answers.applied(done), position=done.checkpoint)


def _check_known(found: Survey) -> None:
    """Raise NotFound for an account that neither the log nor any view knows."""
    account_id = found.selection.account_id
    if account_id is not None and not found.walker.state.accounts and not found.row_count:
        raise NotFound("account_not_found", f"The log has no account {account_id!r}.")


def _unknown() -> NotFound:
    return NotFound("repair_not_found", "There is no such repair in this ledger.")
