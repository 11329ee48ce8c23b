"""A queue as bad as SQS is allowed to be, and worse: seeded, in memory, with `Queue`'s methods.

send ──▶ drop? ──▶ delay? ──▶ twice?
receive ──▶ nothing? ──▶ any order ──▶ twice? ──▶ garbage between? ──▶ deleted ones again?
"""

import asyncio
import random
from collections.abc import Sequence
from itertools import count
from typing import cast

from runtime.queue import Message, Queue

FORGED = (
    '[{"specversion":"1.0","id":"1","source":"/daybook/log","type":"%s",'
    '"subject":"5b9f7e0e-8f1a-4b44-8b26-0d4e4c1c3f55",'
    '"datacontenttype":"application/json","streamversion":1,"data":%s}]'
)
GARBAGE = (
    "",
    "null",
    "{}",
    "[{}]",
    "not json at all",
    '[{"specversion":"1.0","id":"1"}]',
    '[{"specversion":"1.0","id":"x","source":"s","type":"transfer.posted","data":{}}]',
    FORGED % ("no.such.topic", "{}"),
    FORGED % ("account.opened", '{"class_version":"x"}'),
    FORGED % ("transfer.posted", "{}"),
)


class HostileQueue:
    """Everything that may go wrong does, with probabilities drawn from the seed."""

    url = "memory://hostile.fifo"

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._chance = self._rng.uniform(0.05, 0.5)
        self._receipts = count()
        self._waiting: list[str] = []
        self._delayed: list[str] = []
        self._in_flight: dict[str, str] = {}
        self._past: list[str] = []
        self.deleted: list[Message] = []

    def as_queue(self) -> Queue:
        """Return self under the type that workers take."""
        return cast("Queue", self)

    async def send(self, body: str, group: str, deduplication_id: str) -> None:
        """Take a message: or lose it, keep it back, have it twice."""
        assert group
        assert deduplication_id
        if self._bad_luck():
            return
        (self._delayed if self._bad_luck() else self._waiting).append(body)
        if self._bad_luck():
            self._waiting.append(body)

    async def receive(self, wait_s: int = 0) -> list[Message]:
        """Hand out anything, in any order, again and again."""
        assert wait_s >= 0
        await asyncio.sleep(0.001)
        if self._bad_luck():
            self._waiting += self._delayed
            self._delayed = []
        if self._bad_luck() and self._in_flight:
            self._waiting += self._in_flight.values()
        if self._bad_luck():
            return []
        self._rng.shuffle(self._waiting)
        size = self._rng.randint(0, 10)
        bodies, self._waiting = self._waiting[:size], self._waiting[size:]
        if self._bad_luck():
            bodies.append(self._rng.choice(GARBAGE))
        if self._bad_luck() and self._past:
            bodies.append(self._rng.choice(self._past))
        if self._bad_luck() and bodies:
            bodies.append(self._rng.choice(bodies))
        return [self._handed_out(body) for body in bodies[:10]]

    async def delete(self, messages: Sequence[Message]) -> None:
        """Forget messages, if it cares to."""
        for message in messages:
            self.deleted.append(message)
            self._in_flight.pop(message.receipt, None)
            self._past.append(message.body)

    def _handed_out(self, body: str) -> Message:
        receipt = str(next(self._receipts))
        self._in_flight[receipt] = body
        return Message(body, receipt)

    def _bad_luck(self) -> bool:
        return self._rng.random() < self._chance


class GivenQueue(HostileQueue):
    """Hands out exactly the bodies it was given, in one batch, once."""

    def __init__(self, *bodies: str) -> None:
        super().__init__(0)
        self._given = list(bodies)

    async def receive(self, wait_s: int = 0) -> list[Message]:
        """Return all of them, then nothing."""
        assert wait_s >= 0
        await asyncio.sleep(0)
        bodies, self._given = self._given, []
        return [self._handed_out(body) for body in bodies]
