"""The engine without HTTP: one process appends batches of commands while another projects."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from benchmarks import environment, processes
from benchmarks.environment import Bench
from benchmarks.latency import Latency
from benchmarks.loads.long_log import write_long_log
from benchmarks.result import Point, Row, Sizes, Sweep
from daybook.migrations.migrate import migrate
from events import log
from runtime import database

KEY = "engine"
DATABASE = "bench_engine"
LONG_DATABASE = "bench_engine_long"
ACCOUNTS = 10_000
BATCH = 500
# How often each length is measured, in turn with an empty log.
TURNS = 2
LOAD = "benchmarks.loads.engine"


async def by_length(bench: Bench, sizes: Sizes) -> Sweep:
    """Return the rate with an empty log and with long ones.

    A rate is transfers a second, from the first append until the last one is projected. Latencies
    are those of a batch, until its commit. Before the clock starts, all accounts are open, and
    everything is projected, vacuumed and checkpointed. The transfers are of the same ledger as the
    long log. Because shared machines drift, an empty log and a long one are measured in turn; a
    point is the mean of its rates.
    """
    empty, longer = [], []
    for length in sizes.log_transfers:
        url = await _prepare_database(bench, LONG_DATABASE, length)
        pressed = []
        for begin in range(0, TURNS * sizes.engine_transfers, sizes.engine_transfers):
            empty.append(await _empty(bench, sizes.engine_transfers))
            pressed.append(await _press(url, length, sizes.engine_transfers, begin))
        longer.append(_mean(pressed))
        await environment.drop_database(bench, LONG_DATABASE)
    empty.append(await _empty(bench, sizes.engine_transfers))
    title = f"Engine, batches of {BATCH}, by the length of the log"
    return Sweep("log", title, "transfers in the log", [_mean(empty), *longer])


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
                # The goal is about the longest log.
                key="engine-long" if point is longer[-1] else f"engine-{point.x}",
                name=f"  with {point.x:,} transfers in the log",
                figure=point.per_second,
                latency=point.latency,
            )
            for point in longer
        ),
    ]


def _mean(pressed: Sequence[Point]) -> Point:
    """Return the mean of the rates, with the latencies of the last measure."""
    rate = sum(point.per_second for point in pressed) / len(pressed)
    return msgspec.structs.replace(pressed[-1], per_second=rate)


async def _empty(bench: Bench, transfers: int) -> Point:
    url = await _prepare_database(bench, DATABASE, 0)
    point = await _press(url, 0, transfers, 0)
    await environment.drop_database(bench, DATABASE)
    return point


async def _prepare_database(bench: Bench, database_name: str, length: int) -> str:
    """Return the URL of a database with open accounts and `length` transfers, projected.

    It is projected while it grows, as in production, so that the same pages are in memory.
    """
    url = await environment.create_database(bench, database_name)
    await migrate(url)
    async for position in write_long_log(url, length):
        await _project(url, position)
    await environment.execute(url, "VACUUM ANALYZE", "CHECKPOINT")
    return url


async def _press(url: str, length: int, transfers: int, begin: int) -> Point:
    """Append and project `transfers` transfers, numbered from `begin` on."""
    until = await _head(url) + transfers
    append = [url, str(begin), str(transfers), str(ACCOUNTS), str(BATCH)]
    async with (
        processes.started(LOAD, "append", *append) as appending,
        processes.started(LOAD, "project", url, str(until)) as projecting,
    ):
        started = time.perf_counter()
        for process in (appending, projecting):
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        codes = await asyncio.gather(appending.wait(), projecting.wait())
        elapsed = time.perf_counter() - started
        assert appending.stdout is not None
        latencies = msgspec.json.decode(await appending.stdout.read(), type=Latency)
    assert not any(codes), f"the engine's processes ended with {codes}"
    return Point(length, transfers / elapsed, latencies)


async def _head(url: str) -> int:
    connection = await database.connect(url)
    head = await log.head(connection)
    await connection.close()
    return head.position


async def _project(url: str, until: int) -> None:
    """Project the log up to the position `until`."""
    async with processes.started(LOAD, "project", url, str(until)) as projecting:
        assert projecting.stdin is not None
        projecting.stdin.write(b"go\n")
        code = await projecting.wait()
    assert not code, f"the projector ended with {code}"
