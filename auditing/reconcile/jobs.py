"""Reconciliations that outlive the process that works on them.

    ask ──▶ queued ──▶ running ⟲ kept every few seconds ──▶ finished | failed
                          └─ the process dies: whoever takes it goes on from what was kept

A run is a row, its discrepancies are rows, and its place (how far it is, with the auditor's books)
is kept in the transaction that adds them: after a crash nothing is told twice and nothing is lost.
Whoever works on a run holds an advisory lock of its session, which ends with the process.
"""

import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from auditing.discrepancies import KEPT_MAX, Discrepancy
from auditing.reconcile import progress_snapshot
from auditing.reconcile.compare import Run, Scope
from auditing.reconcile.reconcile import (
    WITH_BALANCES,
    Means,
    Report,
    reconcile_account,
    reconcile_whole,
)
from auditing.replay import Books
from auditing.view_catalog import ENTRIES
from runtime.database import Executor
from runtime.problems import Conflict, Invalid, NotFound
from runtime.sql import Row, as_rows, queries

SQL = queries("auditing")
KEEP_S = 3.0
# Large books take long to keep; they are kept as much more seldom.
KEEP_SHARE = 20
CALLER, WORKER = "caller", "worker"
FAILURE_CHARACTERS_MAX = 1_000


class Keeper:
    """Keeps a run's place, at most every few seconds, and tells how it stands."""

    def __init__(self, connection: Executor, reconciliation_id: UUID, stored: int = 0) -> None:
        self._connection = connection
        self._id = reconciliation_id
        self._stored = stored
        self._next_s = time.monotonic() + KEEP_S

    async def keep(self, run: Run, target: int) -> None:
        """Keep the place, if it is time to."""
        if time.monotonic() >= self._next_s:
            await self.keep_now(run, target)

    async def keep_now(self, run: Run, target: int) -> None:
        """Keep the place and what was found, in one transaction."""
        began_s = time.monotonic()
        packed = progress_snapshot.packed(run)
        async with self._connection.transaction():
            await self.store(run, target, "running")
            await self._connection.execute(SQL["put_place"], self._id, packed)
        ended_s = time.monotonic()
        self._next_s = ended_s + max(KEEP_S, KEEP_SHARE * (ended_s - began_s))

    async def store(self, run: Run, target: int, status: str, failure: str | None = None) -> None:
        """Add what was found since, and say how the run stands; in the caller's transaction."""
        found, self._stored = run.findings.kept[self._stored :], len(run.findings.kept)
        await add_discrepancies(self._connection, self._id, found)
        await self._connection.execute(
            SQL["update_reconciliation"],
            self._id,
            status,
            run.position,
            target,
            run.events_read,
            run.compared.get(ENTRIES.table, 0),
            sum(run.compared.get(view.table, 0) for view in WITH_BALANCES),
            run.findings.count,
            msgspec.json.encode(run.findings.kinds).decode(),
            failure,
        )

    async def end(self, run: Run, position: int, failure: str | None = None) -> None:
        """Say that the run has ended at `position`, and forget its place."""
        run.position = position
        async with self._connection.transaction():
            status = "finished" if failure is None else "failed"
            await self.store(run, position, status, failure)
            await self._connection.execute(SQL["remove_place"], self._id)


async def add_discrepancies(
    connection: Executor, reconciliation_id: UUID, found: list[Discrepancy]
) -> None:
    """Add discrepancies; their ids are seen in order, whoever else adds some."""
    if found:
        await connection.execute(SQL["order_discrepancies"])
        await connection.execute(SQL["add_discrepancies"], reconciliation_id, as_rows(found))


async def ask(connection: Executor, scope: Scope, done_by: str) -> UUID:
    """Queue a reconciliation, and return its id; over HTTP, that of the ledger's one under way."""
    while True:
        reconciliation_id = uuid4()
        asked = await connection.execute(
            SQL["ask_reconciliation"],
            reconciliation_id,
            done_by,
            scope.ledger,
            scope.account_id,
            scope.start,
            scope.end,
            datetime.now(UTC),
        )
        if asked == "INSERT 0 1":
            return reconciliation_id
        under_way = await connection.fetchval(SQL["reconciliation_under_way"], scope.ledger)
        if under_way is not None:  # Else it has just ended.
            return UUID(str(under_way))


async def work(means: Means, reconciliation_id: UUID) -> Report:
    """Do a reconciliation that was asked for, from where it stands to its end.

    Raises NotFound, Conflict (somebody works on it, or it has ended); what stops it, it raises,
    too, and the run can be taken up again, but for what will not change (Invalid).
    """
    connection = means.connection
    row = await row_of(connection, reconciliation_id)
    if not await connection.fetchval(SQL["try_take_reconciliation"], str(reconciliation_id)):
        detail = f"Another process works on reconciliation {reconciliation_id}."
        raise Conflict("reconciliation_busy", detail)
    try:
        row = await row_of(connection, reconciliation_id)
        if row["status"] not in {"queued", "running"}:
            detail = f"Reconciliation {reconciliation_id} is {row['status']}: ask for a new one."
            raise Conflict("reconciliation_ended", detail)
        return await _worked(means, reconciliation_id, _scope(row))
    finally:
        if not connection.is_closed():
            await connection.execute(SQL["let_go_of_reconciliation"], str(reconciliation_id))


async def row_of(connection: Executor, reconciliation_id: UUID) -> Row:
    """Return a reconciliation's row. Raises NotFound."""
    row = await connection.fetchrow(SQL["reconciliation"], reconciliation_id)
    if row is None:
        detail = f"There is no reconciliation {reconciliation_id}."
        raise NotFound("reconciliation_not_found", detail)
    return row


async def resumed(connection: Executor, reconciliation_id: UUID, scope: Scope) -> tuple[Run, int]:
    """Return the run as it was kept last, or a new one; and how many of its findings are rows."""
    run = Run(scope, Books())
    kept = await connection.fetchval(SQL["place"], reconciliation_id)
    if kept is not None:
        progress_snapshot.unpacked(run, kept)
        rows = await connection.fetch(
            SQL["discrepancies"], reconciliation_id, 0, None, None, None, KEPT_MAX
        )
        for row in rows:
            run.findings.keep(msgspec.convert(dict(row), Discrepancy))
    return run, len(run.findings.kept)


async def record(connection: Executor, report: Report) -> None:
    """Keep a report that was made at once: what was compared and found is itself history."""
    async with connection.transaction():
        await connection.execute(
            SQL["record_reconciliation"],
            report.reconciliation_id,
            report.scope.ledger,
            report.scope.account_id,
            report.scope.start,
            report.scope.end,
            report.started_at,
            report.finished_at,
            report.position,
            report.events_read,
            report.entries_compared,
            report.balances_compared,
            report.discrepancy_count,
            msgspec.json.encode(report.kinds).decode(),
        )
        await add_discrepancies(connection, report.reconciliation_id, report.discrepancies)


async def _worked(means: Means, reconciliation_id: UUID, scope: Scope) -> Report:
    connection = means.connection
    run, stored = await resumed(connection, reconciliation_id, scope)
    keeper = Keeper(connection, reconciliation_id, stored)
    await keeper.keep_now(run, run.position)
    try:
        if scope.account_id is None:
            whole = msgspec.structs.replace(means, keep=keeper.keep)
            report = await reconcile_whole(whole, reconciliation_id, run)
        else:
            report = await _account(connection, reconciliation_id, scope)
            run.findings.kinds, run.findings.kept = report.kinds, report.discrepancies
            run.events_read = report.events_read
            run.compared = {
                ENTRIES.table: report.entries_compared,
                WITH_BALANCES[0].table: report.balances_compared,
            }
    except Invalid as problem:
        await keeper.end(run, run.position, problem.detail[:FAILURE_CHARACTERS_MAX])
        raise
    await keeper.end(run, report.position)
    return report


async def _account(connection: Executor, reconciliation_id: UUID, scope: Scope) -> Report:
    report = await reconcile_account(connection, reconciliation_id, scope)
    if report is None:
        detail = f"The log has no account {scope.account_id!r} in ledger {scope.ledger!r}."
        raise NotFound("account_not_found", detail)
    return report


def _scope(row: Row) -> Scope:
    return Scope(
        ledger=row["ledger"], account_id=row["account_id"], start=row["start_at"], end=row["end_at"]
    )
