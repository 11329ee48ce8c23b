"""The engine: batches of commands, appended and projected at the same time, without HTTP."""

import asyncio
import random
import time

import msgspec

from benchmarks import children, service
from benchmarks.latency import Latency
from benchmarks.loads.long_log import write
from benchmarks.result import Point, Row, Sizes, Sweep
from benchmarks.service import Bench
from events import checkpoints, log
from runtime import database
from runtime.migrate import migrate

KEY = "engine"
DATABASE = "bench_engine"
ACCOUNTS = 10_000
BATCH = 500
LOAD = "benchmarks.loads.engine"


async def by_length(bench: Bench, sizes: Sizes) -> Sweep:
    """Return the rate with an empty log, with long ones, and with an empty one again.

    Transfers a second, from the first append to the last one projected; the latencies are those of
    a batch, from handing it over to its commit. Everything in a long log is projected before its
    clock starts. The point at 0 is the mean of both, since shared machines drift.
    """
    empty = await _at(bench, 0, sizes.engine_transfers)
    longer = [await _at(bench, length, sizes.engine_transfers) for length in sizes.log_transfers]
    if longer:
        after = await _at(bench, 0, sizes.engine_transfers)
        empty = Point(0, (empty.per_second + after.per_second) / 2, after.latency)
    title = f"Engine, batches of {BATCH}, by the length of the log"
    return Sweep("log", title, "transfers in the log", [empty, *longer])


def rows(sweep: Sweep) -> list[Row]:
    """Return a row for the empty log, and one for each longer one."""
    empty, *longer = sweep.points
    first = Row(
        key=KEY,
        name="engine, appended and projected",
        figure=empty.per_second,
        latency=empty.latency,
        note=f"batches of {BATCH}, {ACCOUNTS:,} accounts; latency of a batch",
    )
    return [
        first,
        *(
            Row(
                # The longest is what the goal is about.
                key="engine-long" if point is longer[-1] else f"engine-{point.x}",
                name=f"  with {point.x:,} transfers in the log",
                figure=point.per_second,
                latency=point.latency,
            )
            for point in longer
        ),
    ]


async def _at(bench: Bench, length: int, transfers: int) -> Point:
    url = await service.create_database(bench, DATABASE)
    await migrate(url)
    position = 0
    if length:
        await write(url, length)
        position = await _project_all(url)
    per_second, latency = await _press(url, position, transfers)
    await service.drop_database(bench, DATABASE)
    return Point(length, per_second, latency)


async def _press(url: str, position: int, transfers: int) -> tuple[float, Latency]:
    append = [url, str(transfers), str(ACCOUNTS), str(BATCH)]
    project = [url, str(position + transfers + _opened_by(transfers))]
    async with (
        children.ready(LOAD, "append", *append) as appending,
        children.ready(LOAD, "project", *project) as projecting,
    ):
        started = time.perf_counter()
        for process in (appending, projecting):
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        codes = await asyncio.gather(appending.wait(), projecting.wait())
        elapsed = time.perf_counter() - started
        assert appending.stdout is not None
        seen = msgspec.json.decode(await appending.stdout.read(), type=Latency)
    assert not any(codes), f"the engine's processes ended with {codes}"
    return transfers / elapsed, seen


async def _project_all(url: str) -> int:
    """Let the projector come to the end of the log; return the position of that."""
    connection = await database.connect(url)
    head = (await log.head(connection)).position
    async with children.ready(LOAD, "project", url, str(head)) as projecting:
        assert projecting.stdin is not None
        projecting.stdin.write(b"go\n")
        await projecting.wait()
    assert await checkpoints.read(connection, checkpoints.PROJECTOR) == head
    await connection.close()
    return head


def _opened_by(transfers: int) -> int:
    """Return how many accounts the same seeded choice opens, `world` included."""
    chosen = random.Random(1)
    return len({chosen.randrange(ACCOUNTS) for _ in range(transfers)}) + 1
