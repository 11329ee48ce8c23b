"""Sweeps for the plots: batch size, connections, accounts and API processes vary in turn."""

from benchmarks import environment
from benchmarks.environment import Bench
from benchmarks.loads.tally import Outcome
from benchmarks.measures import batches, singles
from benchmarks.processes import run_module
from benchmarks.result import Point, Sizes, Sweep

BATCH_SIZES = (1, 10, 50, 100, 500, 1_000, 5_000)
CONNECTIONS = (1, 4, 16, 64, 256)
ACCOUNTS = (1, 100, 10_000, 100_000)
PROCESSES = (1, 2, 3)
# A point sends a part of a row's transfers, and a smaller part if a request carries few.
POINT_PART, SMALL_POINT_PART, SMALL_BATCH_MAX = 4, 20, 10
WARM_UP_S = 1


async def by_batch_size(bench: Bench, sizes: Sizes) -> Sweep:
    """Return transfers a second and the latency of a request, by the transfers in it."""
    points = []
    for size in BATCH_SIZES:
        part = SMALL_POINT_PART if size <= SMALL_BATCH_MAX else POINT_PART
        transfers = max(size, sizes.batch_transfers // part)
        row = await batches.measure(bench, "", "", transfers=transfers, size=size)
        assert row.figure is not None
        points.append(Point(size, row.figure, row.latency))
    title = f"HTTP batches, {batches.CONNECTIONS} connections, until readable"
    return Sweep("batch", title, "transfers a request", points)


async def by_connections(bench: Bench, sizes: Sizes) -> Sweep:
    """Return the rate of single transfers by the number of connections."""
    points = [await _single(bench, sizes, count, connections=count) for count in CONNECTIONS]
    return Sweep("connections", "HTTP, a transfer a request", "connections", points)


async def by_accounts(bench: Bench, sizes: Sizes) -> Sweep:
    """Return the rate by the number of accounts on each side; the load opens missing ones."""
    points = [await _single(bench, sizes, count, accounts=count) for count in ACCOUNTS]
    title = f"HTTP, a transfer a request, {singles.CONNECTIONS} connections"
    return Sweep("accounts", title, "accounts on each side", points)


async def by_processes(sizes: Sizes) -> Sweep:
    """Return the rate by the number of API processes, each time on new servers."""
    points = []
    for count in PROCESSES:
        async with environment.running(apis=count) as bench:
            await batches.open_accounts(bench)
            points.append(await _single(bench, sizes, count))
    title = f"HTTP, a transfer a request, {singles.CONNECTIONS} connections"
    return Sweep("processes", title, "API processes", points)


async def _single(bench: Bench, sizes: Sizes, x: int, **varied: int) -> Point:
    options = singles.load_options(bench, sizes.point_s, WARM_UP_S, **varied)
    outcome = await run_module(singles.LOAD, options, Outcome)
    return Point(x, outcome.per_second, outcome.latency)
