"""A closed-loop HTTP load: N connections, one transfer a request, one request at a time each.

Its own process, so that it shares no interpreter with what it measures. Requests are prepared bytes
and answers are only looked at as far as their status, so that it takes little of the CPU that it
shares with the server.

    python -m benchmarks.loads.singles URL TOKEN CONNECTIONS SECONDS ACCOUNTS PREFIX  →  JSON
"""

import asyncio
import random
import sys
import time
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

ACCEPTED = b"HTTP/1.1 202"
HEADER_END = b"\r\n\r\n"
GRACE_S = 5.0


class Outcome(msgspec.Struct):
    """What a load run saw; latencies in milliseconds."""

    requests: int
    seconds: float
    failures: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class Load:
    """What all connections share."""

    def __init__(self, target: str, token: str, accounts: int, prefix: str) -> None:
        parts = urlsplit(target)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST /api/v1/transactions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
        self._accounts = accounts
        self._prefix = prefix
        self._random = random.Random(prefix)
        self._sent = 0
        self.latencies_s: list[float] = []
        self.failures = 0
        self.running = True

    def request(self) -> bytes:
        """Return the next request: a transfer from `world` to a random account."""
        self._sent += 1
        account = self._random.randrange(self._accounts)
        body = (
            '{"transaction":{"source_account_id":"world","destination_account_id":'
            f'"account-{account}","amount":12.34,"currency":"USD"}},'
            f'"idempotencyKey":"{self._prefix}-{self._sent}"}}'
        )
        return f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Connection(asyncio.Protocol):
    """One connection: send, wait for the whole answer, send again."""

    def __init__(self, load: Load, closed: asyncio.Future[None]) -> None:
        self._load = load
        self.closed = closed
        self._answer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        # uvloop's transports are asyncio's by behaviour, not by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def connection_lost(self, _: Exception | None) -> None:
        """Be done."""
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Count a complete answer, and go on."""
        self._answer += data
        head, found, body = self._answer.partition(HEADER_END)
        if not found or len(body) < _content_length(head):
            return
        self._load.latencies_s.append(time.perf_counter() - self._sent_at)
        if not self._answer.startswith(ACCEPTED):
            self._load.failures += 1
        self._answer = b""
        if self._load.running:
            self._send()
        elif self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._load.request())


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0])


async def run(load: Load, connections: int, seconds: float) -> Outcome:
    """Drive the load for `seconds` and return what was seen."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    open_connections = [Connection(load, loop.create_future()) for _ in range(connections)]
    unopened = iter(open_connections)
    for _ in range(connections):
        await loop.create_connection(lambda: next(unopened), load.host, load.port)
    await asyncio.sleep(seconds)
    load.running = False
    elapsed = time.perf_counter() - started
    answered = len(load.latencies_s)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(c.closed for c in open_connections)), GRACE_S)
    ordered = sorted(load.latencies_s)
    return Outcome(
        requests=answered,
        seconds=elapsed,
        failures=load.failures,
        per_second=answered / elapsed,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[int(len(ordered) * 0.99)] * 1000,
        max_ms=ordered[-1] * 1000,
    )


def main() -> None:
    """Run one load from the command line."""
    target, token, connections, seconds, accounts, prefix = sys.argv[1:]
    load = Load(target, token, int(accounts), prefix)
    outcome = uvloop.run(run(load, int(connections), float(seconds)))
    print(msgspec.json.encode(outcome).decode())


if __name__ == "__main__":
    main()
