"""The engine: batches of commands, appended and projected at the same time, without HTTP."""

import asyncio
import random
import time

from benchmarks import children
from benchmarks.result import Row
from benchmarks.service import beside, create_database
from daybook.up import Service
from runtime.migrate import migrate

DATABASE = "bench_engine"
ACCOUNTS = 10_000
BATCH = 500


async def measure(service: Service, transfers: int) -> Row:
    """Return transfers a second, from the first append to the last one projected.

    The latencies are those of a batch, from handing it over to its commit.
    """
    await create_database(service, DATABASE)
    url = beside(service, DATABASE)
    await migrate(url)
    append = [url, str(transfers), str(ACCOUNTS), str(BATCH)]
    project = [url, str(transfers + _opened_by(transfers))]
    async with (
        children.ready("benchmarks.loads.engine", "append", *append) as appending,
        children.ready("benchmarks.loads.engine", "project", *project) as projecting,
    ):
        started = time.perf_counter()
        for process in (appending, projecting):
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        codes = await asyncio.gather(appending.wait(), projecting.wait())
        elapsed = time.perf_counter() - started
        assert appending.stdout is not None
        p50_ms, p99_ms = map(float, (await appending.stdout.read()).split())
    assert not any(codes), f"the engine's processes ended with {codes}"
    note = f"batches of {BATCH}, {ACCOUNTS:,} accounts; latency of a batch"
    return Row("engine, appended and projected", transfers / elapsed, 0.0, p50_ms, p99_ms, note)


def _opened_by(transfers: int) -> int:
    """Return how many accounts the same seeded choice opens, `world` included."""
    chosen = random.Random(1)
    return len({chosen.randrange(ACCOUNTS) for _ in range(transfers)}) + 1
