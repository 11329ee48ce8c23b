"""A load of single transfers over HTTP, in a closed or an open loop.

    closed   each connection sends its next request when the last one was answered: this shows
             the highest possible rate
    open     requests are due at random moments, as independent clients send them, whether or
             not earlier requests were answered: this shows the latency at a given rate

In an open loop a latency counts from the moment the request was *due*, so a server that stalls
cannot hide the requests that it delayed (coordinated omission). A request for which no connection
becomes free within PATIENCE_S is given up, as a client would do, and counted as unsent.

The load is a process of its own, so that it shares no interpreter with the program that it
measures. It reads only the status of an answer. Its outcome includes the CPU that it used itself.

    python -m benchmarks.loads.singles OPTIONS  →  Outcome, both JSON
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
from benchmarks.loads.tally import Outcome, SentRequest, Tally
from runtime.loop import collect_garbage_rarely

CLOSING = b"connection: close"
PACE_S = 0.001
PATIENCE_S = 1.0
GRACE_S = 10.0
REOPEN_S = 0.1
OPENED_AT_ONCE = 100


class SinglesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Send over `connections`, which are spread over `targets`, for `seconds` after a warm-up.

    A `rate` (requests a second) makes it an open loop. Keys are `prefix-number`; the numbers of
    the accepted ones are written to `accepted_file` as a JSON array.
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
    """The state that all connections share."""

    def __init__(self, options: SinglesOptions) -> None:
        self._options = options
        self._head = post(options.targets[0], options.token, "transactions")
        self._chosen = random.Random(options.prefix)
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._reopening: set[asyncio.Task[None]] = set()
        self._next_due = 0.0
        self._running = True
        self._numbers = 0
        self._under_way: set[SentRequest] = set()
        self._quiet = asyncio.Event()
        self.tally = Tally()

    async def open(self, which: int) -> None:
        """Open the connection of this number; the targets take turns."""
        parts = urlsplit(self._options.targets[which % len(self._options.targets)])
        loop = asyncio.get_running_loop()
        host, port = parts.hostname or "", parts.port or 80
        await loop.create_connection(lambda: Connection(self, which), host, port)

    def pace(self) -> None:
        """Send the requests that are due by now, and call this again after PACE_S."""
        assert self._options.rate is not None
        now = time.perf_counter()
        self._next_due = self._next_due or now
        while self._next_due <= now and self._running:
            if self._idle:
                self._idle.popleft().send(self._next_due)
            else:
                self._waiting.append(self._next_due)
            self._next_due += self._chosen.expovariate(self._options.rate)
        if self._running:
            asyncio.get_running_loop().call_later(PACE_S, self.pace)

    def free(self, connection: "Connection") -> None:
        """Give a connection its next request, if there is one."""
        now = time.perf_counter()
        if self._options.rate is None:
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

    def request(self, due: float) -> tuple[SentRequest, bytes]:
        """Return the next request, which was due at `due`."""
        self._numbers += 1
        key = f"{self._options.prefix}-{self._numbers}"
        accounts, chosen = self._options.accounts, self._chosen.random
        body = transfer(int(accounts * chosen()), int(accounts * chosen()), key)
        sent = SentRequest(self._numbers, due, time.perf_counter())
        self._under_way.add(sent)
        return sent, f"{self._head}{len(body)}\r\n\r\n{body}".encode()

    def answered(self, sent: SentRequest, head: bytes) -> None:
        """Count an answer by its head, which is in lower case."""
        self._done(sent)
        self.tally.answered(sent, head)

    def lost(self, sent: SentRequest) -> None:
        """Count a request that got no answer."""
        self._done(sent)
        self.tally.lost(sent)

    def closed(self, connection: "Connection") -> None:
        """Open another connection in place of a closed one, while the load runs."""
        if connection in self._idle:
            self._idle.remove(connection)
        if self._running:
            task = asyncio.create_task(self._reopen(connection.which))
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    async def stop(self) -> None:
        """Stop sending, and wait at most GRACE_S for the requests that are under way."""
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

    def _done(self, sent: SentRequest) -> None:
        self._under_way.discard(sent)
        self._settle()

    def _settle(self) -> None:
        if not self._running and not self._under_way and not self._waiting:
            self._quiet.set()


class Connection(asyncio.Protocol):
    """One connection: it sends a request, reads the whole answer, and sends the next request."""

    def __init__(self, load: Load, which: int) -> None:
        self._load = load
        self.which = which
        self._answer = b""
        self._sent: SentRequest | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the first request."""
        # uvloop's transports are asyncio's by behaviour, not by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._load.free(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Count the request under way as lost."""
        if self._sent is not None:
            self._load.lost(self._sent)
        self._load.closed(self)

    def data_received(self, data: bytes) -> None:
        """Count the answer once it is complete, and take the next request."""
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
        """Send the next request, which was due at `due`."""
        assert self._transport is not None
        self._sent, request = self._load.request(due)
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection."""
        assert self._transport is not None
        self._transport.close()


async def run(options: SinglesOptions) -> Outcome:
    """Run the load, and return its outcome."""
    load = Load(options)
    for first in range(0, options.connections, OPENED_AT_ONCE):
        some = range(first, min(first + OPENED_AT_ONCE, options.connections))
        await asyncio.gather(*(load.open(which) for which in some))
    if options.rate is not None:
        load.pace()
    await asyncio.sleep(options.warm_up_s)
    load.tally.begin, cpu_s = time.perf_counter(), _cpu_s()
    await asyncio.sleep(options.seconds)
    load.tally.end, cpu_s = time.perf_counter(), _cpu_s() - cpu_s
    await load.stop()
    if options.accepted_file is not None:
        Path(options.accepted_file).write_bytes(msgspec.json.encode(load.tally.accepted))
    return load.tally.outcome(cpu_s)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    collect_garbage_rarely()
    outcome = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=SinglesOptions)))
    print(msgspec.json.encode(outcome).decode())
