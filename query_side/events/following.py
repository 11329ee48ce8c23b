"""Following the log: any number of clients, one look at its end for all of them.

    the log ──one look a tick, for all ledgers that are followed──▶ Channel, one a ledger
                                                                     │ the latest events, bounded
    the log ──pages of a client's own, where it is behind the channel─┴─▶ each client, at its pace

A client is a position and nothing more. What it has still to get comes from the channel if that
goes back far enough, and else from the log: so a slow client costs no memory, a new connection goes
on from any position, and every event of the ledger is sent once, in the order of the log.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from events import log as logs
from events import reading, wanted
from events.wanted import Wanted
from query_side.events import sse
from runtime import database, telemetry
from runtime.database import Executor
from runtime.problems import Problem, Unavailable
from runtime.settings import Settings
from runtime.sql import Row

log = logging.getLogger(__name__)

TICK_S = 0.02
BEAT_S = 15.0
# A token that was revoked works for at most a minute (runtime/auth.py), and then this at most.
IDENTIFY_S = 60.0
AGAIN_S = 1.0
LOOK_EVENTS_MAX = 2_000
SENT_EVENTS_MAX = 200
CHANNEL_EVENTS_MAX = 1_000
CHANNEL_BYTES_MAX = 1_048_576


class Channel:
    """The latest events of one ledger: all of those in (since, until]."""

    def __init__(self) -> None:
        self.begun = False
        self.since = self.until = 0
        self.clients = 0
        self.moved = asyncio.Event()
        self._rows: deque[Row] = deque()
        self._bytes = 0

    def begin(self, position: int) -> None:
        """Know nothing of what was before `position`."""
        self._rows.clear()
        self._bytes = 0
        self.since = self.until = position
        self.begun = True
        self.wake()

    def add(self, rows: list[Row], until: int) -> None:
        """Add what came after; the oldest events are dropped where it gets too much."""
        self.until = until
        if not rows:
            return
        self._rows.extend(rows)
        self._bytes += sum(len(row["state"]) for row in rows)
        while len(self._rows) > CHANNEL_EVENTS_MAX or self._bytes > CHANNEL_BYTES_MAX:
            dropped = self._rows.popleft()
            self._bytes -= len(dropped["state"])
            self.since = dropped["notification_id"]
        self.wake()

    def after(self, position: int) -> list[Row]:
        """Return the events after `position`, which is not before `since`."""
        return [row for row in self._rows if row["notification_id"] > position]

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self.moved.set()
        self.moved = asyncio.Event()


class Following:
    """All clients of a process that follow the log."""

    def __init__(self, settings: Settings, pool: database.Pool, turns: asyncio.Semaphore) -> None:
        self._settings = settings
        self._pool = pool
        self._turns = turns
        self._channels: dict[str, Channel] = {}
        self._position: int | None = None
        self._wanted = asyncio.Event()
        self._stopping = False

    @contextmanager
    def joined(self, ledger: str) -> Iterator[Channel]:
        """Be one of the clients that follow `ledger`. Raises Unavailable if there are too many."""
        settings = self._settings
        clients = sum(channel.clients for channel in self._channels.values())
        channel = self._channels.get(ledger) or Channel()
        if channel.clients >= settings.tenant_streams_max or clients >= settings.streams_max:
            detail = "Too many streams are open here. Close one, or try again, on another process."
            raise Unavailable("too_many_streams", detail)
        self._channels[ledger] = channel
        channel.clients += 1
        telemetry.STREAMS.inc()
        self._wanted.set()
        try:
            yield channel
        finally:
            telemetry.STREAMS.dec()
            channel.clients -= 1
            if channel.clients == 0:
                del self._channels[ledger]

    async def messages(
        self,
        channel: Channel,
        wants: Wanted,
        after: int,
        idle_s: float | None,
        identify: Callable[[], Awaitable[object]],
    ) -> AsyncGenerator[bytes, None]:
        """Yield what is wanted after a position, for ever, or until nothing came for `idle_s`.

        `identify` raises a Problem as soon as the client may not read any more: that ends it, as
        does a database that is away. The client comes back, and is told why.
        """
        yield sse.opening(str(after))
        position, sent_at, told_at = after, time.monotonic(), time.monotonic()
        identified_at = sent_at
        while not self._stopping:
            moved = channel.moved
            try:
                if time.monotonic() - identified_at > IDENTIFY_S:
                    await identify()
                    identified_at = time.monotonic()
                found, position = await self._next(channel, wants, position)
            except (Problem, *database.CONNECTION_ERRORS) as error:
                log.info("a stream ends: %s", error)
                return
            if found:
                yield b"".join(map(sse.encoded, found))
                sent_at = told_at = time.monotonic()
                continue
            now = time.monotonic()
            if now - told_at >= BEAT_S:
                yield sse.beat(str(position))
                told_at = now
            if position < channel.since:
                continue
            if idle_s is not None and channel.begun and now - sent_at >= idle_s:
                return
            wait_s = min(BEAT_S, BEAT_S if idle_s is None else max(idle_s, TICK_S))
            with suppress(asyncio.TimeoutError):
                async with asyncio.timeout(wait_s):
                    await moved.wait()

    async def _next(
        self, channel: Channel, wants: Wanted, position: int
    ) -> tuple[list[sse.Message], int]:
        """Return some of what is wanted after `position`, and how far that is."""
        rows: Sequence[Row]
        if position < channel.since:
            async with self._turns, self._pool.acquire() as connection:
                rows, position = await reading.look(
                    connection, wants, position, channel.since, SENT_EVENTS_MAX
                )
        else:
            rows = [row for row in channel.after(position) if wants.takes(row)]
            position = max(position, channel.until)
            if len(rows) > SENT_EVENTS_MAX:
                rows = rows[:SENT_EVENTS_MAX]
                position = rows[-1]["notification_id"]
        return [_message(row) for row in rows], position

    @asynccontextmanager
    async def running(self, stopping: asyncio.Event) -> AsyncIterator["Following"]:
        """Look at the log's end beside the caller; when `stopping` is set, end every client."""
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
                self._wanted.clear()
                await self._wanted.wait()
            started = time.monotonic()
            try:
                async with self._pool.acquire() as connection:
                    await self._look(connection)
            except Exception:
                # Whatever it is, it can only be mended from outside; the clients keep their places.
                log.exception("the log's end cannot be looked at; trying again")
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - started)))

    async def _look(self, connection: Executor) -> None:
        """Put what was added to the log since the last look into the channels."""
        head = (await logs.head(connection)).position
        if self._position is None:
            self._position = head
        while self._position < head and self._channels:
            ledgers = list(self._channels)
            rows, edge = await reading.tail(
                connection, ledgers, self._position, head, LOOK_EVENTS_MAX
            )
            of_ledger: dict[str, list[Row]] = {ledger: [] for ledger in ledgers}
            for row in rows:
                of_ledger[row["ledger"]].append(row)
            self._position = edge
            for ledger, channel in self._channels.items():
                if channel.begun:
                    channel.add(of_ledger[ledger], edge)
        for channel in self._channels.values():
            # Whoever came while the look was under way begins here, and reads back from the log.
            if not channel.begun:
                channel.begin(self._position)


def _message(row: Row) -> sse.Message:
    return sse.Message(str(row["notification_id"]), row["topic"], wanted.as_json(row))
