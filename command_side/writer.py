"""Group commit: one writer per process drains the waiting commands, a bounded batch at a time.

    submit ─▶ queue ─▶ claim (Valkey) ─▶ append_batch (PostgreSQL) ─▶ answer each waiter
                          ▲                                              │
                          └──────── results of the batch before ◀────────┘

While one batch is being committed the next one gathers, so under load batches grow and the cost of
a command falls. A submitter is answered only after COMMIT. A lost connection repeats the batch:
what was committed after all is found by its key, so nothing happens twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import msgspec

from command_side.batch import Done, Outcome, append_batch
from command_side.commands import Command, Keyed
from command_side.idempotency import Claim, Idempotency
from events.schema import Schema
from events.vocabulary import Recorded
from runtime import database
from runtime.problems import Conflict, Problem, Unavailable
from runtime.settings import Settings
from runtime.telemetry import BATCH_COMMANDS, BATCH_SECONDS, WAITING_COMMANDS

log = logging.getLogger(__name__)

ROLE = "daybook_writer"
ATTEMPTS_MAX = 3
ATTEMPT_PAUSE_S = 0.1


class Waiting(msgspec.Struct):
    """A command, and who waits for its outcome."""

    command: Command
    outcome: asyncio.Future[Done]


class Writer:
    """The process's one appender."""

    def __init__(
        self,
        settings: Settings,
        schema: Schema,
        idempotency: Idempotency,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._schema = schema
        self._idempotency = idempotency
        self._now = now
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._connection: database.Connection | None = None
        self._done: list[tuple[Keyed, Recorded]] = []

    async def submit(self, command: Command) -> Done:
        """Return what became of `command`, once it is durable. Raises a Problem."""
        if len(self._waiting) >= self._settings.waiting_commands_max:
            raise Unavailable(
                "too_many_waiting", "Too many commands are waiting. Try again with the same key."
            )
        outcome: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(command, outcome))
        self._arrived.set()
        return await outcome

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Writer"]:
        """Run beside the caller; whoever still waits at the end is told to try again."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            for waiting in self._waiting:
                _answer(waiting, Unavailable("stopping", "The server stops. Try again."))
            if self._connection is not None:
                await self._connection.close(timeout=database.CLOSE_TIMEOUT_S)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            try:
                await self._process(batch)
            except asyncio.CancelledError:
                for waiting in batch:
                    _answer(waiting, Unavailable("stopping", "The server stops. Try again."))
                raise
            except Exception as error:
                # A bug, by definition: its waiters get it, the writer goes on with the next batch.
                log.exception("a batch of %d commands failed", len(batch))
                for waiting in batch:
                    if not waiting.outcome.done():
                        waiting.outcome.set_exception(error)

    def _next_batch(self) -> list[Waiting]:
        size = min(len(self._waiting), self._settings.batch_commands_max)
        batch = [self._waiting.popleft() for _ in range(size)]
        if not self._waiting:
            self._arrived.clear()
        WAITING_COMMANDS.set(len(self._waiting))
        return batch

    async def _process(self, batch: list[Waiting]) -> None:
        BATCH_COMMANDS.observe(len(batch))
        with BATCH_SECONDS.time():
            ours = await self._claim(batch)
            if ours:
                await self._append(ours)
        if not self._waiting:
            await self._remember()

    async def _claim(self, batch: list[Waiting]) -> list[Waiting]:
        """Answer what Valkey already knows; return what is ours to decide."""
        keyed = [waiting for waiting in batch if isinstance(waiting.command, Keyed)]
        done, self._done = self._done, []
        commands = [waiting.command for waiting in keyed if isinstance(waiting.command, Keyed)]
        claims = await self._idempotency.claim(commands, done) if keyed else []
        answered: set[int] = set()
        for waiting, claim in zip(keyed, claims, strict=True):
            match claim:
                case Done():
                    _answer(waiting, claim)
                case Claim.RUNNING_ELSEWHERE:
                    _answer(
                        waiting,
                        Conflict("still_running", "The same key is being decided right now."),
                    )
                case Claim.OURS:
                    continue
            answered.add(id(waiting))
        return [waiting for waiting in batch if id(waiting) not in answered]

    async def _append(self, batch: list[Waiting]) -> None:
        try:
            outcomes = await self._attempt([waiting.command for waiting in batch])
        except Unavailable as problem:
            for waiting in batch:
                _answer(waiting, problem)
            return
        except Exception:
            if len(batch) == 1:
                raise
            # A bad command fails alone, never its batch: try them one by one.
            log.exception("a batch of %d commands failed; trying them singly", len(batch))
            for waiting in batch:
                await self._append_alone(waiting)
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if (
                isinstance(outcome, Done)
                and outcome.recorded
                and isinstance(waiting.command, Keyed)
            ):
                self._done.append((waiting.command, outcome.recorded))
            _answer(waiting, outcome)

    async def _append_alone(self, waiting: Waiting) -> None:
        try:
            await self._append([waiting])
        except Exception as error:
            log.exception("a command failed")
            if not waiting.outcome.done():
                waiting.outcome.set_exception(error)

    async def _attempt(self, commands: list[Command]) -> list[Outcome]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                connection = await self._connected()
                return await append_batch(connection, commands, self._schema, self._now())
            except (*database.CONNECTION_ERRORS, Unavailable) as error:
                await self._disconnect()
                if attempt == ATTEMPTS_MAX:
                    raise database.unavailable(error) from error
                await asyncio.sleep(ATTEMPT_PAUSE_S * attempt)
        raise AssertionError

    async def _connected(self) -> database.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await database.connect(self._settings.database_url, ROLE)
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _remember(self) -> None:
        """Nobody waits: tell Valkey what was done, on its own."""
        if self._done:
            done, self._done = self._done, []
            await self._idempotency.claim([], done)


def _answer(waiting: Waiting, outcome: Outcome) -> None:
    if waiting.outcome.done():
        return  # The client went away; what was appended stays appended.
    if isinstance(outcome, Problem):
        waiting.outcome.set_exception(outcome)
    else:
        waiting.outcome.set_result(outcome)
