"""Batches over HTTP: some connections, each sending one batch after the other.

Everything that is sent is prepared before the clock starts. Ends when the last answer is there.

    python -m benchmarks.loads.batches URL TOKEN CONNECTIONS TRANSFERS SIZE ACCOUNTS PREFIX  →  JSON
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.measures.lag import percentiles

ACCEPTED = b'"status":"ACCEPTED"'
STREAM_BYTES_MAX = 2**24


class Outcome(msgspec.Struct):
    """What was answered; latencies of a request, in milliseconds. `started` is the wall clock's."""

    transfers: int
    accepted: int
    started: float
    p50_ms: float
    p99_ms: float


def requests(
    target: str, token: str, transfers: int, size: int, accounts: int, prefix: str
) -> list[bytes]:
    """Return batches of `size` transfers between `accounts` pairs of accounts, ready to send."""
    chosen = random.Random(prefix)
    head = (
        f"POST /api/v1/transactions/batch HTTP/1.1\r\nHost: {urlsplit(target).netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    )
    made = []
    for first in range(0, transfers, size):
        items = ",".join(
            f'{{"transaction":{{"source_account_id":"external:{chosen.randrange(accounts)}",'
            f'"destination_account_id":"account-{chosen.randrange(accounts)}","amount":12.34,'
            f'"currency":"USD"}},"idempotencyKey":"{prefix}-{number}"}}'
            for number in range(first, min(first + size, transfers))
        )
        made.append(f"{head}Content-Length: {len(items) + 2}\r\n\r\n[{items}]".encode())
    return made


async def run(target: str, connections: int, batches: list[bytes]) -> Outcome:
    """Send all `batches` over so many connections; return what was seen."""
    left = iter(batches)
    started = time.time()
    seen = await asyncio.gather(*(_client(target, left) for _ in range(connections)))
    p50_s, p99_s = percentiles([second for _, seconds in seen for second in seconds])
    return Outcome(
        transfers=sum(batch.count(b'"amount"') for batch in batches),
        accepted=sum(accepted for accepted, _ in seen),
        started=started,
        p50_ms=p50_s * 1000,
        p99_ms=p99_s * 1000,
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
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        accepted += (await reader.readexactly(length)).count(ACCEPTED)
        seconds.append(time.perf_counter() - began)
    writer.close()
    return accepted, seconds


def main() -> None:
    """Run one load from the command line."""
    target, token, connections, transfers, size, accounts, prefix = sys.argv[1:]
    batches = requests(target, token, int(transfers), int(size), int(accounts), prefix)
    print(msgspec.json.encode(uvloop.run(run(target, int(connections), batches))).decode())


if __name__ == "__main__":
    main()
