"""Reconciliation that never ends: it verifies behind the projector, with a checkpoint of its own.

    read-only snapshot:  checkpoint ──▶ the log up to it ──▶ fold ──▶ journals of those events
                                                             └────▶ registers of what they moved
    then, in one transaction: what was found and, every few seconds, the progress

Registers can be compared only if the replay is as far as the projector was in the same snapshot. A
round that is far behind compares journals only. Each other round also compares some more balances
in turn, because nothing may move a wrong one, and a page of journals again (`recheck.py`).
A row that differs is reported once, until it has been right again.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from auditing import view_catalog
from auditing.difference_walker import ExpectedPage
from auditing.differences import Scope
from auditing.discrepancies import Discrepancy, DiscrepancyKind
from auditing.reconcile import jobs, recheck
from auditing.reconcile.jobs import ProgressKeeper
from auditing.reconcile.reconcile import delays
from auditing.reconcile.run import Name, Run, described
from auditing.roles import AUDITOR
from auditing.settings import AuditSettings
from auditing.view_catalog import Register
from events import checkpoints, log
from events.types import AccountChanged, AccountOpened, Recorded, TransactionEvent, TransferPosted
from runtime import database

logger = logging.getLogger(__name__)

AUDITED_EVENTS = Counter("daybook_audited_events", "Events verified behind the projector.")
DISCREPANCIES = Counter("daybook_discrepancies", "Differences between log and views.", ["kind"])

CONTINUOUS = UUID(int=1)
PAGE_EVENTS_MAX = 2_000
ROUND_PAGES_MAX = 10
TURN_KEYS_MAX = 500
# If more rows differ, for example in a whole broken view, they are counted and not kept.
ROWS_MAX = 100_000
REGISTERS = (view_catalog.BALANCES, view_catalog.ACCOUNTS, view_catalog.TRANSACTION_STATES)
DELAYS = (DiscrepancyKind.PROJECTION_LAG, DiscrepancyKind.PUBLISHED_GAP)


class Auditor:
    """The continuous reconciliation of a process, with its connection and its run."""

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._connection: database.Connection | None = None
        self._run = Run(Scope())
        self._keeper: ProgressKeeper | None = None
        self._touched: dict[str, set[Any]] = {view.table: set() for view in REGISTERS}
        self._turn: Iterator[tuple[str, str]] = iter(())

    async def follow(self) -> int:
        """Do a round; return 0 to let the loop rest, unless another whole round is waiting.

        Fewer rounds cost less: each has a fixed cost, and most accounts are moved many times.
        """
        verified = await self.run_once()
        return verified if verified == ROUND_PAGES_MAX * PAGE_EVENTS_MAX else 0

    async def run_once(self) -> int:
        """Verify what the projector has done since; return how many events that was.

        Return 0 while another process does the continuous reconciliation. Raises Unavailable.
        """
        try:
            connection = await self._connected()
            if self._keeper is None and not await self._taken(connection):
                return 0
            return await self._round(connection)
        except BaseException as error:
            # Events that were folded and not kept would be folded a second time.
            await self.close()
            if isinstance(error, database.CONNECTION_ERRORS):
                raise database.unavailable(error) from error
            raise

    async def rest(self) -> None:
        """Wait as long as an idle worker does."""
        await asyncio.sleep(self._settings.idle_poll_s)

    async def stop(self) -> None:
        """Store the progress, so that the next process continues here, and close."""
        if self._keeper is not None:
            with suppress(*database.CONNECTION_ERRORS):
                await self._keeper.keep_now(self._run, self._run.walker.position)
        await self.close()

    async def close(self) -> None:
        """Close the connection, which lets another process take over."""
        self._keeper = None
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _taken(self, connection: database.Connection) -> bool:
        """Take over the continuous reconciliation, with the progress that was stored last."""
        if not await connection.fetchval(jobs.SQL["try_take_reconciliation"], str(CONTINUOUS)):
            return False
        self._run, _ = await jobs.resumed(connection, CONTINUOUS, Scope())
        await self._run.walker.prepare(connection)
        self._run.findings.kept = []
        self._keeper = ProgressKeeper(connection, CONTINUOUS)
        self._touched = {view.table: set() for view in REGISTERS}
        self._turn = iter(())
        # Balances moved just before may not have been compared; they are compared in turn.
        logger.info(
            "continuous reconciliation goes on after position %d", self._run.walker.position
        )
        return True

    async def _round(self, connection: database.Connection) -> int:
        run, walker = self._run, self._run.walker
        before = walker.position
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
            if checkpoint < before:
                return 0  # A crash took the read models back; the projector folds again.
            until = min(checkpoint, before + ROUND_PAGES_MAX * PAGE_EVENTS_MAX)
            while walker.position < until:
                page = await log.read_after(connection, walker.position, PAGE_EVENTS_MAX, until)
                if not page:
                    run.add(walker.end_log(until))
                    break
                made, differences = await walker.compare_page(connection, page)
                run.add(differences)
                self._touch(page, made)
                del made  # Its rows are freed before the next page is folded.
            self._know(recheck.named(run.findings.kept))
            if walker.position == checkpoint:
                await self._registers(connection)
                self._report_once(*await recheck.compare_next(connection, run))
            await self._delays(connection)
        await self._store(connection, checkpoint, walker.position - before)
        return walker.position - before

    def _touch(self, page: list[Recorded], made: ExpectedPage) -> None:
        """Remember which rows of registers to compare once the replay is at the checkpoint."""
        touched, states = self._touched, self._run.walker.state.transaction_states
        touched[view_catalog.BALANCES.table].update(
            [(entry.ledger, entry.account_id) for entry in made.entries]
        )
        for recorded in page:
            event = recorded.event
            if type(event) is TransferPosted and event.about is None and recorded.version == 1:
                continue
            if isinstance(event, AccountOpened | AccountChanged):
                touched[view_catalog.ACCOUNTS.table].add((event.ledger, event.account_id))
            about = event.about if isinstance(event, TransactionEvent) else None
            touched[view_catalog.TRANSACTION_STATES.table].update(
                {recorded.originator_id, about} & states.keys()
            )

    async def _registers(self, connection: database.Connection) -> None:
        """Compare what was touched, and some more balances in turn."""
        walker = self._run.walker
        turn = list(islice(self._turn, TURN_KEYS_MAX))
        if not turn:
            self._turn = iter(list(walker.state.accounts))
        self._touched[view_catalog.BALANCES.table].update(turn)
        for view in REGISTERS:
            keys = self._touched[view.table]
            differing = await walker.compare_keys(connection, view, keys)
            self._report_once(
                {_named(view, key) for key in keys},
                {_named(view, key): described(found) for key, found in differing.items()},
            )
            self._touched[view.table] = set()

    async def _delays(self, connection: database.Connection) -> None:
        """Look for a projector or a relay that is late."""
        head = (await log.head(connection)).position
        found = await delays(connection, head, timedelta(seconds=self._settings.lag_s_max))
        self._report_once(
            {(kind.value,) for kind in DELAYS}, {(each.kind,): each for each in found}
        )

    def _report_once(self, compared: set[Name], found: Mapping[Name, Discrepancy]) -> None:
        """Add what did not differ the last time; what is right again may be reported anew."""
        run = self._run
        for name in found.keys() - run.known:
            run.findings.add(found[name])
        run.known -= compared
        self._know(found)

    def _know(self, found: Mapping[Name, Discrepancy]) -> None:
        """Remember what was reported, as far as there is room."""
        if len(self._run.known) < ROWS_MAX:
            self._run.known |= found.keys()

    async def _store(self, connection: database.Connection, checkpoint: int, events: int) -> None:
        """Store what was found and the progress in one transaction; write metrics and log lines."""
        run, keeper = self._run, self._keeper
        assert keeper is not None
        found = run.findings.kept
        if run.findings.count > ROWS_MAX:
            run.findings.kept = []  # They are counted.
        if found:
            await keeper.keep_now(run, checkpoint)
            for each in found:
                logger.error("%s: %s", each.kind, each.explanation)
                DISCREPANCIES.labels(each.kind).inc()
            run.findings.kept = []
            self._keeper = ProgressKeeper(connection, CONTINUOUS)
        elif events:
            await keeper.keep(run, checkpoint)
        if events:
            await checkpoints.move(connection, checkpoints.AUDITOR, run.walker.position)
        AUDITED_EVENTS.inc(events)
        checkpoints.POSITION.labels(checkpoints.AUDITOR).set(run.walker.position)

    async def _connected(self) -> database.Connection:
        if self._connection is None or self._connection.is_closed():
            await self.close()
            # A crash loses nothing that is not found again, so no commit waits for the disk.
            self._connection = await database.connect(
                self._settings.database_url, AUDITOR, synchronous_commit="off"
            )
        return self._connection


def _named(view: Register, key: Any) -> Name:  # noqa: ANN401 - an account's key, an id
    return (view.table, *map(str, key if isinstance(key, tuple) else (key,)))
