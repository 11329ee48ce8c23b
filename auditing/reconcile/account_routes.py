"""Reconciliation over HTTP: one account and period on demand, and what was found before."""

from typing import Any
from uuid import uuid4

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from auditing import view_catalog
from auditing.app import AuditSide
from auditing.differences import Scope
from auditing.reconcile.job_routes import newest_first, page_of, parameters, scope_of
from auditing.reconcile.jobs import SQL, record
from auditing.reconcile.reconcile import Report, reconcile_account
from events import checkpoints, money
from runtime.problems import NotFound
from runtime.sql import Row
from web import caller as access
from web import conditions
from web.caller import Caller
from web.http import ENCODER, Answer, HttpRequest, check_path, decode, read_body

POSITION = "Daybook-Position"
SHOWN_MAX = 100


class PeriodBody(msgspec.Struct, forbid_unknown_fields=True):
    """From `startDate` up to `endDate`: dates (the end's whole day included) or times."""

    startDate: str | None = None  # noqa: N815 - the API's own spelling
    endDate: str | None = None  # noqa: N815


_PERIOD = msgspec.json.Decoder(PeriodBody)


@post("/accounts/{account_id:str}/reconcile", status_code=200)
async def reconcile(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Replay the log for one account and compare; what was found is kept."""
    side, caller = await _may_reconcile(request, "reconcile")
    body = decode(await read_body(request, side.settings.body_bytes_max) or b"{}", _PERIOD)
    scope = scope_of(caller.ledger, account_id, body.startDate, body.endDate)
    report = await _run(side, scope)
    async with side.pool.acquire() as connection:
        await record(connection, report)
    return _answer(_summary(report, side), report.position)


@get("/accounts/{account_id:str}/reconciliation-difference")
async def difference(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Compare the account's balance with its events as of now; nothing is kept."""
    side, caller = await _may_reconcile(request, "read")
    report = await _run(side, Scope(ledger=caller.ledger, account_id=account_id))
    return _answer(_summary(report, side), report.position)


@get("/accounts/{account_id:str}/reconciliation-history")
async def history(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """List an account's reconciliations, newest first, each with its first discrepancies."""
    side, caller = await _may_reconcile(request, "read")
    limit, before = newest_first(parameters(request, {"limit", "cursor"}), "history")
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        rows = await connection.fetch(
            SQL["history"], caller.ledger, account_id, before, limit + 1, SHOWN_MAX
        )
    items, following = page_of(rows, limit, "history", up=False)
    return _answer({"items": [_kept(row) for row in items], "next": following}, position)


ROUTES = [reconcile, difference, history]


async def _may_reconcile(request: HttpRequest, scope: str) -> tuple[AuditSide, Caller]:
    side: AuditSide = request.app.state.audit_side
    caller = await access.caller(request.headers, side.tokens, scope)
    check_path(request)
    await conditions.ensure(request.headers, side.projected.reached, side.settings.wait_s_max)
    return side, caller


async def _run(side: AuditSide, scope: Scope) -> Report:
    async with side.pool.acquire() as connection:
        report = await reconcile_account(connection, uuid4(), scope)
    if report is None:
        raise NotFound("account_not_found", f"The log has no account {scope.account_id!r}.")
    return report


def _summary(report: Report, side: AuditSide) -> dict[str, Any]:
    assert report.expected is not None
    decimals = side.schema.decimals(report.currency)
    expected = report.expected["balance"]
    actual = None if report.actual is None else report.actual["balance"]
    difference_minor = expected if actual is None else expected - actual
    return {
        "reconciliationId": report.reconciliation_id,
        "account_id": report.scope.account_id,
        "startDate": report.scope.start,
        "endDate": report.scope.end,
        "status": "CLEAN" if report.clean else "DISCREPANCIES",
        "currency": report.currency,
        "expected_balance": money.to_json(expected, decimals),
        "actual_balance": None if actual is None else money.to_json(actual, decimals),
        "difference": money.to_json(difference_minor, decimals),
        "difference_minor": str(difference_minor),
        "expected_counters": _counters(report.expected, decimals),
        "actual_counters": _counters(report.actual, decimals),
        "eventsRead": report.events_read,
        "entriesCompared": report.entries_compared,
        "discrepancyCount": report.discrepancy_count,
        "discrepancies": report.discrepancies,
        "position": report.position,
        "timestamp": report.finished_at,
    }


def _counters(counters: dict[str, int] | None, decimals: int) -> dict[str, Any] | None:
    """Return the four counters in units and in minor units; None if the row is missing."""
    if counters is None:
        return None
    return {
        name + suffix: shown
        for name in view_catalog.COUNTERS
        for suffix, shown in (
            ("", money.to_json(counters[name], decimals)),
            ("_minor", str(counters[name])),
        )
    }


def _kept(row: Row) -> dict[str, Any]:
    return {
        "reconciliationId": row["reconciliation_id"],
        "account_id": row["account_id"],
        "startDate": row["start_at"],
        "endDate": row["end_at"],
        "status": "DISCREPANCIES" if row["discrepancy_count"] else "CLEAN",
        "eventsRead": row["events_read"],
        "entriesCompared": row["entries_compared"],
        "discrepancyCount": row["discrepancy_count"],
        "discrepancies": msgspec.Raw(row["discrepancies"].encode()),
        "position": row["position"],
        "timestamp": row["finished_at"],
    }


def _answer(body: object, position: int) -> Answer:
    return Answer(ENCODER.encode(body), headers={POSITION: str(position)})
