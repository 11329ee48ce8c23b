"""Reconciliations over HTTP: request one, see its progress, read what it found."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar.types import ASGIApp
from msgspec import Meta, Struct

from auditing.app import AuditSide
from auditing.differences import Scope
from auditing.discrepancies import DiscrepancyKind
from auditing.reconcile import answers, jobs
from auditing.reconcile.answers import (
    AskedReconciliation,
    AskedReconciliations,
    Discrepancies,
)
from auditing.reconcile.continuous import CONTINUOUS
from auditing.reconcile.csv_export import as_csv
from events import checkpoints
from runtime.database import Executor
from runtime.problems import Invalid, NotFound
from runtime.sql import Row
from web import cursors, times
from web.answers import POSITION, Answer, Reply
from web.caller import Caller
from web.cursors import BIGGEST, LIMIT_DEFAULT, Cursor, CursorText, Limit
from web.media import JSON
from web.operations import operation

TAG = "Reconciling"
CSV = "text/csv"
NEXT = "Daybook-Next"
NO_RECONCILIATION = {404: ("reconciliation_not_found",)}


class ReconciliationBody(Struct, forbid_unknown_fields=True):
    """Without an account, the whole ledger; the period says which of its entries are compared."""

    account_id: str | None = None
    startDate: str | None = None  # noqa: N815 - the API's own spelling
    endDate: str | None = None  # noqa: N815


class OfReconciliation(Struct, frozen=True):
    """A reconciliation of the ledger."""

    reconciliation_id: Annotated[str, Meta(description="Its id, or `continuous`.")]


class Paging(Struct, frozen=True, kw_only=True):
    """A page of a list in one order."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None

    def before(self, name: str) -> int:
        """Return the number before which a list, newest first, continues. Raises Invalid."""
        if self.cursor is None:
            return BIGGEST
        return int(cursors.decode(self.cursor, name, (0,)).cut[0])


class DiscrepancyFilter(Struct, frozen=True, kw_only=True):
    """Which discrepancies to list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None
    kind: Annotated[
        DiscrepancyKind | None, Meta(description="Of this kind.", extra={"code": "kind_unknown"})
    ] = None
    account_id: Annotated[str | None, Meta(description="Of this account.")] = None


@operation(
    "POST",
    "/reconciliations",
    name="askReconciliation",
    tag=TAG,
    scope="reconcile",
    body_required=False,
    answers={202: AskedReconciliation},
    problems={400: ("period_invalid",)},
)
async def request(side: AuditSide, caller: Caller, body: ReconciliationBody) -> Reply:
    """Request the reconciliation of a whole ledger, or of an account.

    While a reconciliation of the ledger is under way, that one is the answer.
    """
    scope = scope_of(caller.ledger, body.account_id, body.startDate, body.endDate)
    if body.account_id is None and (body.startDate is not None or body.endDate is not None):
        detail = "A period needs an `account_id`: a whole ledger is compared whole."
        raise Invalid("period_invalid", detail, field="startDate")
    async with side.pool.acquire() as connection:
        requested = await jobs.request(connection, scope, jobs.WORKER)
        answer = await _answer(connection, caller, requested)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    return Reply(answer, 202, position)


@operation(
    "GET",
    "/reconciliations",
    name="reconciliations",
    tag=TAG,
    scope="read",
    answers={200: AskedReconciliations},
)
async def listed(side: AuditSide, caller: Caller, query: Paging) -> Reply:
    """List the ledger's reconciliations, newest first."""
    before = query.before("reconciliations")
    async with side.pool.acquire() as connection:
        rows = await connection.fetch(
            jobs.SQL["reconciliations"], caller.ledger, before, query.limit + 1
        )
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    rows, following = page_of(rows, query.limit, "reconciliations", "number")
    now = datetime.now(UTC)
    items = [answers.asked_reconciliation(row, now) for row in rows]
    return Reply(AskedReconciliations(items, following), position=position)


@operation(
    "GET",
    "/reconciliations/{reconciliation_id}",
    name="reconciliation",
    tag=TAG,
    scope="read",
    answers={200: AskedReconciliation},
    problems=NO_RECONCILIATION,
)
async def one(side: AuditSide, caller: Caller, path: OfReconciliation) -> Reply:
    """Return a reconciliation and its status; `continuous` is the one that never ends."""
    async with side.pool.acquire() as connection:
        answer = await _answer(connection, caller, _id(path.reconciliation_id))
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    return Reply(answer, position=position)


@operation(
    "GET",
    "/reconciliations/{reconciliation_id}/discrepancies",
    name="discrepancies",
    tag=TAG,
    scope="read",
    answers={200: {JSON: Discrepancies, CSV: str}},
    problems=NO_RECONCILIATION,
)
async def found(
    side: AuditSide, caller: Caller, path: OfReconciliation, query: DiscrepancyFilter, media: str
) -> Reply | ASGIApp:
    """List what a reconciliation found, in the order in which it was found.

    As CSV, the cursor of the next page is in the header `Daybook-Next`.
    """
    after = 0
    if query.cursor is not None:
        after = cursors.decode(query.cursor, "discrepancies", (0,)).cut[0]
    async with side.pool.acquire() as connection:
        row = await _visible(connection, caller, _id(path.reconciliation_id))
        rows = await connection.fetch(
            jobs.SQL["discrepancies"],
            row["reconciliation_id"],
            after,
            query.kind,
            query.account_id,
            caller.ledger,
            query.limit + 1,
        )
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    rows, following = page_of(rows, query.limit, "discrepancies", "id")
    if media == CSV:
        headers = {POSITION: str(position)} | ({NEXT: following} if following else {})
        return Answer(as_csv(rows).encode(), headers=headers, media_type=CSV)
    items = [*map(answers.kept_discrepancy, rows)]
    return Reply(Discrepancies(items, following), position=position)


OPERATIONS = [request, listed, one, found]


def scope_of(ledger: str, account_id: str | None, start: str | None, end: str | None) -> Scope:
    """Return what to reconcile. Raises Invalid if the period does not begin before its end."""
    scope = Scope(
        ledger=ledger,
        account_id=account_id,
        start=None if start is None else times.start(start, "startDate"),
        end=None if end is None else times.end(end, "endDate"),
    )
    if scope.start is not None and scope.end is not None and scope.start >= scope.end:
        raise Invalid("period_invalid", "`startDate` must be before `endDate`.", field="startDate")
    return scope


def page_of(rows: list[Any], limit: int, name: str, key: str) -> tuple[list[Any], str | None]:
    """Return the rows of a page of `limit`, and the cursor of the next page, if there is one.

    A list by `id` ascends, and a list by `number` descends.
    """
    if len(rows) <= limit:
        return rows, None
    shown = rows[:limit]
    return shown, cursors.encode(name, Cursor(key == "id", (shown[-1][key],)))


def _id(text: str) -> UUID:
    """Return the id in a path. Raises NotFound, also for a text that is no id."""
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


async def _answer(
    connection: Executor, caller: Caller, reconciliation_id: UUID
) -> AskedReconciliation:
    row = await _visible(connection, caller, reconciliation_id)
    counted = None
    if reconciliation_id == CONTINUOUS:
        rows = await connection.fetch(
            jobs.SQL["counted_discrepancies"], reconciliation_id, caller.ledger
        )
        counted = {row["kind"]: row["times"] for row in rows}
    return answers.asked_reconciliation(row, datetime.now(UTC), counted)


def _unknown() -> NotFound:
    return NotFound("reconciliation_not_found", "The ledger has no such reconciliation.")
