"""Rebuild of all read models beside the live ones, for a log of N transfers.

    python -m benchmarks.rebuilding TRANSFERS [DATABASE_URL]  →  JSON

Without a URL, on throw-away servers with fsync on; with one, the log that is there is rebuilt. The
log is written by the engine, between 10,000 accounts, and projected before the clock starts.
"""

import asyncio
import itertools
import resource
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from daybook.up import embedded
from projections.rebuilding.rebuild import rebuild
from runtime import database
from runtime.loop import collect_garbage_rarely
from runtime.migrate import migrate

DATABASE, ACCOUNTS, BATCH = "bench_rebuild", 10_000, 500


class Rate(msgspec.Struct):
    """Seconds of each phase; events a second of all, and of folding and indexing alone."""

    events: int
    seconds: dict[str, float]
    built_per_second: float
    per_second: float
    peak_rss_mb: int


async def measure(url: str) -> Rate:
    """Rebuild the read models of the database at `url`, and swap them in."""
    begun: dict[str, float] = {}

    def progress(phase: str, _done: int, _total: int) -> None:
        begun.setdefault(phase, time.perf_counter())

    started = time.perf_counter()
    made = await rebuild(url, rebuilt_by="benchmark", progress=progress)
    ended = time.perf_counter()
    assert made.differing == 0, made.differences
    times = [started, begun["indexing"], begun["comparing"], begun["swapping"], ended]
    spans = [later - earlier for earlier, later in itertools.pairwise(times)]
    return Rate(
        made.position,
        dict(zip(("folding", "indexing", "comparing", "swapping"), spans, strict=True)),
        made.position / (spans[0] + spans[1]),
        made.position / sum(spans),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


async def prepared(server_url: str, transfers: int) -> str:
    """Write and project a log of `transfers` in a database of its own; return its URL."""
    url = server_url.replace("/daybook?", f"/{DATABASE}_{transfers}?")
    connection = await database.connect(server_url)
    await connection.execute(f"CREATE DATABASE {DATABASE}_{transfers}")
    await connection.close()
    await migrate(url)
    await _engine("append", url, str(transfers), str(ACCOUNTS), str(BATCH))
    connection = await database.connect(url)
    head = await connection.fetchval("SELECT position FROM events.head")
    await connection.close()
    await _engine("project", url, str(head))
    return url


async def _engine(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.engine", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    await process.communicate(b"go\n")
    assert process.returncode == 0, arguments


async def _all(transfers: int) -> Rate:
    async with embedded(Path(), 0, ephemeral=True) as service:
        return await measured(await prepared(service.database_url, transfers))


async def measured(url: str) -> Rate:
    """Return what a process of its own measures: its memory is the rebuild's alone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.rebuilding", "-", url),
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return msgspec.json.decode(out, type=Rate)


def main() -> None:
    """Measure once from the command line."""
    collect_garbage_rarely()
    match sys.argv[1:]:
        case [_, url]:
            rate = uvloop.run(measure(url))
        case [transfers]:
            rate = uvloop.run(_all(int(transfers)))
        case _:
            sys.exit(__doc__)
    print(msgspec.json.encode(rate).decode())


if __name__ == "__main__":
    main()
