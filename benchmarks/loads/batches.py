"""A load of batches over HTTP: each connection sends one batch after the other.

All requests are prepared before the clock starts. The load ends with the last answer.

    python -m benchmarks.loads.batches OPTIONS  →  BatchesOutcome, both JSON
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.latency import Latency, latency
from benchmarks.loads.requests import HEAD_END, content_length, post, transfer

ACCEPTED = b'"status":"ACCEPTED"'
STREAM_BYTES_MAX = 2**24


class BatchesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Send `transfers` in requests of `size`, between so many `accounts` on each side.

    The accounts of a transfer are chosen at random, or one after the other if `in_turn`.
    """

    target: str
    token: str
    prefix: str
    connections: int
    transfers: int
    size: int
    accounts: int
    in_turn: bool = False


class BatchesOutcome(msgspec.Struct, frozen=True):
    """The outcome: `started` is a time of the wall clock, and latencies are those of a request."""

    accepted: int
    started: float
    latency: Latency


def requests(options: BatchesOptions) -> list[bytes]:
    """Return the requests, ready to be sent."""
    chosen = random.Random(options.prefix)
    head = post(options.target, options.token, "transactions/batch")
    made = []
    for first in range(0, options.transfers, options.size):
        items = ",".join(
            transfer(*_accounts(options, chosen, number), f"{options.prefix}-{number}")
            for number in range(first, min(first + options.size, options.transfers))
        )
        made.append(f"{head}{len(items) + 2}\r\n\r\n[{items}]".encode())
    return made


def _accounts(options: BatchesOptions, chosen: random.Random, number: int) -> tuple[int, int]:
    if options.in_turn:
        return number % options.accounts, number % options.accounts
    return chosen.randrange(options.accounts), chosen.randrange(options.accounts)


async def run(options: BatchesOptions, batches: list[bytes]) -> BatchesOutcome:
    """Send all `batches`, and return the outcome."""
    left = iter(batches)
    started = time.time()
    outcomes = await asyncio.gather(
        *(_client(options.target, left) for _ in range(options.connections))
    )
    return BatchesOutcome(
        accepted=sum(accepted for accepted, _ in outcomes),
        started=started,
        latency=latency([second for _, seconds in outcomes for second in seconds]),
    )


async def _client(target: str, batches: Iterator[bytes]) -> tuple[int, list[float]]:
    parts = urlsplit(target)
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port, limit=STREAM_BYTES_MAX
    )
    accepted = 0
    seconds = []
    for batch in batches:
        began = time.perf_counter()
        writer.write(batch)
        await writer.drain()
        length = content_length((await reader.readuntil(HEAD_END)).lower())
        accepted += (await reader.readexactly(length)).count(ACCEPTED)
        seconds.append(time.perf_counter() - began)
    writer.close()
    return accepted, seconds


if __name__ == "__main__":
    options = msgspec.json.decode(sys.argv[1], type=BatchesOptions)
    print(msgspec.json.encode(uvloop.run(run(options, requests(options)))).decode())
