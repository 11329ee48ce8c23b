"""Batches over HTTP: some connections, each sending one batch after the other.

Everything that is sent is prepared before the clock starts. Ends when the last answer is there.

    python -m benchmarks.loads.batches ASKED  →  Outcome, both JSON
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


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How many transfers, how many in a request, between how many accounts on each side.

    They are chosen at random; `in_turn`, one after the other.
    """

    target: str
    token: str
    prefix: str
    connections: int
    transfers: int
    size: int
    accounts: int
    in_turn: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What was answered; `started` is the wall clock's, the latencies are of a request."""

    accepted: int
    started: float
    latency: Latency


def requests(asked: Asked) -> list[bytes]:
    """Return the batches, ready to send."""
    chosen = random.Random(asked.prefix)
    head = post(asked.target, asked.token, "transactions/batch")
    made = []
    for first in range(0, asked.transfers, asked.size):
        items = ",".join(
            transfer(*_accounts(asked, chosen, number), f"{asked.prefix}-{number}")
            for number in range(first, min(first + asked.size, asked.transfers))
        )
        made.append(f"{head}{len(items) + 2}\r\n\r\n[{items}]".encode())
    return made


def _accounts(asked: Asked, chosen: random.Random, number: int) -> tuple[int, int]:
    if asked.in_turn:
        return number % asked.accounts, number % asked.accounts
    return chosen.randrange(asked.accounts), chosen.randrange(asked.accounts)


async def run(asked: Asked, batches: list[bytes]) -> Outcome:
    """Send all `batches`; return what was seen."""
    left = iter(batches)
    started = time.time()
    seen = await asyncio.gather(*(_client(asked.target, left) for _ in range(asked.connections)))
    return Outcome(
        accepted=sum(accepted for accepted, _ in seen),
        started=started,
        latency=latency([second for _, seconds in seen for second in seconds]),
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
    asked_for = msgspec.json.decode(sys.argv[1], type=Asked)
    print(msgspec.json.encode(uvloop.run(run(asked_for, requests(asked_for)))).decode())
