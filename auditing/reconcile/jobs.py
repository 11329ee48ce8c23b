"""Reconciliations that outlive the process that works on them.

    request ──▶ queued ──▶ running ⟲ kept every few seconds ──▶ finished | failed
                              └─ the process dies: another one resumes from what was kept

A run is a row, and its discrepancies are rows. Its progress, with the replayed state, is kept in
the transaction that adds discrepancies. So after a crash none is reported twice, and none is lost.
A process that works on a run holds an advisory lock of its session, which ends with the process.
"""

import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from auditing.differences import Scope
from auditing.discrepancies import KEPT_MAX, OF_ENTRIES, Discrepancy
from auditing.reconcile import progress_snapshot
from auditing.reconcile.reconcile import Report, RunContext, reconcile_account, reconcile_whole
from auditing.reconcile.run import Run
from runtime.database import Executor
from runtime.problems import Conflict, Invalid, NotFound
from runtime.sql import Row, as_rows, queries

SQL = queries("auditing")
KEEP_S = 3.0
# Keeping a large state takes long. Keeping it may take this part of the time, at most.
KEEP_SHARE = 20
CALLER, WORKER = "caller", "worker"
FAILURE_CHARACTERS_MAX = 1_000


class ProgressKeeper:
    """Stores the progress of a run and what it has found, at most every few seconds."""

    def __init__(self, connection: Executor, reconciliation_id: UUID, stored: int = 0) -> None:
        self._connection = connection
        self._id = reconciliation_id
        self._stored = stored
        self._next_s = time.monotonic() + KEEP_S

    async def keep(self, run: Run, target: int) -> None:
        """Store the progress, if it is time to."""
        if time.monotonic() >= self._next_s:
            await self.keep_now(run, target)

    async def keep_now(self, run: Run, target: int) -> None:
        """Store the progress and what was found, in one transaction."""
        began_s = time.monotonic()
        packed = progress_snapshot.packed(run)
        async with self._connection.transaction():
            await self.store(run, target, "running")
            await self._connection.execute(SQL["put_place"], self._id, packed)
        ended_s = time.monotonic()
        self._next_s = ended_s + max(KEEP_S, KEEP_SHARE * (ended_s - began_s))

    async def store(self, run: Run, target: int, status: str, failure: str | None = None) -> None:
        """Store the new discrepancies and the status of the run, in the caller's transaction."""
        found, self._stored = run.findings.kept[self._stored :], len(run.findings.kept)
        await add_discrepancies(self._connection, self._id, found)
        await self._connection.execute(
            SQL["update_reconciliation"],
            self._id,
            status,
            run.walker.position,
            target,
            run.walker.events_read,
            run.entries_compared,
            run.balances_compared,
            run.findings.count,
            msgspec.json.encode(run.findings.kinds).decode(),
            failure,
        )

    async def end(self, run: Run, position: int, failure: str | None = None) -> None:
        """Store that the run has ended at `position`, and delete its progress."""
        run.walker.position = position
        async with self._connection.transaction():
            status = "finished" if failure is None else "failed"
            await self.store(run, position, status, failure)
            await self._connection.execute(SQL["remove_place"], self._id)


async def add_discrepancies(
    connection: Executor, reconciliation_id: UUID, found: list[Discrepancy]
) -> None:
    """Add discrepancies; their ids appear in order, even if other processes add some, too."""
    if found:
        await connection.execute(SQL["order_discrepancies"])
        await connection.execute(SQL["add_discrepancies"], reconciliation_id, as_rows(found))


async def request(connection: Executor, scope: Scope, done_by: str) -> UUID:
    """Queue a reconciliation, and return its id.

    Over HTTP a ledger has one at a time: while one is under way, its id is returned.
    """
    while True:
        reconciliation_id = uuid4()
        result = await connection.execute(
            SQL["request_reconciliation"],
            reconciliation_id,
            done_by,
            scope.ledger,
            scope.account_id,
            scope.start,
            scope.end,
            datetime.now(UTC),
        )
        if result == "INSERT 0 1":
            return reconciliation_id
        under_way = await connection.fetchval(SQL["reconciliation_under_way"], scope.ledger)
        if under_way is not None:  # Else it has just ended.
            return UUID(str(under_way))


async def work(context: RunContext, reconciliation_id: UUID) -> Report:
    """Do a requested reconciliation, from the progress that was kept to its end.

    Raises NotFound, and Conflict if another process works on it or it has ended. After Invalid,
    which would be raised again, it has failed. After any other error it can be resumed.
    """
    connection = context.connection
    row = await row_of(connection, reconciliation_id)
    if not await connection.fetchval(SQL["try_take_reconciliation"], str(reconciliation_id)):
        detail = f"Another process works on reconciliation {reconciliation_id}."
        raise Conflict("reconciliation_busy", detail)
    try:
        row = await row_of(connection, reconciliation_id)
        if row["status"] not in {"queued", "running"}:
            detail = f"Reconciliation {reconciliation_id} is {row['status']}: request a new one."
            raise Conflict("reconciliation_ended", detail)
        return await _work(context, reconciliation_id, _scope(row))
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
    """Return the run as it was kept last, or a new one, and how many discrepancies are stored."""
    run = Run(scope)
    kept = await connection.fetchval(SQL["place"], reconciliation_id)
    if kept is not None:
        progress_snapshot.restore(run, kept)
        rows = await connection.fetch(
            SQL["discrepancies"], reconciliation_id, 0, None, None, None, KEPT_MAX
        )
        for row in rows:
            found = msgspec.convert(dict(row), Discrepancy)
            run.findings.kept.append(found)
            if found.kind in OF_ENTRIES and found.ledger and found.account_id:
                run.walker.note_first_entry((found.ledger, found.account_id), found.position)
    return run, len(run.findings.kept)


async def record(connection: Executor, report: Report) -> None:
    """Store the report of a reconciliation that was done at once."""
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


async def _work(context: RunContext, reconciliation_id: UUID, scope: Scope) -> Report:
    connection = context.connection
    run, stored = await resumed(connection, reconciliation_id, scope)
    keeper = ProgressKeeper(connection, reconciliation_id, stored)
    await keeper.keep_now(run, run.walker.position)
    try:
        if scope.account_id is None:
            whole = msgspec.structs.replace(context, keep=keeper.keep)
            report = await reconcile_whole(whole, reconciliation_id, run)
        else:
            report = await _reconcile_account(connection, reconciliation_id, run)
    except Invalid as problem:
        await keeper.end(run, run.walker.position, problem.detail[:FAILURE_CHARACTERS_MAX])
        raise
    await keeper.end(run, report.position)
    return report


async def _reconcile_account(connection: Executor, reconciliation_id: UUID, run: Run) -> Report:
    scope = run.walker.scope
    report = await reconcile_account(connection, reconciliation_id, scope, run)
    if report is None:
        detail = f"The log has no account {scope.account_id!r} in ledger {scope.ledger!r}."
        raise NotFound("account_not_found", detail)
    return report


def _scope(row: Row) -> Scope:
    return Scope(
        ledger=row["ledger"], account_id=row["account_id"], start=row["start_at"], end=row["end_at"]
    )
