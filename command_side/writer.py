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

import msgspec

from command_side.accounts import Account
from command_side.batch import Done, Outcome, append_batch
from command_side.commands import Command, Keyed, weight
from command_side.idempotency import Claim, Idempotency
from events.memory import Memory
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
    """Commands of one request, and who waits for their outcomes."""

    commands: Sequence[Command]
    outcomes: asyncio.Future[list[Outcome]]

    @property
    def claimed(self) -> Keyed | None:
        """Return the command that Valkey is asked about: that of a request for one.

        Many at once are looked up in the log anyway, all with one query.
        """
        first = self.commands[0]
        return first if len(self.commands) == 1 and isinstance(first, Keyed) else None

    @property
    def weight(self) -> int:
        """Return how many transactions they may make."""
        return sum(weight(command) for command in self.commands)


class Line:
    """Commands that wait to be decided."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._weight = 0
        self._some = asyncio.Event()

    def __len__(self) -> int:
        """Return how many transactions wait."""
        return self._weight

    def add(self, waiting: Waiting) -> None:
        """Let one more wait, behind the others."""
        self._waiting.append(waiting)
        self._weight += waiting.weight
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
        taken = batch[0].weight
        while self._waiting and taken + self._waiting[0].weight <= most:
            batch.append(self._waiting.popleft())
            taken += batch[-1].weight
        self._weight -= taken
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
        self._unanswered: set[asyncio.Future[list[Outcome]]] = set()
        self._connection: database.Connection | None = None
        self._memory = Memory[Account]()
        self._done: list[tuple[Keyed, Recorded]] = []

    async def submit(self, command: Command) -> Done:
        """Return what became of `command`, once it is durable. Raises a Problem."""
        (outcome,) = await self.submit_each([command])
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    async def submit_each(self, commands: Sequence[Command]) -> list[Outcome]:
        """Return what became of each of `commands`, once all are durable."""
        if not commands:
            return []
        if len(self._line) >= self._settings.waiting_commands_max:
            detail = "Too many commands are waiting. Try again with the same key."
            return [Unavailable("too_many_waiting", detail)] * len(commands)
        outcomes: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._unanswered.add(outcomes)
        outcomes.add_done_callback(self._unanswered.discard)
        self._line.add(Waiting(commands, outcomes))
        return await outcomes

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Writer"]:
        """Run beside the caller; whoever still waits at the end is told to try again."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for outcomes in list(self._unanswered):
                outcomes.set_exception(Unavailable("stopping", "The server stops. Try again."))
            if self._connection is not None:
                await self._connection.close(timeout=database.CLOSE_TIMEOUT_S)

    async def _run(self) -> None:
        while True:
            batch = await self._line.take(self._settings.batch_commands_max)
            WAITING_COMMANDS.set(len(self._line))
            BATCH_COMMANDS.observe(sum(waiting.weight for waiting in batch))
            with BATCH_SECONDS.time():
                ours = await self._claim(batch)
                if ours:
                    await self._append(ours)
            if not self._line:
                await self._remember()

    async def _claim(self, batch: list[Waiting]) -> list[Waiting]:
        """Answer what Valkey already knows; return what is ours to decide."""
        commands = [waiting.claimed for waiting in batch if waiting.claimed is not None]
        done, self._done = self._done, []
        if not commands and not done:
            return batch
        try:
            claims = iter(await self._idempotency.claim(commands, done))
        except Exception:
            # A bug, by definition; claims only make duplicates fast, so nobody need suffer from it.
            log.exception("%d commands could not be claimed", len(commands))
            return batch
        ours = []
        for waiting in batch:
            match Claim.OURS if waiting.claimed is None else next(claims):
                case Claim.OURS:
                    ours.append(waiting)
                case Claim.RUNNING_ELSEWHERE:
                    running = "The same key is being decided right now."
                    _answer(waiting, [Conflict("still_running", running)])
                case Done() as known:
                    _answer(waiting, [known])
        return ours

    async def _append(self, batch: list[Waiting]) -> None:
        try:
            outcomes = await self._attempt([c for waiting in batch for c in waiting.commands])
        except Unavailable as problem:
            for waiting in batch:
                _answer(waiting, [problem] * len(waiting.commands))
            return
        except Exception:
            # A bad command fails alone, never its batch: try them one by one.
            log.exception("a batch of %d requests failed; trying its commands singly", len(batch))
            for waiting in batch:
                await self._append_singly(waiting)
            return
        each = iter(outcomes)
        for waiting in batch:
            self._settle(waiting, [next(each) for _ in waiting.commands])

    async def _append_singly(self, waiting: Waiting) -> None:
        outcomes: list[Outcome] = []
        try:
            for command in waiting.commands:
                try:
                    outcomes += await self._attempt([command])
                except Unavailable as problem:
                    outcomes.append(problem)
        except Exception as error:
            log.exception("a command failed")
            _answer(waiting, error)
            return
        self._settle(waiting, outcomes)

    def _settle(self, waiting: Waiting, outcomes: list[Outcome]) -> None:
        """Answer, and keep for Valkey what it was asked about."""
        command, first = waiting.claimed, outcomes[0]
        if command is not None and isinstance(first, Done) and first.recorded is not None:
            self._done.append((command, first.recorded))
        _answer(waiting, outcomes)

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
            self._connection = await database.connect(
                self._settings.database_url, ROLE, **database.BY_KEY
            )
            self._memory = Memory()
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


def _answer(waiting: Waiting, outcomes: list[Outcome] | Exception) -> None:
    if waiting.outcomes.done():
        return  # The client went away; what was appended stays appended.
    if isinstance(outcomes, Exception):
        waiting.outcomes.set_exception(outcomes)
    else:
        waiting.outcomes.set_result(outcomes)
