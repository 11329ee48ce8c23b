"""Reconciliation of one account over HTTP, and the reports that were stored before."""

from typing import Annotated
from uuid import uuid4

from msgspec import Meta, Struct

from auditing.app import AuditSide
from auditing.differences import Scope
from auditing.reconcile import answers
from auditing.reconcile.answers import Reconciliation, Reports
from auditing.reconcile.job_routes import Paging, page_of, scope_of
from auditing.reconcile.jobs import SQL, record
from auditing.reconcile.reconcile import Report, reconcile_account
from events import checkpoints
from runtime.problems import NotFound
from web.answers import Reply
from web.caller import Caller
from web.freshness import Fresh
from web.operations import operation

TAG = "Reconciling"
SHOWN_MAX = 100
NO_ACCOUNT = {404: ("account_not_found",)}


class OfAccount(Struct, frozen=True):
    """An account of the ledger."""

    account_id: Annotated[
        str,
        Meta(description="The id that the client chose.", extra_json_schema={"maxLength": 128}),
    ]


class PeriodBody(Struct, forbid_unknown_fields=True):
    """From `startDate` up to `endDate`: dates (the end's whole day included) or times."""

    startDate: str | None = None  # noqa: N815 - the API's own spelling
    endDate: str | None = None  # noqa: N815


@operation(
    "POST",
    "/accounts/{account_id}/reconcile",
    name="reconcile",
    tag=TAG,
    scope="reconcile",
    body_required=False,
    answers={200: Reconciliation},
    problems={400: ("period_invalid",), **NO_ACCOUNT},
)
async def reconcile(
    side: AuditSide, caller: Caller, path: OfAccount, headers: Fresh, body: PeriodBody
) -> Reply:
    """Replay an account's events from the log, compare, and store the report."""
    del headers
    scope = scope_of(caller.ledger, path.account_id, body.startDate, body.endDate)
    report = await _run(side, scope)
    async with side.pool.acquire() as connection:
        await record(connection, report)
    return _reply(side, report)


@operation(
    "GET",
    "/accounts/{account_id}/reconciliation-difference",
    name="reconciliationDifference",
    tag=TAG,
    scope="read",
    answers={200: Reconciliation},
    problems=NO_ACCOUNT,
)
async def difference(side: AuditSide, caller: Caller, path: OfAccount, headers: Fresh) -> Reply:
    """Compare all of an account with its events as of now, and store nothing."""
    del headers
    scope = Scope(ledger=caller.ledger, account_id=path.account_id)
    return _reply(side, await _run(side, scope))


@operation(
    "GET",
    "/accounts/{account_id}/reconciliation-history",
    name="reconciliationHistory",
    tag=TAG,
    scope="read",
    answers={200: Reports},
)
async def history(
    side: AuditSide, caller: Caller, path: OfAccount, query: Paging, headers: Fresh
) -> Reply:
    """List the stored reports of an account, newest first."""
    del headers
    before = query.before("history")
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        rows = await connection.fetch(
            SQL["history"], caller.ledger, path.account_id, before, query.limit + 1, SHOWN_MAX
        )
    rows, following = page_of(rows, query.limit, "history", "number")
    return Reply(Reports([*map(answers.kept_report, rows)], following), position=position)


OPERATIONS = [reconcile, difference, history]


async def _run(side: AuditSide, scope: Scope) -> Report:
    async with side.pool.acquire() as connection:
        report = await reconcile_account(connection, uuid4(), scope)
    if report is None:
        raise NotFound("account_not_found", f"The log has no account {scope.account_id!r}.")
    return report


def _reply(side: AuditSide, report: Report) -> Reply:
    decimals = side.schema.decimals(report.currency)
    return Reply(answers.reconciliation(report, decimals), position=report.position)
