"""Group commit: one writer per process drains the waiting commands, a bounded batch at a time.

    submit ─▶ line ─┬─▶ claim (Valkey) ─┬─▶ append_batch (PostgreSQL) ─▶ answer each waiter
      │        │    └─▶ foresee ────────┘
     503      503
     full   too late

While Valkey is asked the batch is decided on what this process remembers; that counts if nothing of
it turns out to be done. While one batch is being committed the next one gathers, so under load
batches grow and the cost of a command falls. (Claiming the next one meanwhile was tried: it gathers
less, and a command costs almost twice as much.) A submitter is answered only after COMMIT. A lost
connection repeats the batch: what was committed after all is found by its key, so nothing happens
twice. What is turned away is neither claimed nor decided.
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
from command_side.writer.account_cache import WorkingSet
from command_side.writer.commit import (
    Done,
    Foreseen,
    Outcome,
    append_batch,
    foresee,
    replayed,
)
from command_side.writer.commit_rate import Pace
from command_side.writer.fair_queue import Line, Shed, Waiting
from command_side.writer.idempotency import Idempotency
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

SHED = {shed: SHED_REQUESTS.labels(shed) for shed in Shed}
NO_ROOM = {
    Shed.LINE_FULL: "Too many commands are waiting.",
    Shed.LEDGER_FULL: "Too many commands of this ledger are waiting.",
    Shed.TOO_SLOW: "More commands of this ledger are waiting than can be decided soon.",
}


class Writer:
    """The process's one appender."""

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
        self._line = Line(
            settings.batch_commands_max,
            settings.waiting_commands_max,
            settings.ledger_waiting_commands_max,
        )
        self._some = asyncio.Event()
        self._pace = Pace(settings.batch_commands_max)
        self._in_hand: list[Waiting] = []
        self._connection: database.Connection | None = None
        self._working = WorkingSet()

    def check_room(self, ledger: str) -> None:
        """Raise Unavailable if a request of `ledger` should not come in now; before it is read."""
        shed = self._line.full(ledger)
        if shed is None:
            wait_s = self._pace.wait_s(self._line.before(ledger), monotonic())
            shed = Shed.TOO_SLOW if wait_s > self._settings.expected_wait_s_max else None
        if shed is not None:
            raise self._turned_away(shed, ledger)

    async def submit(self, command: Command) -> Done:
        """Return what became of `command`, once it is durable. Raises a Problem."""
        (outcome,) = await self.submit_each([command])
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    async def submit_each(self, commands: Sequence[Command]) -> list[Outcome]:
        """Return what became of each of `commands`, which are of one ledger, once all are durable.

        They wait, and are turned away, together.
        """
        if not commands:
            return []
        waiting = Waiting(commands, asyncio.Future(), monotonic())
        shed = self._line.full(waiting.ledger)
        if shed is not None:
            return [self._turned_away(shed, waiting.ledger)] * len(commands)
        self._line.add(waiting)
        self._some.set()
        return await waiting.outcomes

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Writer"]:
        """Run beside the caller; whoever still waits at the end is told to try again."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for waiting in (*self._in_hand, *self._line):
                _answer(waiting, Unavailable("stopping", "The server stops. Try again."))
            if self._connection is not None:
                await self._connection.close(timeout=database.CLOSE_TIMEOUT_S)

    async def _run(self) -> None:
        while True:
            await self._gather()
            self._pace.begin(monotonic())
            self._in_hand = batch = self._take(monotonic())
            with BATCH_SECONDS.time():
                new, foreseen = await self._claim_and_foresee(batch)
                if new:
                    await self._append(new, foreseen)
            self._pace.end(monotonic(), sum(waiting.weight for waiting in new))

    async def _gather(self) -> None:
        """Wait until somebody waits, and for who comes with them."""
        await self._turns()
        if not self._line:
            self._some.clear()
            await self._some.wait()
            await self._turns()

    async def _turns(self) -> None:
        """As long as a few turns of the event loop bring another one, wait for more.

        No timer, and nothing is idle meanwhile. Who was answered just now is back by then: of 64
        connections 63 are in a batch, and 33 with a single turn.
        """
        quiet = 0
        while quiet < QUIET_TURNS and len(self._line) < self._settings.batch_commands_max:
            gathered = len(self._line)
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._line) == gathered else 0

    def _take(self, now_s: float) -> list[Waiting]:
        """Return what is to be decided; tell those who waited for too long."""
        taken = self._line.take(now_s - self._settings.waiting_s_max)
        WAITING_COMMANDS.set(len(self._line))
        WAITING_LEDGERS.set(self._line.ledgers)
        BATCH_COMMANDS.observe(sum(waiting.weight for waiting in taken.batch))
        for waiting in taken.late:
            if waiting.outcomes.done():
                continue
            problem = self._turned_away(Shed.TOO_LATE, waiting.ledger)
            _answer(waiting, [problem] * len(waiting.commands))
        return taken.batch

    def _turned_away(self, shed: Shed, ledger: str) -> Unavailable:
        """Return the answer, with the seconds in which what waits now will have been decided."""
        SHED[shed].inc()
        full = shed is Shed.LINE_FULL
        before = len(self._line) if full else self._line.before(ledger)
        retry_after_s = self._pace.retry_after_s(before, monotonic())
        headers = {"Retry-After": str(retry_after_s)}
        again = f"Nothing was appended: try again in {retry_after_s} s, with the same key."
        if shed is Shed.TOO_LATE:
            what = "The command waited for too long: it was not decided."
            return Unavailable("waited_too_long", f"{what} {again}", headers=headers)
        return Unavailable("too_many_waiting", f"{NO_ROOM[shed]} {again}", headers=headers)

    async def _claim_and_foresee(
        self, batch: list[Waiting]
    ) -> tuple[list[Waiting], Foreseen | None]:
        """Return what is to be decided; and, if that is all, what was decided meanwhile."""
        async with asyncio.TaskGroup() as group:
            claiming = group.create_task(self._claim(batch))
            await asyncio.sleep(0)  # Valkey is asked before this process is busy.
            foreseen = self._foresee(batch)
        new = claiming.result()
        return new, foreseen if new == batch else None

    def _foresee(self, batch: list[Waiting]) -> Foreseen | None:
        try:
            return foresee(_commands(batch), self._schema, self._now(), self._working)
        except Exception:  # noqa: BLE001 - `_append` meets it again, and lets a command fail alone
            return None

    async def _claim(self, batch: list[Waiting]) -> list[Waiting]:
        """Answer what is done, as the log says of what Valkey has seen; return the others."""
        commands = [claimed for waiting in batch if (claimed := waiting.claimed) is not None]
        if not commands:
            return batch
        try:
            before = await self._idempotency.claim(commands)
            return await self._answer_again(batch, before) if before else batch
        except (*database.CONNECTION_ERRORS, Unavailable, UnreadableEventError):
            await self._disconnect()
        except Exception:
            log.exception("%d commands could not be claimed", len(commands))
        # Claims only make duplicates fast, so nobody need suffer: `_append` meets it again.
        return batch

    async def _answer_again(self, batch: list[Waiting], before: Sequence[Keyed]) -> list[Waiting]:
        """Answer from the log what is there of those claimed before; return what is not."""
        found = await find(await self._connected(), [c.transaction_id for c in before])
        new = []
        for waiting in batch:
            command = waiting.claimed
            existing = None if command is None else found.get(command.transaction_id)
            if command is None or existing is None:
                new.append(waiting)
            else:
                _answer(waiting, [replayed(existing, command)])
        return new

    async def _append(self, batch: list[Waiting], foreseen: Foreseen | None) -> None:
        try:
            outcomes = await self._attempt(_commands(batch), foreseen)
        except Unavailable as problem:
            for waiting in batch:
                _answer(waiting, [problem] * len(waiting.commands))
            return
        except UnreadableEventError as error:
            log.exception("what others have appended cannot be read; nothing can be decided")
            for waiting in batch:
                _answer(waiting, error)
            return
        except Exception:
            # A bad command fails alone, never its batch: try them one by one.
            log.exception("a batch of %d requests failed; trying its commands singly", len(batch))
            for waiting in batch:
                await self._append_singly(waiting)
            return
        each = iter(outcomes)
        for waiting in batch:
            _answer(waiting, [next(each) for _ in waiting.commands])

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
        _answer(waiting, outcomes)

    async def _attempt(
        self, commands: list[Command], foreseen: Foreseen | None = None
    ) -> list[Outcome]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                connection = await self._connected()
                return await append_batch(
                    connection, commands, self._schema, self._now(), self._working, foreseen
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
            self._working = WorkingSet()
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _commands(batch: list[Waiting]) -> list[Command]:
    return [command for waiting in batch for command in waiting.commands]


def _answer(waiting: Waiting, outcomes: list[Outcome] | Exception) -> None:
    if waiting.outcomes.done():
        return  # The client went away; what was appended stays appended.
    if isinstance(outcomes, Exception):
        waiting.outcomes.set_exception(outcomes)
    else:
        waiting.outcomes.set_result(outcomes)
