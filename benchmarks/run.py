"""The order of a run.

1  pgbench TPC-B              the same PostgreSQL, the same settings, a database of its own
2  HTTP, a transfer a request 64 connections; durable before each 202; Valkey, relay, SQS API
                              and projection all on; the load generator on the same cores
3  HTTP, batches              500 and 5,000 transfers a request, from the first byte sent until
                              the last one is published and readable; 500 a request between
                              10,000 accounts and between 2
4  engine                     batches of 500 commands, appended and projected at the same time
5  pgbench TPC-B again        the ratios use the mean of both, since shared machines drift
6  HTTP, 500 a request        with the auditor and the sealer beside, which 2 to 4 have not:
                              what it costs on the same cores
7  auditing                   on a PostgreSQL of its own (see measures/auditing.py)
"""

from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from benchmarks.measures import auditing, batches, engine, singles
from benchmarks.peers import tpcb
from benchmarks.result import Row, Sizes
from benchmarks.service import MEASURED
from daybook.up import embedded

BATCHES = (
    ("HTTP, 5,000 a request", 5_000, batches.ACCOUNTS),
    ("HTTP, 500 a request", 500, batches.ACCOUNTS),
    ("  between 2 accounts", 500, 1),
)
AUDITED = "  audited and sealed, too"
T = TypeVar("T")


async def measure(sizes: Sizes) -> list[Row]:
    """Return the rows of a run, in the order of the table."""
    async with embedded(Path(), 0, ephemeral=True, programs=MEASURED) as service:
        before = await _shown("pgbench TPC-B", tpcb.measure(service, sizes))
        http, lag = await _shown("HTTP, a transfer a request", singles.measure(service, sizes))
        await _shown("opening accounts", batches.open_accounts(service))
        batched = [
            await _shown(
                name, batches.measure(service, name, sizes.batch_transfers, size, accounts)
            )
            for name, size, accounts in BATCHES
        ]
        appended = await _shown("engine", engine.measure(service, sizes.engine_transfers))
        after = await _shown("pgbench TPC-B again", tpcb.measure(service, sizes))
    async with embedded(Path(), 0, ephemeral=True) as service:
        await _shown("opening accounts", batches.open_accounts(service))
        measuring = batches.measure(
            service, AUDITED, sizes.batch_transfers, engine.BATCH, batches.ACCOUNTS
        )
        audited = await _shown(AUDITED, measuring)
    assert before.per_second is not None
    assert after.per_second is not None
    base = (before.per_second + after.per_second) / 2
    both = f"{before.per_second:,.0f} before, {after.per_second:,.0f} after"
    tpcb_row = Row(
        "pgbench TPC-B",
        base,
        1.0,
        before.p50_ms,
        before.p99_ms,
        f"{tpcb.CLIENTS} clients; {both}",
    )
    http_row = Row(
        "HTTP, a transfer a request",
        http.per_second,
        http.per_second / base,
        http.p50_ms,
        http.p99_ms,
        f"{singles.CONNECTIONS} connections; {http.failures} failures",
    )
    lag_row = Row("  its projection lag", None, None, lag.p50_ms, lag.p99_ms, "commit → readable")
    for row in (*batched, audited, appended):
        assert row.per_second is not None
        row.ratio = row.per_second / base
    spread, hot = (row.per_second or 0.0 for row in batched[-2:])
    batched[-1].note += f"; {hot / spread:.2f} x that between 10,000"
    audited.note += f"; {(audited.per_second or 0.0) / spread:.2f} x that without"
    return [tpcb_row, http_row, lag_row, *batched, audited, appended]


async def audit(lengths: list[int]) -> dict[int, dict[str, float]]:
    """Return what auditing costs, for logs of so many transfers."""
    with Console(stderr=True).status("auditing …") as status:
        costs = await auditing.measure(lengths, lambda step: status.update(f"auditing: {step} …"))
    return {size: auditing.figures(of_size) for size, of_size in costs.items()}


async def _shown(name: str, work: Awaitable[T]) -> T:
    with Console(stderr=True).status(f"measuring: {name} …"):
        return await work
