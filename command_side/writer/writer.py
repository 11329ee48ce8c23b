"""Group commit: one writer in each process commits the waiting requests, one batch at a time.

    submit ─▶ queue ─┬─▶ claim keys (Valkey) ─┬─▶ append_batch (PostgreSQL) ─▶ answer each request
      │         │    └─▶ decide_from_cache ───┘
     503       503
     full    too late

While Valkey answers, the batch is decided from the cache of this process; that counts if no key
of it was used before. While one batch commits, the next one gathers: under load batches grow, and a
command costs less. (Claiming the next batch meanwhile was tried: it gathers less, and a command
costs almost twice as much.) A request is answered only after COMMIT. If the connection is lost, the
batch is repeated: a command that was committed after all is found by its key, so nothing happens
twice. A request that is turned away is neither claimed nor decided.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic

from prometheus_client import Counter, Gauge, Histogram

from command_side.domain.commands import Command, Keyed
from command_side.settings import CommandSettings
from command_side.writer.account_cache import AccountCache
from command_side.writer.commit import CachedPlan, append_batch, decide_from_cache, replayed
from command_side.writer.commit_rate import CommitRate
from command_side.writer.fair_queue import FairQueue, Overload, QueuedRequest
from command_side.writer.idempotency import Idempotency
from command_side.writer.outcomes import Decided, Outcome
from events.codec import UnreadableEventError
from events.log import find
from events.schema import Schema
from runtime import database
from runtime.problems import Problem, Unavailable

log = logging.getLogger(__name__)

WAITING_COMMANDS = Gauge("daybook_waiting_commands", "Commands that wait for the writer.")
WAITING_LEDGERS = Gauge("daybook_waiting_ledgers", "Ledgers whose commands wait for the writer.")
SHED_REQUESTS = Counter(
    "daybook_shed_requests", "Requests refused because too many commands wait.", ["reason"]
)
BATCH_COMMANDS = Histogram(
    "daybook_batch_commands",
    "Commands in one commit.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
BATCH_SECONDS = Histogram("daybook_batch_seconds", "Seconds from taking a batch to answering it.")

ROLE = "daybook_writer"
ATTEMPTS_MAX = 3
ATTEMPT_PAUSE_S = 0.1
QUIET_TURNS = 10

SHED = {reason: SHED_REQUESTS.labels(reason) for reason in Overload}
NO_ROOM = {
    Overload.QUEUE_FULL: "Too many commands are waiting.",
    Overload.LEDGER_FULL: "Too many commands of this ledger are waiting.",
    Overload.TOO_SLOW: "More commands of this ledger are waiting than can be decided soon.",
}


class Writer:
    """The one appender of this process."""

    def __init__(
        self,
        settings: CommandSettings,
        schema: Schema,
        idempotency: Idempotency,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._schema = schema
        self._idempotency = idempotency
        self._now = now
        self._queue = FairQueue(
            settings.batch_commands_max,
            settings.waiting_commands_max,
            settings.ledger_waiting_commands_max,
        )
        self._joined = asyncio.Event()
        self._rate = CommitRate(settings.batch_commands_max)
        self._under_way: list[QueuedRequest] = []
        self._connection: database.Connection | None = None
        self._cache = AccountCache()

    def check_room(self, ledger: str) -> None:
        """Raise Unavailable if a request of `ledger` should not be read now."""
        overload = self._queue.full(ledger)
        if overload is None:
            wait_s = self._rate.wait_s(self._queue.before(ledger), monotonic())
            overload = Overload.TOO_SLOW if wait_s > self._settings.expected_wait_s_max else None
        if overload is not None:
            raise self._turned_away(overload, ledger)

    async def submit(self, command: Command) -> Decided:
        """Return the outcome of `command`, once it is durable. Raises a Problem."""
        (outcome,) = await self.submit_each([command])
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    async def submit_each(self, commands: Sequence[Command]) -> list[Outcome]:
        """Return the outcome of each of `commands`, once all are durable.

        They are of one ledger. They wait together, and are turned away together.
        """
        if not commands:
            return []
        request = self._queue.join(commands, monotonic())
        if isinstance(request, Overload):
            return [self._turned_away(request, commands[0].ledger)] * len(commands)
        self._joined.set()
        return await request.outcomes

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Writer"]:
        """Run beside the caller; at the end, ask the clients that still wait to try again."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for request in (*self._under_way, *self._queue):
                _answer(request, Unavailable("stopping", "The server stops. Try again."))
            if self._connection is not None:
                await self._connection.close(timeout=database.CLOSE_TIMEOUT_S)

    async def _run(self) -> None:
        while True:
            await self._gather()
            self._rate.began_s = monotonic()
            self._under_way = batch = self._take(monotonic())
            with BATCH_SECONDS.time():
                new, cached = await self._claim_and_decide(batch)
                if new:
                    await self._append(new, cached)
            self._rate.end(monotonic(), sum(request.weight for request in new))

    async def _gather(self) -> None:
        """Wait for a request, and for those that come with it."""
        await self._turns()
        if not self._queue.weight:
            self._joined.clear()
            await self._joined.wait()
            await self._turns()

    async def _turns(self) -> None:
        """Wait until a few turns of the event loop bring no more requests.

        There is no timer, and nothing is idle meanwhile. A client that was answered just now has
        time to come back: of 64 connections 63 are in a batch, and 33 after a single turn.
        """
        queue, quiet = self._queue, 0
        while quiet < QUIET_TURNS and queue.weight < self._settings.batch_commands_max:
            gathered = queue.weight
            await asyncio.sleep(0)
            quiet = quiet + 1 if queue.weight == gathered else 0

    def _take(self, now_s: float) -> list[QueuedRequest]:
        """Return the requests of one commit; answer those that waited too long."""
        taken = self._queue.take(now_s - self._settings.waiting_s_max)
        WAITING_COMMANDS.set(self._queue.weight)
        WAITING_LEDGERS.set(taken.ledgers_left)
        BATCH_COMMANDS.observe(sum(request.weight for request in taken.batch))
        for request in taken.late:
            if request.outcomes.done():
                continue
            problem = self._turned_away(Overload.TOO_LATE, request.ledger)
            _answer(request, [problem] * len(request.commands))
        return taken.batch

    def _turned_away(self, reason: Overload, ledger: str) -> Unavailable:
        """Return the answer, with the seconds until what waits now will have been decided."""
        SHED[reason].inc()
        full = reason is Overload.QUEUE_FULL
        before = self._queue.weight if full else self._queue.before(ledger)
        retry_after_s = self._rate.retry_after_s(before, monotonic())
        headers = {"Retry-After": str(retry_after_s)}
        again = f"Nothing was appended: try again in {retry_after_s} s, with the same key."
        if reason is Overload.TOO_LATE:
            what = "The command waited for too long: it was not decided."
            return Unavailable("waited_too_long", f"{what} {again}", headers=headers)
        return Unavailable("too_many_waiting", f"{NO_ROOM[reason]} {again}", headers=headers)

    async def _claim_and_decide(
        self, batch: list[QueuedRequest]
    ) -> tuple[list[QueuedRequest], CachedPlan | None]:
        """Return the requests that are new, and a plan from the cache if all of them are.

        The requests whose events are in the log already are answered.
        """
        commands = [request.claimed for request in batch if request.claimed is not None]
        claiming = asyncio.create_task(self._idempotency.claim(commands))
        try:
            await asyncio.sleep(0)  # Valkey is asked before this process is busy.
            cached = self._decide_from_cache(batch)
            claimed_before = await claiming
        finally:
            claiming.cancel()
        if not claimed_before:
            return batch, cached
        new = await self._answer_again(batch, claimed_before)
        return new, cached if new == batch else None

    def _decide_from_cache(self, batch: list[QueuedRequest]) -> CachedPlan | None:
        try:
            return decide_from_cache(_commands(batch), self._schema, self._now(), self._cache)
        except Exception:  # noqa: BLE001 - `_append` meets it again, and lets a command fail alone
            return None

    async def _answer_again(
        self, batch: list[QueuedRequest], claimed_before: Sequence[Keyed]
    ) -> list[QueuedRequest]:
        """Answer the requests whose events are in the log; return the others."""
        streams = [command.transaction_id for command in claimed_before]
        try:
            found = await find(await self._connected(), streams)
        except (*database.CONNECTION_ERRORS, Unavailable, UnreadableEventError):
            await self._disconnect()
            return batch  # `_append` meets the same problem, and answers it.
        except Exception:
            log.exception("%d commands could not be looked up in the log", len(streams))
            return batch
        new = []
        for request in batch:
            command = request.claimed
            existing = None if command is None else found.get(command.transaction_id)
            if command is None or existing is None:
                new.append(request)
            else:
                _answer(request, [replayed(existing, command)])
        return new

    async def _append(self, batch: list[QueuedRequest], cached: CachedPlan | None) -> None:
        try:
            outcomes = await self._attempt(_commands(batch), cached)
        except Unavailable as problem:
            for request in batch:
                _answer(request, [problem] * len(request.commands))
            return
        except UnreadableEventError as error:
            log.exception("an event of another process cannot be read; nothing can be decided")
            for request in batch:
                _answer(request, error)
            return
        except Exception:
            # A bad command fails alone, never its batch: try them one by one.
            log.exception("a batch of %d requests failed; trying its commands singly", len(batch))
            for request in batch:
                await self._append_singly(request)
            return
        each = iter(outcomes)
        for request in batch:
            _answer(request, [next(each) for _ in request.commands])

    async def _append_singly(self, request: QueuedRequest) -> None:
        outcomes: list[Outcome] = []
        try:
            for command in request.commands:
                try:
                    outcomes += await self._attempt([command])
                except Unavailable as problem:
                    outcomes.append(problem)
        except Exception as error:
            log.exception("a command failed")
            _answer(request, error)
            return
        _answer(request, outcomes)

    async def _attempt(
        self, commands: list[Command], cached: CachedPlan | None = None
    ) -> list[Outcome]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                connection = await self._connected()
                return await append_batch(
                    connection, commands, self._schema, self._now(), self._cache, cached
                )
            except (*database.CONNECTION_ERRORS, Unavailable) as error:
                await self._disconnect()
                if attempt == ATTEMPTS_MAX:
                    raise database.unavailable(error) from error
                await asyncio.sleep(ATTEMPT_PAUSE_S * attempt)
        raise AssertionError

    async def _connected(self) -> database.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await database.connect(
                self._settings.database_url, ROLE, **database.BY_KEY
            )
            self._cache = AccountCache()
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _commands(batch: list[QueuedRequest]) -> list[Command]:
    return [command for request in batch for command in request.commands]


def _answer(request: QueuedRequest, outcomes: list[Outcome] | Exception) -> None:
    if request.outcomes.done():
        return  # The client has gone; what was appended stays appended.
    if isinstance(outcomes, Exception):
        request.outcomes.set_exception(outcomes)
    else:
        request.outcomes.set_result(outcomes)
