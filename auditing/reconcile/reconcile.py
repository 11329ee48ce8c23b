"""Compare the log with every view of it: replay independently, and name each difference.

    #   read                                  compared with                   in
    1   log up to about the checkpoint        the journals, page by page      a statement each
    2   log from there to the checkpoint      the journals                    one snapshot, while
    3                                         the registers of the read side  writes and projections
    4   log from there to the head                                            continue
    5   log after the last flush of accounts  the rows of the command side

Journals up to the checkpoint are only ever added to. So step 1, nearly all of the work, needs no
snapshot, does not delay vacuum, and can be resumed at any page. Memory is bounded by two pages of
events and the replayed state.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from auditing import discrepancies
from auditing.differences import RowDifference, Scope
from auditing.discrepancies import Discrepancy, DiscrepancyKind
from auditing.expected_rows import ExpectedAccount
from auditing.pages import Progress, read_ahead, reported
from auditing.reconcile.run import Run
from auditing.view_catalog import BALANCES, COUNTERS, counters
from events import checkpoints, log
from runtime.database import Executor
from runtime.problems import Unavailable

BEHIND_LOOKS_MAX = 300
BEHIND_POLL_S = 0.1

Keep = Callable[[Run, int], Awaitable[None]]


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
    kinds: dict[str, int] = {}
    currency: str = ""
    expected: dict[str, int] | None = None
    actual: dict[str, int] | None = None

    @property
    def clean(self) -> bool:
        """Return whether nothing differs."""
        return self.discrepancy_count == 0


class RunContext(msgspec.Struct, frozen=True):
    """The connections and callbacks of a run.

    `connection` compares. With a second connection to the `log`, PostgreSQL reads the next page of
    events while this one is folded. `progress` is called with the position and the target, and
    `keep` after every page. Readers of the log are late after `lag_max`; None checks no reader.
    """

    connection: Executor
    log: Executor | None = None
    progress: Progress = lambda _position, _target: None
    keep: Keep | None = None
    lag_max: timedelta | None = None


async def reconcile_all(
    connection: Executor, reconciliation_id: UUID, progress: Progress | None = None
) -> Report:
    """Compare every view with the whole log, and store nothing."""
    context = RunContext(connection)
    if progress is not None:
        context = RunContext(connection, progress=progress)
    return await reconcile_whole(context, reconciliation_id, Run(Scope()))


async def reconcile_whole(context: RunContext, reconciliation_id: UUID, run: Run) -> Report:
    """Compare every view with the log, from the position of `run` to the end of both.

    Raises Unavailable if the read models are behind what was compared already, and stay there.
    """
    started = datetime.now(UTC)
    connection, walker = context.connection, run.walker
    await walker.prepare(connection)
    while (until := await walker.stretch(connection)) is not None:
        before = walker.position
        await _compare_stretch(context, run, until)
        if walker.position == before:
            break  # The log ends before the checkpoint: the snapshot reports it.
    await _caught_up(connection, walker.position)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        head = await log.head(connection)
        events = log.pages(connection, walker.position, checkpoint)
        pages = reported(events, context.progress, checkpoint)
        async for difference in walker.read_side(connection, pages, checkpoint):
            run.add([difference])
        events = log.pages(connection, checkpoint, head.position)
        pages = reported(events, context.progress, head.position)
        async for difference in walker.command_side(connection, pages, head):
            run.add([difference])
        # A late reader is late for all ledgers, and no ledger's own discrepancy.
        if context.lag_max is not None and walker.scope.ledger is None:
            for delay in await delays(connection, head.position, context.lag_max):
                run.findings.add(delay)
    return _report(run, reconciliation_id, checkpoint, started)


async def reconcile_account(
    connection: Executor, reconciliation_id: UUID, scope: Scope, run: Run | None = None
) -> Report | None:
    """Compare one account with its events; return None if the log does not know it.

    Every event of the account is folded, because a counter needs them all. Entries are compared in
    the scope's period; references, policy and balance are compared as of the checkpoint.
    """
    assert scope.account is not None
    started = datetime.now(UTC)
    run = run or Run(scope)
    walker = run.walker
    drift: RowDifference | None = None
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        pages = log.pages(connection, 0, checkpoint, mentioning=scope.account_id)
        async for difference in walker.read_side(connection, pages, checkpoint):
            run.add([difference])
            if isinstance(difference, RowDifference) and difference.view is BALANCES:
                drift = difference
    account = walker.state.accounts.get(scope.account)
    if account is None:
        return None
    report = _report(run, reconciliation_id, checkpoint, started)
    report.currency = account.currency
    report.expected = _with_balance(counters(account), account)
    if drift is None:
        report.actual = report.expected
    elif drift.actual is not None:
        actual = {name: drift.actual[name] for name in COUNTERS}
        report.actual = _with_balance(actual, account)
    return report


async def delays(connection: Executor, head: int, lag_max: timedelta) -> list[Discrepancy]:
    """Name a projector or a relay that is later than `lag_max`, or beyond the end of the log."""
    found = []
    oldest = datetime.now(UTC) - lag_max
    for reader, kind in (
        (checkpoints.PROJECTOR, DiscrepancyKind.PROJECTION_LAG),
        (checkpoints.RELAY, DiscrepancyKind.PUBLISHED_GAP),
    ):
        position = await checkpoints.read(connection, reader)
        waiting = await log.read_after(connection, position, 1)
        if waiting and waiting[0].event.recorded_at < oldest:
            since = waiting[0].event.recorded_at
            found.append(discrepancies.behind(kind, position, head, since))
        elif position > head and reader == checkpoints.RELAY:
            found.append(discrepancies.ahead(position, head))
    return found


async def _compare_stretch(context: RunContext, run: Run, until: int) -> None:
    """Compare the journals of the events up to `until`, each page by statements of its own."""
    walker = run.walker
    pages = log.pages(context.log or context.connection, walker.position, until)
    async for page in pages if context.log is None else read_ahead(pages):
        # The rows of a page are freed before the next page is folded.
        run.add((await walker.compare_page(context.connection, page))[1])
        context.progress(walker.position, until)
        if context.keep is not None:
            await context.keep(run, until)


async def _caught_up(connection: Executor, position: int) -> None:
    """Wait until the read models are at `position` again: a crash may have taken them back."""
    for _ in range(BEHIND_LOOKS_MAX):
        if await checkpoints.read(connection, checkpoints.PROJECTOR) >= position:
            return
        await asyncio.sleep(BEHIND_POLL_S)
    detail = f"The read models are behind position {position}, which was compared before."
    raise Unavailable("position_not_reached", detail)


def _report(run: Run, reconciliation_id: UUID, position: int, started: datetime) -> Report:
    """Return what `run` has found, as of now."""
    return Report(
        reconciliation_id=reconciliation_id,
        scope=run.walker.scope,
        position=position,
        events_read=run.walker.events_read,
        entries_compared=run.entries_compared,
        balances_compared=run.balances_compared,
        discrepancy_count=run.findings.count,
        discrepancies=run.findings.kept,
        kinds=run.findings.kinds,
        started_at=started,
        finished_at=datetime.now(UTC),
    )


def _with_balance(counters: dict[str, int], account: ExpectedAccount) -> dict[str, int]:
    net = counters["credits_posted"] - counters["debits_posted"]
    return counters | {"balance": net if account.normal_side == "credit" else -net}
