"""The log against every view of it: replay independently, compare, name each difference.

Everything is read in one snapshot, so writes and projections go on meanwhile and cannot be mistaken
for differences. Memory is bounded by a page of events and the auditor's books.

    #   read                              compared with
    1   log after 0, to the checkpoint    the journals: page by page
    2                                     the read side's registers: key by key
    3   log from there to the head        the command side's registers
"""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from events import checkpoints, log
from events.expected import Line, Mention, Moment, Outcome
from events.replay import Books, mentions, moments
from events.vocabulary import Recorded
from projections.auditing import audited, compare, discrepancies
from projections.auditing.audited import ENTRIES, MENTIONS, MOMENTS, TRANSACTIONS
from projections.auditing.compare import Run, Scope
from projections.auditing.discrepancies import Discrepancy
from runtime.database import Executor
from runtime.sql import queries

SQL = queries("projections")
ROLE = "daybook_auditor"
WITH_BALANCES = (audited.BALANCES, audited.COMMAND_ACCOUNTS)

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
        await _journals(run, checkpoint, lambda done: progress and progress(done, head))
        for view in audited.READ_SIDE:
            await compare.register(run, view, checkpoint)
        last = checkpoint
        async for page in log.pages(connection, checkpoint, head):
            _fold(run, page, last)
            last = page[-1].position
            if progress is not None:
                progress(last, head)
        if last < head:
            run.findings.add(discrepancies.gap(last, head + 1))
        for view in audited.COMMAND_SIDE:
            await compare.register(run, view, head)
    return _report(run, reconciliation_id, checkpoint, started)


async def reconcile_account(
    connection: Executor, reconciliation_id: UUID, scope: Scope
) -> Report | None:
    """Compare one account with its events; None if the log doesn't know it.

    Every event of the account is folded (a counter needs them all); entries are compared in the
    scope's period, mentions, policy and balance as they stand.
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
            made = _fold_account(run, page)
            last = page[-1].position
            await compare.journal(run, ENTRIES, after, last, made.lines)
            await compare.journal(run, MENTIONS, after, last, made.mentions)
            after = last
        await compare.journal(run, ENTRIES, after, log.NO_END, ())
        await compare.journal(run, MENTIONS, after, log.NO_END, ())
        tally = run.books.accounts.get(key)
        if tally is None:
            return None
        await compare.account(run, audited.ACCOUNTS, key)
        row = await compare.account(run, audited.BALANCES, key)
    report = _report(run, reconciliation_id, checkpoint, started)
    report.currency = tally.currency
    report.expected = _with_balance(audited.counters(tally), tally.normal_side)
    if row is not None:
        shown = {name: row[name] for name in audited.COUNTERS}
        report.actual = _with_balance(shown, tally.normal_side)
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


class Made(msgspec.Struct):
    """The rows that a page of events must have made."""

    lines: list[Line]
    outcomes: list[Outcome]
    mentions: list[Mention]


async def _journals(run: Run, checkpoint: int, progress: Callable[[int], object]) -> None:
    """Fold the log up to the checkpoint, and compare every journal with it, page by page.

    The last time of a page may go on in the next one, so it is compared with that.
    """
    last = settled = 0
    open_times: list[Moment] = []
    async for page in log.pages(run.connection, 0, checkpoint):
        made = _fold(run, page, last)
        first, last = last, page[-1].position
        await compare.journal(run, ENTRIES, first, last, made.lines)
        await compare.journal(run, TRANSACTIONS, first, last, made.outcomes)
        await compare.journal(run, MENTIONS, first, last, made.mentions)
        times = moments(page)
        if open_times and open_times[0].recorded_at != times[0].recorded_at:
            times = open_times + times
        *ended, going_on = times
        if ended:
            await compare.journal(run, MOMENTS, settled, ended[-1].position, ended)
            settled = ended[-1].position
        open_times = [going_on]
        progress(last)
    if last < checkpoint:
        run.findings.add(discrepancies.gap(last, checkpoint + 1))
    # Nothing may stand in the read models beyond the checkpoint, or where the log is cut off.
    for journal in (ENTRIES, TRANSACTIONS, MENTIONS):
        await compare.journal(run, journal, last, log.NO_END, ())
    await compare.journal(run, MOMENTS, settled, log.NO_END, open_times)


def _fold(run: Run, page: list[Recorded], before: int) -> Made:
    """Fold a page; note every gap in its positions."""
    made = Made([], [], [])
    for recorded in page:
        if recorded.position != before + 1:
            run.findings.add(discrepancies.gap(before, recorded.position))
        before = recorded.position
        lines, outcome = run.books.take(recorded)
        made.lines += lines
        made.mentions += mentions(recorded)
        if outcome is not None:
            made.outcomes.append(outcome)
    run.events_read += len(page)
    return made


def _fold_account(run: Run, page: list[Recorded]) -> Made:
    """Fold the events of one account: its entries of the period, and all its mentions.

    The page may hold events of an account of the same name in another ledger. They are not even
    counted: the number would tell what happens there.
    """
    made = Made([], [], [])
    for recorded in page:
        if recorded.event.ledger != run.scope.ledger:
            continue
        run.events_read += 1
        lines, _ = run.books.take(recorded)
        if run.scope.covers(recorded.event.recorded_at):
            made.lines += lines
        made.mentions += [
            mention for mention in mentions(recorded) if mention.account_id == run.scope.account_id
        ]
    return made


def _with_balance(counters: dict[str, int], normal_side: str) -> dict[str, int]:
    net = counters["credits_posted"] - counters["debits_posted"]
    return counters | {"balance": net if normal_side == "credit" else -net}


def _report(run: Run, reconciliation_id: UUID, position: int, started: datetime) -> Report:
    return Report(
        reconciliation_id=reconciliation_id,
        scope=run.scope,
        position=position,
        events_read=run.events_read,
        entries_compared=run.compared.get(ENTRIES.table, 0),
        balances_compared=sum(run.compared.get(view.table, 0) for view in WITH_BALANCES),
        discrepancy_count=run.findings.count,
        discrepancies=run.findings.kept,
        started_at=started,
        finished_at=datetime.now(UTC),
    )
