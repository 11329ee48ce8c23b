"""The log against every view of it: replay independently, compare, name each difference.

    #   read                                  compared with                   in
    1   log up to about the checkpoint        the journals, page by page      a statement each
    2   log from there to the checkpoint      the journals                    one snapshot:
    3                                         the read side's registers       writes and projections
    4   log from there to the head                                            go on meanwhile
    5   log that accounts are behind          the command side's registers

Journals up to the checkpoint are only ever added to, so step 1, nearly all of the work, needs no
snapshot, keeps vacuum from nothing, and is resumed at any page. Memory is bounded by two pages of
events and the auditor's books.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from auditing import discrepancies, unflushed_accounts, view_catalog
from auditing.discrepancies import Discrepancy, Kind
from auditing.expected_rows import Line, Mention, Outcome
from auditing.reconcile import compare
from auditing.reconcile.compare import Run, Scope
from auditing.replay import Books, mentions, moments
from auditing.view_catalog import ENTRIES, JOURNALS, MENTIONS, MOMENTS, TRANSACTIONS
from events import checkpoints, log
from events.types import Recorded
from runtime.database import Executor
from runtime.problems import Unavailable

ROLE = "daybook_auditor"
WITH_BALANCES = (view_catalog.BALANCES, view_catalog.COMMAND_ACCOUNTS)
BEHIND_LOOKS_MAX = 300
BEHIND_POLL_S = 0.1

Progress = Callable[[int, int], None]
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


class Made(msgspec.Struct):
    """The rows that a page of events must have made."""

    lines: list[Line]
    outcomes: list[Outcome]
    mentions: list[Mention]


class Means(msgspec.Struct, frozen=True):
    """What a run works with.

    `connection` compares; with another one for the log, PostgreSQL reads the next page of it while
    this one is folded. `progress` is told (position, head); `keep` is told after every page.
    """

    connection: Executor
    log: Executor | None = None
    progress: Progress = lambda _position, _head: None
    keep: Keep | None = None
    lag_max: timedelta | None = None


async def reconcile_all(
    connection: Executor, reconciliation_id: UUID, progress: Progress | None = None
) -> Report:
    """Compare every view with the whole log, and remember nothing of it."""
    means = Means(connection) if progress is None else Means(connection, progress=progress)
    return await reconcile_whole(means, reconciliation_id, Run(Scope(), Books()))


async def reconcile_whole(means: Means, reconciliation_id: UUID, run: Run) -> Report:
    """Compare every view with the log, from where `run` stands to the end of both.

    Raises Unavailable if the read models are behind what was compared already, and stay there.
    """
    started = datetime.now(UTC)
    connection = means.connection
    await compare.plain(connection)
    while True:
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        if checkpoint - run.position <= log.PAGE_EVENTS_MAX:
            break
        await _journals(run, means, checkpoint)
    await _caught_up(connection, run.position)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        head = await log.head(connection)
        await _journals(run, msgspec.structs.replace(means, log=None, keep=None), checkpoint)
        await _ends(run, connection, checkpoint)
        for view in view_catalog.READ_SIDE:
            await compare.register(run, connection, view, checkpoint)
        await _rest(run, connection, head.position, means.progress)
        accounts = await unflushed_accounts.command_accounts(connection, head)
        for view in (accounts, view_catalog.COMMAND_STANDINGS, view_catalog.COMMAND_BOOKS):
            await compare.register(run, connection, view, head.position)
        if means.lag_max is not None:
            for delay in await delays(connection, head.position, means.lag_max):
                run.findings.add(delay)
    return report(run, reconciliation_id, checkpoint, started)


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
        run = Run(scope, Books(only=key))
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        after = 0
        async for page in log.pages(connection, 0, checkpoint, mentioning=scope.account_id):
            made = _fold_account(run, page)
            last = page[-1].position
            await compare.journal(run, connection, ENTRIES, after, last, made.lines)
            await compare.journal(run, connection, MENTIONS, after, last, made.mentions)
            after = last
        await compare.journal(run, connection, ENTRIES, after, log.NO_END, ())
        await compare.journal(run, connection, MENTIONS, after, log.NO_END, ())
        tally = run.books.accounts.get(key)
        if tally is None:
            return None
        await compare.account(run, connection, view_catalog.ACCOUNTS, key)
        row = await compare.account(run, connection, view_catalog.BALANCES, key)
    made_report = report(run, reconciliation_id, checkpoint, started)
    made_report.currency = tally.currency
    made_report.expected = _with_balance(view_catalog.counters(tally), tally.normal_side)
    if row is not None:
        shown = {name: row[name] for name in view_catalog.COUNTERS}
        made_report.actual = _with_balance(shown, tally.normal_side)
    return made_report


async def compare_page(run: Run, connection: Executor, page: list[Recorded]) -> Made:
    """Fold a page of events, and compare its journals; return what it made.

    The last time of a page may go on in the next one, so it is compared with that.
    """
    first, last = run.position, page[-1].position
    # PostgreSQL puts the view's page together while we fold the log's.
    shown = asyncio.create_task(compare.shown(connection, first, last))
    await asyncio.sleep(0)
    try:
        made = fold(run, page)
        texts = await shown
    finally:
        await _ended(shown)
    await compare.page(run, connection, ENTRIES, first, last, made.lines, texts)
    await compare.page(run, connection, TRANSACTIONS, first, last, made.outcomes, texts)
    await compare.journal(run, connection, MENTIONS, first, last, made.mentions)
    times = moments(page)
    if run.open_times and run.open_times[0].recorded_at != times[0].recorded_at:
        times = run.open_times + times
    *ended, going_on = times
    if ended:
        settled = ended[-1].position
        await compare.journal(run, connection, MOMENTS, run.settled, settled, ended)
        run.settled = settled
    run.open_times = [going_on]
    run.position = last
    return made


def fold(run: Run, page: list[Recorded]) -> Made:
    """Fold a page that comes after `run.position`; note every gap in its positions."""
    made = Made([], [], [])
    before = run.position
    take = run.books.take
    for recorded in page:
        if recorded.position != before + 1:
            run.findings.add(discrepancies.gap(before, recorded.position))
        before = recorded.position
        lines, outcome = take(recorded)
        if lines:
            made.lines += lines
        elif mentioned := mentions(recorded):
            made.mentions += mentioned
        if outcome is not None:
            made.outcomes.append(outcome)
    if run.scope.ledger is None:
        run.events_read += len(page)
    else:
        run.events_read += sum(run.covers(recorded.event.ledger) for recorded in page)
    return made


async def delays(connection: Executor, head: int, lag_max: timedelta) -> list[Discrepancy]:
    """Name a projector or a relay that is later than `lag_max`, or beyond the log's end."""
    found = []
    oldest = datetime.now(UTC) - lag_max
    for reader, kind in (
        (checkpoints.PROJECTOR, Kind.PROJECTION_LAG),
        (checkpoints.RELAY, Kind.PUBLISHED_GAP),
    ):
        position = await checkpoints.read(connection, reader)
        waiting = await log.read_after(connection, position, 1)
        if waiting and waiting[0].event.recorded_at < oldest:
            since = waiting[0].event.recorded_at
            found.append(discrepancies.behind(kind, position, head, since))
        elif position > head and reader == checkpoints.RELAY:
            found.append(discrepancies.ahead(position, head))
    return found


def report(run: Run, reconciliation_id: UUID, position: int, started: datetime) -> Report:
    """Return what `run` has found, as of now."""
    return Report(
        reconciliation_id=reconciliation_id,
        scope=run.scope,
        position=position,
        events_read=run.events_read,
        entries_compared=run.compared.get(ENTRIES.table, 0),
        balances_compared=sum(run.compared.get(view.table, 0) for view in WITH_BALANCES),
        discrepancy_count=run.findings.count,
        discrepancies=run.findings.kept,
        kinds=run.findings.kinds,
        started_at=started,
        finished_at=datetime.now(UTC),
    )


async def _journals(run: Run, means: Means, checkpoint: int) -> None:
    """Compare the journals of all events after `run.position`, up to the checkpoint."""
    reader = means.log or means.connection
    pages = log.pages(reader, run.position, checkpoint)
    async for page in pages if means.log is None else _ahead(pages):
        await compare_page(run, means.connection, page)
        means.progress(run.position, checkpoint)
        if means.keep is not None:
            await means.keep(run, checkpoint)


async def _ends(run: Run, connection: Executor, checkpoint: int) -> None:
    """Compare what is left: nothing may stand beyond the checkpoint, or where the log is cut."""
    if run.position < checkpoint:
        run.findings.add(discrepancies.gap(run.position, checkpoint + 1))
    for journal in JOURNALS:
        if journal is not MOMENTS:
            await compare.journal(run, connection, journal, run.position, log.NO_END, ())
    await compare.journal(run, connection, MOMENTS, run.settled, log.NO_END, run.open_times)
    run.position = checkpoint


async def _rest(run: Run, connection: Executor, head: int, progress: Progress) -> None:
    """Fold what is not projected yet: the command side's rows are as of the head."""
    async for page in log.pages(connection, run.position, head):
        fold(run, page)
        run.position = page[-1].position
        progress(run.position, head)
    if run.position < head:
        run.findings.add(discrepancies.gap(run.position, head + 1))


async def _caught_up(connection: Executor, position: int) -> None:
    """Wait until the read models are at `position` again: a crash may have taken them back."""
    for _ in range(BEHIND_LOOKS_MAX):
        if await checkpoints.read(connection, checkpoints.PROJECTOR) >= position:
            return
        await asyncio.sleep(BEHIND_POLL_S)
    detail = f"The read models are behind position {position}, which was compared before."
    raise Unavailable("position_not_reached", detail)


async def _ahead(pages: AsyncIterator[list[Recorded]]) -> AsyncIterator[list[Recorded]]:
    """Yield `pages`, the next of which is read while one is worked on."""

    async def following() -> list[Recorded] | None:
        return await anext(pages, None)

    reading = asyncio.create_task(following())
    try:
        while (page := await reading) is not None:
            reading = asyncio.create_task(following())
            await asyncio.sleep(0)
            yield page
    finally:
        await _ended(reading)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Let nothing go on behind an error's back."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(task, return_exceptions=True)


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
