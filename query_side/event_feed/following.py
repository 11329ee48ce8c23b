"""Following the log and the auditor's findings: any number of clients, one read for all of them.

    the log ──one read a tick, for all ledgers that are followed──▶ Channel, one for each ledger
                                                                      │ the latest events, bounded
    the log ──pages for a client that is behind its channel───────────┴─▶ each client, at its pace

Discrepancies travel beside the events in the same way, numbered by their ids instead of positions.

The state of a client is its feed position, and nothing more. The next rows come from the channel if
that goes back far enough, and otherwise from the database. So a slow client takes no memory, a new
connection goes on from any feed position, and everything of the ledger is sent once, in its order.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

from prometheus_client import Gauge

from events import ledger_log
from events import log as logs
from events.event_filter import EventFilter
from query_side.event_feed import answers, discrepancies, sse
from query_side.event_feed.channel import Channel
from query_side.settings import QuerySettings
from runtime import database
from runtime.database import Executor
from runtime.problems import Problem, Unavailable
from runtime.sql import Row

log = logging.getLogger(__name__)

STREAMS = Gauge("daybook_streams", "Event streams that are open.")
TICK_S = 0.02
BEAT_S = 15.0
# A revoked token works for at most a minute (web/tokens.py), and on a stream this much longer.
IDENTIFY_S = 60.0
AGAIN_S = 1.0
LOOK_EVENTS_MAX = 2_000
SENT_EVENTS_MAX = 200
DISCREPANCY = "discrepancy"
LOOK_DISCREPANCIES_S = 0.5
LOOK_DISCREPANCIES_MAX = 500


class FeedPosition(NamedTuple):
    """How far a client has read: a position of the log, and an id of discrepancies.

    `sent_discrepancy_id` is the last id that was sent. It is of the client's own ledger, so it says
    nothing about other ledgers, while `discrepancy_id` counts those of all of them.
    """

    position: int
    discrepancy_id: int
    sent_discrepancy_id: int

    def __str__(self) -> str:
        """Return the feed position as the client sees it and sends it back."""
        return f"{self.position}.{self.sent_discrepancy_id}"


class Following:
    """All clients of a process that follow the log, and the channels that they read from."""

    def __init__(
        self, settings: QuerySettings, pool: database.Pool, turns: asyncio.Semaphore
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._turns = turns
        self._channels: dict[str, Channel] = {}
        self._position: int | None = None
        self._discrepancy_id = 0
        self._next_discrepancies_at = 0.0
        self._followed = asyncio.Event()
        self._stopping = False

    @contextmanager
    def joined(self, ledger: str) -> Iterator[Channel]:
        """Count one more client that follows `ledger`. Raises Unavailable if there are too many."""
        settings = self._settings
        clients = sum(channel.clients for channel in self._channels.values())
        channel = self._channels.get(ledger) or Channel()
        if channel.clients >= settings.ledger_streams_max or clients >= settings.streams_max:
            detail = "Too many streams are open here. Close one, or try again, on another process."
            raise Unavailable("too_many_streams", detail)
        self._channels[ledger] = channel
        channel.clients += 1
        STREAMS.inc()
        self._followed.set()
        try:
            yield channel
        finally:
            STREAMS.dec()
            channel.clients -= 1
            if channel.clients == 0:
                del self._channels[ledger]

    async def messages(
        self,
        channel: Channel,
        wanted: EventFilter,
        after: FeedPosition,
        idle_s: float | None,
        identify: Callable[[], Awaitable[object]],
    ) -> AsyncGenerator[bytes, None]:
        """Yield messages after a feed position, for ever, or until none came for `idle_s`.

        `identify` raises a Problem as soon as the client may not read any more. That ends the
        stream, and so does a database that does not answer; the client connects again and gets the
        reason.
        """
        yield sse.opening(str(after))
        reached, sent_at, written_at = after, time.monotonic(), time.monotonic()
        identified_at = sent_at
        while not self._stopping:
            moved = channel.moved
            try:
                if time.monotonic() - identified_at > IDENTIFY_S:
                    await identify()
                    identified_at = time.monotonic()
                found, reached = await self._next(channel, wanted, reached)
            except (Problem, *database.CONNECTION_ERRORS) as error:
                log.info("a stream ends: %s", error)
                return
            if found:
                yield b"".join(map(sse.encoded, found))
                sent_at = written_at = time.monotonic()
                continue
            now = time.monotonic()
            if now - written_at >= BEAT_S:
                yield sse.beat(str(reached))
                written_at = now
            if (
                reached.position < channel.events.since
                or reached.discrepancy_id < channel.discrepancies.since
            ):
                continue
            if idle_s is not None and channel.begun and now - sent_at >= idle_s:
                return
            wait_s = min(BEAT_S, BEAT_S if idle_s is None else max(idle_s, TICK_S))
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(wait_s):
                    await moved.wait()

    async def _next(
        self, channel: Channel, wanted: EventFilter, reached: FeedPosition
    ) -> tuple[list[sse.Message], FeedPosition]:
        """Return the next messages after `reached`, events first, and how far they go."""
        rows, position = await self._events(channel, wanted, reached.position)
        if rows:
            return [
                sse.Message(
                    str(reached._replace(position=row["notification_id"])),
                    row["topic"],
                    answers.event_json(row),
                )
                for row in rows
            ], reached._replace(position=position)
        reached = reached._replace(position=position)
        rows, found = await self._discrepancies(channel, wanted, reached.discrepancy_id)
        if not rows:
            return [], reached._replace(discrepancy_id=found)
        return [
            sse.Message(
                str(reached._replace(sent_discrepancy_id=row["id"])),
                DISCREPANCY,
                answers.discrepancy_json(row),
            )
            for row in rows
        ], FeedPosition(position, found, rows[-1]["id"])

    async def _events(
        self, channel: Channel, wanted: EventFilter, position: int
    ) -> tuple[Sequence[Row], int]:
        recent = channel.events
        if position < recent.since:
            async with self._turns, self._pool.acquire() as connection:
                return await ledger_log.look(
                    connection, wanted, position, recent.since, SENT_EVENTS_MAX
                )
        rows = [row for row in recent.after(position) if wanted.matches(row)]
        if len(rows) > SENT_EVENTS_MAX:
            rows = rows[:SENT_EVENTS_MAX]
            return rows, rows[-1]["notification_id"]
        return rows, max(position, recent.until)

    async def _discrepancies(
        self, channel: Channel, wanted: EventFilter, found: int
    ) -> tuple[Sequence[Row], int]:
        recent = channel.discrepancies
        if found < recent.since:
            async with self._turns, self._pool.acquire() as connection:
                page, edge = await discrepancies.after(
                    connection, [wanted.ledger], found, recent.since, SENT_EVENTS_MAX
                )
            return [row for row in page if discrepancies.matches(wanted, row)], edge
        rows = [row for row in recent.after(found) if discrepancies.matches(wanted, row)]
        if len(rows) > SENT_EVENTS_MAX:
            rows = rows[:SENT_EVENTS_MAX]
            return rows, rows[-1]["id"]
        return rows, max(found, recent.until)

    @asynccontextmanager
    async def running(self, stopping: asyncio.Event) -> AsyncIterator["Following"]:
        """Read the log's end beside the caller; end every stream when `stopping` is set."""
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._end(stopping))]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._stopping = True
        for channel in self._channels.values():
            channel.wake()

    async def _watch(self) -> None:
        while True:
            if not self._channels:
                self._position = None
                self._followed.clear()
                await self._followed.wait()
            started = time.monotonic()
            try:
                async with self._pool.acquire() as connection:
                    await self._look(connection)
            except Exception:
                # The cause is outside of this process; the clients keep their feed positions.
                log.exception("the log's end cannot be read; trying again")
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - started)))

    async def _look(self, connection: Executor) -> None:
        """Put what was added to the log since the last read into the channels."""
        head = (await logs.head(connection)).position
        if self._position is None:
            self._position = head
            self._discrepancy_id = await discrepancies.latest(connection)
        elif time.monotonic() >= self._next_discrepancies_at:
            await self._look_for_discrepancies(connection)
            self._next_discrepancies_at = time.monotonic() + LOOK_DISCREPANCIES_S
        while self._position < head and self._channels:
            ledgers = list(self._channels)
            rows, edge = await ledger_log.tail(
                connection, ledgers, self._position, head, LOOK_EVENTS_MAX
            )
            of_ledger: dict[str, list[Row]] = {ledger: [] for ledger in ledgers}
            for row in rows:
                of_ledger[row["ledger"]].append(row)
            self._position = edge
            for ledger, channel in self._channels.items():
                if channel.begun:
                    channel.add_events(of_ledger[ledger], edge)
        for channel in self._channels.values():
            # A client that joined during the read begins here, and reads earlier events itself.
            if not channel.begun:
                channel.begin(self._position, self._discrepancy_id)

    async def _look_for_discrepancies(self, connection: Executor) -> None:
        """Put the discrepancies found since the last read into the channels. It runs seldom."""
        latest = await discrepancies.latest(connection)
        while self._discrepancy_id < latest and self._channels:
            ledgers = list(self._channels)
            rows, edge = await discrepancies.after(
                connection, ledgers, self._discrepancy_id, latest, LOOK_DISCREPANCIES_MAX
            )
            self._discrepancy_id = edge
            for ledger, channel in self._channels.items():
                if channel.begun:
                    mine = [row for row in rows if discrepancies.concerns(ledger, row)]
                    channel.add_discrepancies(mine, edge)
