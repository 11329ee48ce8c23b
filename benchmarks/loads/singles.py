"""HTTP, a transfer a request: a closed loop, or an open one.

    closed   each connection sends as soon as it was answered: how much is possible
    open     requests are due at random moments of a given rate (independent clients), whether
             or not earlier ones were answered: how long it takes, and what happens beyond

In an open loop a latency counts from the moment the request was *due*, so a server that stalls
cannot hide the requests that it kept from being sent (coordinated omission). One for which no
connection becomes free within PATIENCE_S is given up, as a client would, and counted as unsent.

Its own process, so that it shares no interpreter with what it measures. Answers are only looked at
as far as their status; what it takes of the CPU itself is in its outcome.

    python -m benchmarks.loads.singles ASKED  →  Outcome, both JSON
"""

import asyncio
import random
import resource
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.loads.requests import HEAD_END, content_length, post, transfer
from benchmarks.loads.tally import Outcome, Sent, Tally
from runtime.loop import collect_garbage_rarely

CLOSING = b"connection: close"
PACE_S = 0.001
PATIENCE_S = 1.0
GRACE_S = 10.0
REOPEN_S = 0.1
OPENED_AT_ONCE = 100


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: over `connections`, spread over `targets`, for `seconds` after a warm-up.

    A `rate` (requests a second) makes it an open loop. The numbers of accepted keys, which are
    `prefix-number`, are written to `accepted_file` as a JSON array.
    """

    targets: list[str]
    token: str
    prefix: str
    connections: int
    seconds: float
    warm_up_s: float
    accounts: int
    rate: float | None = None
    accepted_file: str | None = None


class Load:
    """What all connections share."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._head = post(asked.targets[0], asked.token, "transactions")
        self._chosen = random.Random(asked.prefix)
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._reopening: set[asyncio.Task[None]] = set()
        self._next_due = 0.0
        self._running = True
        self._numbers = 0
        self._under_way: set[Sent] = set()
        self._quiet = asyncio.Event()
        self.tally = Tally()

    async def open(self, which: int) -> None:
        """Open one connection, to the target whose turn it is."""
        parts = urlsplit(self._asked.targets[which % len(self._asked.targets)])
        loop = asyncio.get_running_loop()
        host, port = parts.hostname or "", parts.port or 80
        await loop.create_connection(lambda: Connection(self, which), host, port)

    def pace(self) -> None:
        """Send what is due by now, and look again in a moment."""
        assert self._asked.rate is not None
        now = time.perf_counter()
        self._next_due = self._next_due or now
        while self._next_due <= now and self._running:
            if self._idle:
                self._idle.popleft().send(self._next_due)
            else:
                self._waiting.append(self._next_due)
            self._next_due += self._chosen.expovariate(self._asked.rate)
        if self._running:
            asyncio.get_running_loop().call_later(PACE_S, self.pace)

    def free(self, connection: "Connection") -> None:
        """Give a connection its next request, if there is one."""
        now = time.perf_counter()
        if self._asked.rate is None:
            if self._running:
                connection.send(now)
            return
        while self._waiting:
            due = self._waiting.popleft()
            if now - due <= PATIENCE_S:
                connection.send(due)
                return
            self.tally.unsent(due)
        self._idle.append(connection)
        self._settle()

    def request(self, due: float) -> tuple[Sent, bytes]:
        """Return the next request, which was due then."""
        self._numbers += 1
        key = f"{self._asked.prefix}-{self._numbers}"
        accounts, chosen = self._asked.accounts, self._chosen.random
        body = transfer(int(accounts * chosen()), int(accounts * chosen()), key)
        sent = Sent(self._numbers, due, time.perf_counter())
        self._under_way.add(sent)
        return sent, f"{self._head}{len(body)}\r\n\r\n{body}".encode()

    def answered(self, sent: Sent, head: bytes) -> None:
        """Count an answer by the head of it, in lower case."""
        self._done(sent)
        self.tally.answered(sent, head)

    def lost(self, sent: Sent) -> None:
        """Count a request that was not answered."""
        self._done(sent)
        self.tally.lost(sent)

    def closed(self, connection: "Connection") -> None:
        """Open another one instead, for as long as the load goes on."""
        if connection in self._idle:
            self._idle.remove(connection)
        if self._running:
            task = asyncio.create_task(self._reopen(connection.which))
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    async def stop(self) -> None:
        """Let nothing more be due, and wait for what is, boundedly."""
        self._running = False
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), GRACE_S)
        for due in self._waiting:
            self.tally.unsent(due)
        for sent in list(self._under_way):
            self.lost(sent)

    async def _reopen(self, which: int) -> None:
        while self._running:
            await asyncio.sleep(REOPEN_S)
            with suppress(OSError):
                await self.open(which)
                return

    def _done(self, sent: Sent) -> None:
        self._under_way.discard(sent)
        self._settle()

    def _settle(self) -> None:
        if not self._running and not self._under_way and not self._waiting:
            self._quiet.set()


class Connection(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, load: Load, which: int) -> None:
        self._load = load
        self.which = which
        self._answer = b""
        self._sent: Sent | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be free."""
        # uvloop's transports are asyncio's by behaviour, not by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._load.free(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Be done."""
        if self._sent is not None:
            self._load.lost(self._sent)
        self._load.closed(self)

    def data_received(self, data: bytes) -> None:
        """Count a complete answer, and go on."""
        self._answer += data
        head, found, body = self._answer.partition(HEAD_END)
        head = head.lower()
        if not found or len(body) < content_length(head) or self._sent is None:
            return
        sent, self._sent, self._answer = self._sent, None, b""
        self._load.answered(sent, head)
        if CLOSING in head:
            self.close()
        else:
            self._load.free(self)

    def send(self, due: float) -> None:
        """Send the next request, which was due then."""
        assert self._transport is not None
        self._sent, request = self._load.request(due)
        self._transport.write(request)

    def close(self) -> None:
        """Close it."""
        assert self._transport is not None
        self._transport.close()


async def run(asked: Asked) -> Outcome:
    """Drive the load, and return what was seen."""
    load = Load(asked)
    for first in range(0, asked.connections, OPENED_AT_ONCE):
        some = range(first, min(first + OPENED_AT_ONCE, asked.connections))
        await asyncio.gather(*(load.open(which) for which in some))
    if asked.rate is not None:
        load.pace()
    await asyncio.sleep(asked.warm_up_s)
    load.tally.begin, cpu_s = time.perf_counter(), _cpu_s()
    await asyncio.sleep(asked.seconds)
    load.tally.end, cpu_s = time.perf_counter(), _cpu_s() - cpu_s
    await load.stop()
    if asked.accepted_file is not None:
        Path(asked.accepted_file).write_bytes(msgspec.json.encode(load.tally.accepted))
    return load.tally.outcome(cpu_s)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    collect_garbage_rarely()
    outcome = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Asked)))
    print(msgspec.json.encode(outcome).decode())
