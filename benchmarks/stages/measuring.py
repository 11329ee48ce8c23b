"""A load three times: as it is, with its processes sampled, and with its statements logged.

Watching costs, so only shares are taken from what is sampled, and PostgreSQL's own count of each
statement from what is logged; what a transfer takes is counted while nobody watches.
"""

from collections.abc import Awaitable, Callable

import msgspec

from benchmarks import service
from benchmarks.children import told
from benchmarks.loads.tally import Outcome
from benchmarks.measures import batches, singles
from benchmarks.service import SQL, Bench
from benchmarks.spent import Usage, usage
from benchmarks.stages import logged, spied, statements
from benchmarks.stages.budget import Loaded, Watched
from benchmarks.stages.places import PLACES
from runtime import database

EXTENSION = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"


class Pressed(msgspec.Struct, frozen=True):
    """What a load itself says: transfers a second, and its own CPU for each, if it counts that."""

    per_second: float
    generator_us: float | None = None


Load = Callable[[], Awaitable[Pressed]]


async def measured(bench: Bench, title: str, load: Load) -> tuple[Loaded, Watched]:
    """Press three times with `load`, which makes one event a transfer."""
    loaded = await _loaded(bench, title, load)
    pids = bench.service.pids()
    async with spied.watching({name: pids[name] for name in PLACES}) as samples:
        await _pressed(bench, load)
    async with logged.watching(bench) as postgres_s:
        used = await _pressed(bench, load)
    return loaded, Watched(samples=samples, logged=used, postgres_s=postgres_s)


async def press_singles(bench: Bench, seconds: int) -> Pressed:
    """Send a transfer a request over 64 connections."""
    outcome = await told(singles.LOAD, singles.asked(bench, seconds, 1), Outcome)
    assert outcome.accepted, f"no transfer was accepted, but answered: {outcome.failures}"
    return Pressed(outcome.per_second, 1e6 * outcome.cpu_share / outcome.per_second)


async def press_batches(bench: Bench, transfers: int) -> Pressed:
    """Send 500 transfers a request over 4 connections, until the last one is readable."""
    row = await batches.measure(bench, batches.KEY, "", transfers=transfers)
    assert row.figure is not None
    return Pressed(row.figure)


async def _loaded(bench: Bench, title: str, load: Load) -> Loaded:
    counted = await _count_statements(bench)
    before = await usage(bench)
    pressed = await load()
    await service.everybody_at_the_head(bench)
    return Loaded(
        title=title,
        per_second=pressed.per_second,
        generator_us=pressed.generator_us,
        used=(await usage(bench)).since(before),
        wal_bytes=await _wal_bytes(bench) if counted else None,
    )


async def _pressed(bench: Bench, load: Load) -> Usage:
    """Press until everybody has read everything; return what that took."""
    before = await usage(bench)
    await load()
    await service.everybody_at_the_head(bench)
    return (await usage(bench)).since(before)


async def _count_statements(bench: Bench) -> bool:
    """Count statements anew; return whether this server can."""
    connection = await database.connect(bench.service.database_url)
    try:
        if not await connection.fetchval(SQL["statements_counted"]):
            return False
        await connection.execute(EXTENSION)
        await connection.execute(SQL["reset_statements"])
        return True
    finally:
        await connection.close()


async def _wal_bytes(bench: Bench) -> dict[str, int]:
    connection = await database.connect(bench.service.database_url)
    try:
        rows = await connection.fetch(SQL["statements"])
    finally:
        await connection.close()
    found: dict[str, int] = {}
    for row in rows:
        stage = statements.stage_of(row["role"], row["query"])
        found[stage] = found.get(stage, 0) + row["wal_bytes"]
    return found
