"""Who waits to be decided, ledger by ledger: nobody's flood is in anybody else's way.

    ledger a  ▯▯▯▯▯▯▯▯ ─┐
    ledger b  ▯ ────────┼─ in turn ─▶ one commit
    ledger c  ▯▯ ───────┘

Within a ledger it is first come, first served. Between ledgers it is start-time fair queuing
(Goyal, Vin and Cheng, 1996), counted in transactions: a request starts where its ledger's last one
ended, or where the line is now, and whichever would end first is taken first. So a ledger that asks
for little is in the next commit, however much others ask for, and one that asks for more than its
share waits for itself. In this order no request counts for more than one commit: beside a flood the
largest would never have its turn otherwise. Its ledger makes up for the rest afterwards.

Nothing here has a clock or answers anybody. What is kept is bounded by who waits.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from enum import StrEnum
from heapq import heappop, heappush

import msgspec

from command_side.domain.commands import Command, Keyed, Settle, weight
from command_side.writer.commit import Outcome

# What the sweeper settles is of several ledgers; it waits as one of its own, which no ledger is.
SWEEPER = ""


class Shed(StrEnum):
    """Why a command is not decided."""

    LINE_FULL = "line_full"
    LEDGER_FULL = "ledger_full"
    TOO_SLOW = "too_slow"
    TOO_LATE = "too_late"


class Waiting(msgspec.Struct):
    """Commands of one request, all of one ledger, and who waits for their outcomes.

    `since_s` is when they came, by a clock that only goes forward; `weight` is how many
    transactions they may make.
    """

    commands: Sequence[Command]
    outcomes: asyncio.Future[list[Outcome]]
    since_s: float
    ledger: str = ""
    weight: int = 0

    def __post_init__(self) -> None:
        """Look once at what is asked often."""
        first = self.commands[0]
        self.ledger = SWEEPER if isinstance(first, Settle) else first.ledger
        self.weight = sum(weight(command) for command in self.commands)
        assert self.weight, "nothing to decide would wait for ever"

    @property
    def claimed(self) -> Keyed | None:
        """Return the command that Valkey is asked about: that of a request for one.

        The log knows the keys of many at once, by its primary key or with one query.
        """
        first = self.commands[0]
        return first if len(self.commands) == 1 and isinstance(first, Keyed) else None


class _Queue:
    """What one ledger has waiting, how many transactions that is, and where its first starts."""

    __slots__ = ("start", "waiting", "weight")

    def __init__(self, start: int) -> None:
        self.start = start
        self.waiting: deque[Waiting] = deque()
        self.weight = 0


class Taken(msgspec.Struct, frozen=True):
    """One commit's worth, and what came out of the line undecided: too late, or for nobody."""

    batch: list[Waiting]
    late: list[Waiting]


class Line:
    """Commands that wait to be decided; `len` is how many transactions they are.

    A commit is full at `commit_max` transactions, the last request in it taken whole. Requests are
    let in while fewer than `line_max` transactions wait, and fewer than `ledger_max` of their
    ledger; of one ledger no more than that counts for the others, however large its requests are.
    """

    def __init__(self, commit_max: int, line_max: int, ledger_max: int) -> None:
        self._commit_max = commit_max
        self._line_max = line_max
        self._ledger_max = ledger_max
        self._queues: dict[str, _Queue] = {}
        self._turns: list[tuple[int, int, str]] = []
        self._turn = 0
        self._place = 0
        # Ledgers of which nobody waits, but that had more than the others lately.
        self._ahead: dict[str, int] = {}
        self._weight = 0
        self._counted = 0

    def __len__(self) -> int:
        """Return how many transactions wait."""
        return self._weight

    def __iter__(self) -> Iterator[Waiting]:
        """Yield who waits, ledger by ledger."""
        for queue in self._queues.values():
            yield from queue.waiting

    @property
    def ledgers(self) -> int:
        """Return how many ledgers have something waiting."""
        return len(self._queues)

    def full(self, ledger: str) -> Shed | None:
        """Return why one more of `ledger` is not let in, if it is not."""
        queue = self._queues.get(ledger)
        if queue is not None and queue.weight >= self._ledger_max:
            return Shed.LEDGER_FULL
        return Shed.LINE_FULL if self._counted >= self._line_max else None

    def before(self, ledger: str) -> int:
        """Return about how many transactions are decided before one more of `ledger` would be."""
        queue = self._queues.get(ledger)
        return min(self._weight, queue.weight * len(self._queues)) if queue else 0

    def add(self, waiting: Waiting) -> None:
        """Let one more wait, behind the others of its ledger."""
        queue = self._queues.get(waiting.ledger)
        if queue is None:
            queue = _Queue(max(self._place, self._ahead.pop(waiting.ledger, 0)))
            self._queues[waiting.ledger] = queue
            self._await_turn(waiting.ledger, queue.start, waiting)
        queue.waiting.append(waiting)
        self._weigh(queue, waiting.weight)

    def take(self, came_after_s: float) -> Taken:
        """Take one commit's worth out of the line, in turn.

        What came earlier than `came_after_s`, or is waited for no more, comes out beside it, and
        takes nobody's turn.
        """
        taken = Taken([], [])
        count = 0
        while self._turns and count < self._commit_max:
            _, _, ledger = heappop(self._turns)
            queue = self._queues[ledger]
            waiting = queue.waiting.popleft()
            self._weigh(queue, -waiting.weight)
            if waiting.outcomes.done() or waiting.since_s < came_after_s:
                taken.late.append(waiting)
            else:
                taken.batch.append(waiting)
                count += waiting.weight
                self._place = max(self._place, queue.start)
                queue.start += waiting.weight
            if queue.waiting:
                self._await_turn(ledger, queue.start, queue.waiting[0])
            else:
                del self._queues[ledger]
                self._ahead[ledger] = queue.start
        self._forget()
        return taken

    def _weigh(self, queue: _Queue, change: int) -> None:
        """Count what came or went; of one ledger no more than its bound counts against all."""
        counted = min(queue.weight, self._ledger_max)
        queue.weight += change
        self._weight += change
        self._counted += min(queue.weight, self._ledger_max) - counted

    def _await_turn(self, ledger: str, start: int, first: Waiting) -> None:
        self._turn += 1
        end = start + min(first.weight, self._commit_max)
        heappush(self._turns, (end, self._turn, ledger))

    def _forget(self) -> None:
        """Forget who is ahead of nobody."""
        place = self._place
        still = self._ahead.items() if self._turns else ()
        self._ahead = {ledger: end for ledger, end in still if end > place}
