"""Reconciliation that never ends: it verifies behind the projector, with a checkpoint of its own.

    read-only snapshot:  checkpoint ──▶ the log up to it ──▶ fold ──▶ journals of those events
                                                             └────▶ registers of what they moved
    then, in one transaction: what was found, and (now and then) the place to go on from

Registers can only be compared where the fold is as far as the projector was in the same snapshot,
so they wait until it is, and for a second to have gone by; a round far behind compares journals
only. Some more of the balances are taken in turn, so that one which nobody moves is looked at, too,
and so is a page of what the journals had long before (`patrol.py`).
A row that differs is told of once, until it has been right again.
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

from auditing import discrepancies, view_catalog
from auditing.discrepancies import Discrepancy, Kind
from auditing.reconcile import compare, jobs, recheck
from auditing.reconcile.compare import Run, Scope
from auditing.reconcile.jobs import Keeper
from auditing.reconcile.reconcile import ROLE, Made, compare_page, delays
from auditing.replay import Books
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
# A view that is broken all over is counted, and no further rows are kept of it.
ROWS_MAX = 100_000
_BY_KEYS = (view_catalog.BALANCES, view_catalog.ACCOUNTS, view_catalog.STANDINGS)
LATE = (Kind.PROJECTION_LAG, Kind.PUBLISHED_GAP)


class Auditor:
    """The process's continuous reconciliation: its connection, its books, what it waits to see."""

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._connection: database.Connection | None = None
        self._run = Run(Scope(), Books())
        self._keeper: Keeper | None = None
        self._touched: dict[str, set[Any]] = {view.table: set() for view in _BY_KEYS}
        self._turn: Iterator[tuple[str, str]] = iter(())

    async def follow(self) -> int:
        """Do a round; unless a whole one more may be waiting, let the loop rest: return 0.

        A round costs something for itself, and the same accounts are moved again and again: the
        fewer rounds, the less there is to compare.
        """
        verified = await self.run_once()
        return verified if verified == ROUND_PAGES_MAX * PAGE_EVENTS_MAX else 0

    async def run_once(self) -> int:
        """Verify what the projector has done since; return how many events that was.

        Raises Unavailable. Somebody else's turn is nothing to do.
        """
        try:
            connection = await self._connected()
            if self._keeper is None and not await self._taken(connection):
                return 0
            return await self._round(connection)
        except BaseException as error:
            # What was folded and not kept would be folded again on top of itself.
            await self.close()
            if isinstance(error, database.CONNECTION_ERRORS):
                raise database.unavailable(error) from error
            raise

    async def rest(self) -> None:
        """Wait as long as an idle worker does."""
        await asyncio.sleep(self._settings.idle_poll_s)

    async def stop(self) -> None:
        """Keep the place, so that the next process goes on right here, and let go."""
        if self._keeper is not None:
            with suppress(*database.CONNECTION_ERRORS):
                await self._keeper.keep_now(self._run, self._run.position)
        await self.close()

    async def close(self) -> None:
        """Close the connection, which lets another process take over."""
        self._keeper = None
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _taken(self, connection: database.Connection) -> bool:
        """Take the continuous reconciliation, and its books as they were kept last."""
        if not await connection.fetchval(jobs.SQL["try_take_reconciliation"], str(CONTINUOUS)):
            return False
        await compare.plain(connection)
        self._run, _ = await jobs.resumed(connection, CONTINUOUS, Scope())
        self._run.findings.kept = []
        self._keeper = Keeper(connection, CONTINUOUS)
        self._touched = {view.table: set() for view in _BY_KEYS}
        self._turn = iter(())
        # What was moved just before may not have been compared; its turn comes with the others'.
        logger.info("continuous reconciliation goes on after position %d", self._run.position)
        return True

    async def _round(self, connection: database.Connection) -> int:
        run, before = self._run, self._run.position
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
            if checkpoint < before:
                return 0  # A crash took the read models back; they are being folded again.
            until = min(checkpoint, before + ROUND_PAGES_MAX * PAGE_EVENTS_MAX)
            while run.position < until:
                page = await log.read_after(connection, run.position, PAGE_EVENTS_MAX, until)
                if not page:
                    run.findings.add(discrepancies.gap(run.position, until + 1))
                    run.position = until
                    break
                self._touch(page, await compare_page(run, connection, page))
            self._know(recheck.named(run.findings.kept))
            if run.position == checkpoint:
                await self._registers(connection)
                self._tell_once(*await recheck.walk(connection, run))
            await self._delays(connection)
        await self._tell(connection, checkpoint, run.position - before)
        return run.position - before

    def _touch(self, page: list[Recorded], made: Made) -> None:
        """Remember whose registers to compare, once the fold is where the projector is."""
        touched, standings = self._touched, self._run.books.standings
        touched[view_catalog.BALANCES.table].update(
            [(line.ledger, line.account_id) for line in made.lines]
        )
        for recorded in page:
            event = recorded.event
            if type(event) is TransferPosted and event.about is None and recorded.version == 1:
                continue
            if isinstance(event, AccountOpened | AccountChanged):
                touched[view_catalog.ACCOUNTS.table].add((event.ledger, event.account_id))
            about = event.about if isinstance(event, TransactionEvent) else None
            touched[view_catalog.STANDINGS.table].update(
                {recorded.originator_id, about} & standings.keys()
            )

    async def _registers(self, connection: database.Connection) -> None:
        """Compare what was touched, and some more balances in turn."""
        run = self._run
        turn = list(islice(self._turn, TURN_KEYS_MAX))
        if not turn:
            self._turn = iter(list(run.books.accounts))
        self._touched[view_catalog.BALANCES.table].update(turn)
        for view in _BY_KEYS:
            keys = self._touched[view.table]
            differing = await compare.registered(run, connection, view, keys)
            self._tell_once(
                {_named(view, key) for key in keys},
                {_named(view, key): found for key, found in differing.items()},
            )
            self._touched[view.table] = set()

    async def _delays(self, connection: database.Connection) -> None:
        """Look for a projector or a relay that is late."""
        head = (await log.head(connection)).position
        found = await delays(connection, head, timedelta(seconds=self._settings.lag_s_max))
        self._tell_once({(kind.value,) for kind in LATE}, {(each.kind,): each for each in found})

    def _tell_once(
        self, looked_at: set[tuple[str, ...]], found: Mapping[tuple[str, ...], Discrepancy]
    ) -> None:
        """Add what did not differ the last time; what is right again may differ anew."""
        run = self._run
        for name in found.keys() - run.known:
            run.findings.add(found[name])
        run.known -= looked_at
        self._know(found)

    def _know(self, found: Mapping[tuple[str, ...], Discrepancy]) -> None:
        """Remember what was told of, as far as there is room."""
        if len(self._run.known) < ROWS_MAX:
            self._run.known |= found.keys()

    async def _tell(self, connection: database.Connection, checkpoint: int, events: int) -> None:
        """Store what was found, with the place in the same transaction; metrics and log lines."""
        run, keeper = self._run, self._keeper
        assert keeper is not None
        found = run.findings.kept
        if run.findings.count > ROWS_MAX:
            run.findings.kept = []  # They are counted, and in the log of the process.
        if found:
            await keeper.keep_now(run, checkpoint)
            for each in found:
                logger.error("%s: %s", each.kind, each.explanation)
                DISCREPANCIES.labels(each.kind).inc()
            run.findings.kept = []
            self._keeper = Keeper(connection, CONTINUOUS)
        elif events:
            await keeper.keep(run, checkpoint)
        if events:
            await checkpoints.move(connection, checkpoints.AUDITOR, run.position)
        AUDITED_EVENTS.inc(events)
        checkpoints.POSITION.labels(checkpoints.AUDITOR).set(run.position)

    async def _connected(self) -> database.Connection:
        if self._connection is None or self._connection.is_closed():
            await self.close()
            # What is lost in a crash is found again: no need to wait for the disk.
            self._connection = await database.connect(
                self._settings.database_url, ROLE, synchronous_commit="off"
            )
        return self._connection


def _named(view: Register, key: Any) -> tuple[str, ...]:  # noqa: ANN401 - an account's key, an id
    return (view.table, *map(str, key if isinstance(key, tuple) else (key,)))
