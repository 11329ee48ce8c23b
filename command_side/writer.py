"""Group commit: one writer per process drains the waiting commands, a bounded batch at a time.

    submit ─▶ line ─▶ claim (Valkey) ─▶ append_batch (PostgreSQL) ─▶ answer each waiter
                         ▲                                              │
                         └──────── results of the batch before ◀────────┘

While one batch is being committed the next one gathers, so under load batches grow and the cost of
a command falls. (Claiming the next one meanwhile was tried: it gathers less, and a command costs
almost twice as much.) A submitter is answered only after COMMIT. A lost connection repeats the
batch: what was committed after all is found by its key, so nothing happens twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import cast

import msgspec

from command_side.batch import Done, Outcome, append_batch
from command_side.commands import Atomic, Command, Keyed, weight
from command_side.idempotency import Claim, Idempotency
from command_side.store import Memory
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


class Line:
    """Commands that wait to be decided."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: Waiting) -> None:
        """Let one more wait, behind the others."""
        self._waiting.append(waiting)
        self._some.set()

    async def take(self, most: int) -> list[Waiting]:
        """Return all that wait, at least one and at most `most` transactions (or one command).

        As long as each turn of the event loop brings another one, they are waited for: no timer,
        and nothing is idle meanwhile. At 64 connections batches grow from 32 to 57 commands.
        """
        await self._some.wait()
        gathered = 0
        while gathered < len(self._waiting) < most:
            gathered = len(self._waiting)
            await asyncio.sleep(0)
        batch = [self._waiting.popleft()]
        taken = weight(batch[0].command)
        while self._waiting and taken + weight(self._waiting[0].command) <= most:
            batch.append(self._waiting.popleft())
            taken += weight(batch[-1].command)
        if not self._waiting:
            self._some.clear()
        return batch


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
        self._line = Line()
        self._unanswered: set[asyncio.Future[Done]] = set()
        self._connection: database.Connection | None = None
        self._memory = Memory()
        self._done: list[tuple[Keyed, Recorded]] = []

    async def submit(self, command: Command) -> Done:
        """Return what became of `command`, once it is durable. Raises a Problem."""
        return await self._wait_in_line(command)

    async def submit_each(self, commands: Sequence[Command]) -> list[Outcome]:
        """Return what became of each of `commands`, all at once."""
        waiting = [self._wait_in_line(command) for command in commands]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Problem):
                raise outcome
        return cast("list[Outcome]", outcomes)

    def _wait_in_line(self, command: Command) -> asyncio.Future[Done]:
        outcome: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        if len(self._line) >= self._settings.waiting_commands_max:
            detail = "Too many commands are waiting. Try again with the same key."
            outcome.set_exception(Unavailable("too_many_waiting", detail))
            return outcome
        self._unanswered.add(outcome)
        outcome.add_done_callback(self._unanswered.discard)
        self._line.add(Waiting(command, outcome))
        return outcome

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Writer"]:
        """Run beside the caller; whoever still waits at the end is told to try again."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for outcome in list(self._unanswered):
                outcome.set_exception(Unavailable("stopping", "The server stops. Try again."))
            if self._connection is not None:
                await self._connection.close(timeout=database.CLOSE_TIMEOUT_S)

    async def _run(self) -> None:
        while True:
            batch = await self._line.take(self._settings.batch_commands_max)
            WAITING_COMMANDS.set(len(self._line))
            BATCH_COMMANDS.observe(len(batch))
            with BATCH_SECONDS.time():
                ours = await self._claim(batch)
                if ours:
                    await self._append(ours)
            if not self._line:
                await self._remember()

    async def _claim(self, batch: list[Waiting]) -> list[Waiting]:
        """Answer what Valkey already knows; return what is ours to decide."""
        commands = [w.command for w in batch if isinstance(w.command, Keyed)]
        done, self._done = self._done, []
        try:
            claims = iter(await self._idempotency.claim(commands, done))
        except Exception:
            # A bug, by definition; claims only make duplicates fast, so nobody need suffer from it.
            log.exception("%d commands could not be claimed", len(batch))
            return batch
        ours = []
        for waiting in batch:
            match next(claims) if isinstance(waiting.command, Keyed) else Claim.OURS:
                case Claim.OURS:
                    ours.append(waiting)
                case Claim.RUNNING_ELSEWHERE:
                    running = "The same key is being decided right now."
                    _answer(waiting, Conflict("still_running", running))
                case Done() as known:
                    _answer(waiting, known)
        return ours

    async def _append(self, batch: list[Waiting]) -> None:
        try:
            outcomes = await self._attempt([waiting.command for waiting in batch])
        except Unavailable as problem:
            for waiting in batch:
                _answer(waiting, problem)
            return
        except Exception as error:
            if len(batch) == 1:
                log.exception("a command failed")
                _answer(batch[0], error)
                return
            # A bad command fails alone, never its batch: try them one by one.
            log.exception("a batch of %d commands failed; trying them singly", len(batch))
            for waiting in batch:
                await self._append([waiting])
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Done):
                self._done += _keyed(waiting.command, outcome)
            _answer(waiting, outcome)

    async def _attempt(self, commands: list[Command]) -> list[Outcome]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                connection = await self._connected()
                return await append_batch(
                    connection, commands, self._schema, self._now(), self._memory
                )
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


def _keyed(command: Command, done: Done) -> list[tuple[Keyed, Recorded]]:
    """Return what of `command` can be asked for again by its key, and what became of it."""
    if isinstance(command, Atomic):
        pairs = zip(command.commands, done.parts, strict=True)
        return [(inner, part.recorded) for inner, part in pairs if part.recorded]
    if isinstance(command, Keyed) and done.recorded:
        return [(command, done.recorded)]
    return []


def _answer(waiting: Waiting, outcome: Outcome | Exception) -> None:
    if waiting.outcome.done():
        return  # The client went away; what was appended stays appended.
    if isinstance(outcome, Exception):
        waiting.outcome.set_exception(outcome)
    else:
        waiting.outcome.set_result(outcome)
