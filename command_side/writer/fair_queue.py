"""The commands that wait to be decided, ledger by ledger. No ledger can keep another one waiting.

    ledger a  ▯▯▯▯▯▯▯▯ ─┐
    ledger b  ▯ ────────┼─ in turn ─▶ one commit
    ledger c  ▯▯ ───────┘

Within a ledger the first request to come is the first to be served. Between ledgers it is
start-time fair queuing (Goyal, Vin and Cheng, 1996), counted in transactions: a request starts
where the last one of its ledger ended, or where the queue is now, and the request that would end
first is served first. So a ledger that asks for little is in the next commit, however much others
ask for, and a ledger that asks for more than its share waits for itself. For this order a request
counts as one commit at most, because beside a flood the largest would never have its turn
otherwise. The rest of its size is charged to its ledger afterwards.

The queue has no clock, and answers nobody. What it remembers is bounded by what waits.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from enum import StrEnum
from heapq import heappop, heappush

import msgspec

from command_side.domain.commands import Command, Keyed
from command_side.writer.outcomes import Outcome


class Overload(StrEnum):
    """Why a request is turned away; the names are labels of a metric."""

    QUEUE_FULL = "line_full"
    LEDGER_FULL = "ledger_full"
    TOO_SLOW = "too_slow"
    TOO_LATE = "too_late"


class QueuedRequest(msgspec.Struct):
    """The commands of one request, all of one ledger, and the future of their outcomes.

    `since_s` is when they came, by a clock that only goes forward. `weight` is the number of
    transactions that they may make. `claimed` is the command whose key is claimed in Valkey: that
    of a request for one transaction. (The log finds the keys of many at once.)
    """

    commands: Sequence[Command]
    outcomes: asyncio.Future[list[Outcome]]
    since_s: float
    ledger: str = ""
    weight: int = 0
    claimed: Keyed | None = None

    def __post_init__(self) -> None:
        """Compute once what is needed often."""
        first = self.commands[0]
        self.ledger = first.ledger
        if len(self.commands) == 1:
            self.weight = first.weight
            self.claimed = first if isinstance(first, Keyed) else None
        else:
            self.weight = sum(command.weight for command in self.commands)
        assert self.weight, "a request without transactions would wait for ever"


class _LedgerQueue:
    """The requests of one ledger that wait, their weight, and where the first of them starts."""

    __slots__ = ("requests", "start", "weight")

    def __init__(self, start: int) -> None:
        self.start = start
        self.requests: deque[QueuedRequest] = deque()
        self.weight = 0


class Dequeued(msgspec.Struct, frozen=True):
    """The requests of one commit; and those that waited too long, or whose client has gone."""

    batch: list[QueuedRequest]
    late: list[QueuedRequest]
    ledgers_left: int


class FairQueue:
    """The requests that wait to be decided; `weight` is the number of their transactions.

    A commit is full at `commit_max` transactions; its last request is taken whole. A request may
    join while fewer than `queue_max` transactions wait, and fewer than `ledger_max` of its ledger.
    However large the requests of one ledger are, they count as `ledger_max` at most for the others.
    """

    def __init__(self, commit_max: int, queue_max: int, ledger_max: int) -> None:
        self.weight = 0
        self._commit_max = commit_max
        self._queue_max = queue_max
        self._ledger_max = ledger_max
        self._queues: dict[str, _LedgerQueue] = {}
        self._turns: list[tuple[int, int, str]] = []
        self._turn = 0
        self._now = 0
        # Where the next request of a ledger starts that was served more than the others lately.
        self._ahead: dict[str, int] = {}
        self._counted = 0

    def __iter__(self) -> Iterator[QueuedRequest]:
        """Yield the requests, ledger by ledger."""
        for queue in self._queues.values():
            yield from queue.requests

    def full(self, ledger: str) -> Overload | None:
        """Return why one more request of `ledger` may not join, if it may not."""
        queue = self._queues.get(ledger)
        if queue is not None and queue.weight >= self._ledger_max:
            return Overload.LEDGER_FULL
        return Overload.QUEUE_FULL if self._counted >= self._queue_max else None

    def before(self, ledger: str) -> int:
        """Return roughly the number of transactions that come before a new one of `ledger`."""
        queue = self._queues.get(ledger)
        return min(self.weight, queue.weight * len(self._queues)) if queue else 0

    def join(self, commands: Sequence[Command], now_s: float) -> QueuedRequest | Overload:
        """Add a request behind the others of its ledger, or return why it may not join."""
        overload = self.full(commands[0].ledger)
        if overload is not None:
            return overload
        request = QueuedRequest(commands, asyncio.Future(), now_s)
        self.add(request)
        return request

    def add(self, request: QueuedRequest) -> None:
        """Add a request behind the others of its ledger."""
        queue = self._queues.get(request.ledger)
        if queue is None:
            queue = _LedgerQueue(max(self._now, self._ahead.pop(request.ledger, 0)))
            self._queues[request.ledger] = queue
            self._await_turn(request.ledger, queue.start, request)
        queue.requests.append(request)
        self._weigh(queue, request.weight)

    def take(self, came_after_s: float) -> Dequeued:
        """Take the requests of one commit out of the queue, in turn.

        Requests that came earlier than `came_after_s`, and those whose client has gone, come out
        beside them and take no turn.
        """
        batch: list[QueuedRequest] = []
        late: list[QueuedRequest] = []
        count = 0
        while self._turns and count < self._commit_max:
            _, _, ledger = heappop(self._turns)
            queue = self._queues[ledger]
            request = queue.requests.popleft()
            self._weigh(queue, -request.weight)
            if request.outcomes.done() or request.since_s < came_after_s:
                late.append(request)
            else:
                batch.append(request)
                count += request.weight
                self._now = max(self._now, queue.start)
                queue.start += request.weight
            if queue.requests:
                self._await_turn(ledger, queue.start, queue.requests[0])
            else:
                del self._queues[ledger]
                self._ahead[ledger] = queue.start
        self._forget()
        return Dequeued(batch, late, len(self._queues))

    def _weigh(self, queue: _LedgerQueue, change: int) -> None:
        """Count what came or went; one ledger counts as `ledger_max` at most."""
        counted = min(queue.weight, self._ledger_max)
        queue.weight += change
        self.weight += change
        self._counted += min(queue.weight, self._ledger_max) - counted

    def _await_turn(self, ledger: str, start: int, first: QueuedRequest) -> None:
        self._turn += 1
        end = start + min(first.weight, self._commit_max)
        heappush(self._turns, (end, self._turn, ledger))

    def _forget(self) -> None:
        """Forget the ledgers that are not ahead any more."""
        still = self._ahead.items() if self._turns else ()
        self._ahead = {ledger: end for ledger, end in still if end > self._now}
