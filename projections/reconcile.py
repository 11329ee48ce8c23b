"""The log against every view of it: replay independently, compare, name each difference.

Everything is read in one snapshot, so writes and projections go on meanwhile and cannot be mistaken
for differences. Memory is bounded by a page of events and the auditor's tally per account.

    #   read                              compared with
    1   log after 0, to the checkpoint    entries, transactions: page by page
    2                                     balances, accounts, refunded: key by key
    3   log from there to the head        the command side's own rows
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from events import checkpoints, log
from events.replay import Books, Line, Outcome
from events.vocabulary import Recorded
from projections import compare, discrepancies
from projections.compare import Run, Scope
from projections.discrepancies import Discrepancy
from runtime.database import Executor
from runtime.sql import queries

SQL = queries("projections")
ROLE = "daybook_auditor"

Progress = Callable[[int, int], None]


class Report(msgspec.Struct, kw_only=True):
    """What was compared, up to `position`, and what was found."""

    reconciliation_id: UUID
    scope: Scope
    position: int
    events_read: int
    entries_compared: int
    balances_compared: int
    discrepancy_count: int
    discrepancies: list[Discrepancy]
    started_at: datetime
    finished_at: datetime
    currency: str = ""
    expected: dict[str, int] | None = None
    actual: dict[str, int] | None = None

    @property
    def clean(self) -> bool:
        """Return whether nothing differs."""
        return self.discrepancy_count == 0


async def reconcile_all(
    connection: Executor, reconciliation_id: UUID, progress: Progress | None = None
) -> Report:
    """Compare every view with the whole log, in one snapshot."""
    started = datetime.now(UTC)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        run = Run(connection, Scope(), Books())
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        head = (await log.head(connection)).position
        last = 0
        async for page, first in _pages(connection, 0, checkpoint):
            lines, outcomes = _take(run, page, first)
            last = page[-1].position
            await compare.entries(run, first, last, lines)
            await compare.transactions(run, first, last, outcomes)
            if progress is not None:
                progress(last, head)
        if last < checkpoint:
            run.findings.add(discrepancies.gap(last, checkpoint + 1))
        # Nothing may stand in the read models beyond the checkpoint, or where the log is cut off.
        await compare.entries(run, last, log.NO_END, ())
        await compare.transactions(run, last, log.NO_END, ())
        await compare.accounts(run, compare.BALANCES, checkpoint)
        await compare.accounts(run, compare.ACCOUNTS, checkpoint)
        await compare.refunded(run, SQL["all_refunded"], checkpoint)
        last = checkpoint
        async for page, first in _pages(connection, checkpoint, head):
            _take(run, page, first)
            last = page[-1].position
            if progress is not None:
                progress(last, head)
        if last < head:
            run.findings.add(discrepancies.gap(last, head + 1))
        await compare.accounts(run, compare.COMMAND_ACCOUNTS, head)
        await compare.refunded(run, SQL["all_command_refunded"], head)
    return _report(run, reconciliation_id, checkpoint, started)


async def reconcile_account(
    connection: Executor, reconciliation_id: UUID, scope: Scope
) -> Report | None:
    """Compare one account with its events; None if the log doesn't know it.

    Every event of the account is folded (a running balance needs them all); entries are compared
    in the scope's period, the balance as it stands.
    """
    assert scope.ledger is not None
    assert scope.account_id is not None
    key = (scope.ledger, scope.account_id)
    started = datetime.now(UTC)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        run = Run(connection, scope, Books(only=key))
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        after = 0
        async for page in log.pages(connection, 0, checkpoint, mentioning=scope.account_id):
            lines = _account_lines(run, page)
            last = page[-1].position
            await compare.entries(run, after, last, lines)
            after = last
        await compare.entries(run, after, log.NO_END, ())
        tally = run.books.accounts.get(key)
        if tally is None:
            return None
        row = await connection.fetchrow(SQL["account_balance"], *key)
        compare.tally(run, key, tally, row, compare.BALANCES)
        run.balances_compared = 1
    report = _report(run, reconciliation_id, checkpoint, started)
    report.currency = tally.currency
    report.expected = compare.counters(tally) | {"balance": tally.balance}
    if row is not None:
        debits, credits_ = row["debits_posted"], row["credits_posted"]
        report.actual = {
            "debits_posted": debits,
            "credits_posted": credits_,
            "balance": credits_ - debits if tally.normal_side == "credit" else debits - credits_,
        }
    return report


async def record(connection: Executor, report: Report) -> None:
    """Keep the report: what was compared and found is itself history."""
    await connection.execute(
        SQL["record_reconciliation"],
        report.reconciliation_id,
        report.scope.ledger,
        report.scope.account_id,
        report.scope.start,
        report.scope.end,
        report.position,
        report.events_read,
        report.entries_compared,
        report.balances_compared,
        report.discrepancy_count,
        msgspec.json.encode(report.discrepancies).decode(),
        report.started_at,
        report.finished_at,
    )


async def _pages(
    connection: Executor, after: int, until: int
) -> AsyncIterator[tuple[list[Recorded], int]]:
    """Yield pages of the log with the position before each."""
    async for page in log.pages(connection, after, until):
        yield page, after
        after = page[-1].position


def _take(run: Run, page: list[Recorded], before: int) -> tuple[list[Line], list[Outcome]]:
    """Fold a page; note every gap in its positions."""
    lines: list[Line] = []
    outcomes: list[Outcome] = []
    for recorded in page:
        if recorded.position != before + 1:
            run.findings.add(discrepancies.gap(before, recorded.position))
        before = recorded.position
        made, outcome = run.books.take(recorded)
        lines += made
        if outcome is not None:
            outcomes.append(outcome)
    run.events_read += len(page)
    return lines, outcomes


def _account_lines(run: Run, page: list[Recorded]) -> list[Line]:
    """Fold the events of one account; return its entries of the period.

    The page may hold events of an account of the same name in another ledger. They are not even
    counted: the number would tell what happens there.
    """
    ours = [recorded for recorded in page if recorded.event.ledger == run.scope.ledger]
    run.events_read += len(ours)
    return [
        line
        for recorded in ours
        for line in run.books.take(recorded)[0]
        if run.scope.covers(recorded.event.recorded_at)
    ]


def _report(run: Run, reconciliation_id: UUID, position: int, started: datetime) -> Report:
    return Report(
        reconciliation_id=reconciliation_id,
        scope=run.scope,
        position=position,
        events_read=run.events_read,
        entries_compared=run.entries_compared,
        balances_compared=run.balances_compared,
        discrepancy_count=run.findings.count,
        discrepancies=run.findings.kept,
        started_at=started,
        finished_at=datetime.now(UTC),
    )
