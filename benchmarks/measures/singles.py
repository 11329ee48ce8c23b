"""Single transfers over HTTP: each is durable before its 202."""

import itertools

import msgspec

from benchmarks.environment import Bench
from benchmarks.loads.singles import SinglesOptions
from benchmarks.loads.tally import Outcome
from benchmarks.measures.lag import sampling
from benchmarks.processes import run_module
from benchmarks.result import Row, Run, Sizes

KEY = "singles"
MANY_KEY = "singles-many"
CONNECTIONS = 64
MANY_CONNECTIONS = 512
ACCOUNTS = 10_000
# The share of the peak at which a well-run service works.
STEADY_SHARE = 0.7
LOAD = "benchmarks.loads.singles"
# A key is used once.
PREFIXES = itertools.count(1)


def load_options(
    bench: Bench,
    seconds: float,
    warm_up_s: float,
    *,
    connections: int = CONNECTIONS,
    accounts: int = ACCOUNTS,
    rate: float | None = None,
) -> SinglesOptions:
    """Return the options of a load: a closed loop, or an open one at `rate` a second."""
    return SinglesOptions(
        targets=bench.api_urls,
        token=bench.service.token,
        prefix=f"single-{next(PREFIXES)}",
        connections=connections,
        seconds=seconds,
        warm_up_s=warm_up_s,
        accounts=accounts,
        rate=rate,
    )


async def measure(bench: Bench, sizes: Sizes) -> list[Row]:
    """Return the closed loop's row, between 10,000 accounts, and its projection lag."""
    async with sampling(bench.service.database_url) as lags:
        options = load_options(bench, sizes.seconds, sizes.warm_up_s)
        outcome = await run_module(LOAD, options, Outcome)
    name = f"HTTP, a transfer a request, {CONNECTIONS} connections"
    lag = Row(
        key="singles-lag",
        name="  its projection lag, commit → readable",
        unit="",
        latency=lags.summary(),
    )
    return [_row(KEY, name, outcome), lag]


async def many(bench: Bench, sizes: Sizes) -> Row:
    """Return the same over 512 connections; more would only wait longer."""
    options = load_options(bench, sizes.seconds / 2, 1, connections=MANY_CONNECTIONS)
    outcome = await run_module(LOAD, options, Outcome)
    return _row(MANY_KEY, f"  over {MANY_CONNECTIONS} connections", outcome)


class Peak(msgspec.Struct, frozen=True):
    """The closed loop with the higher rate; a higher rate than this is overload."""

    connections: int
    rate: float


def peak(run: Run) -> Peak:
    """Return the number of connections with the highest accepted rate, and that rate."""
    loops = ((KEY, CONNECTIONS), (MANY_KEY, MANY_CONNECTIONS))
    rates = [(row.figure or 0.0, count) for key, count in loops if (row := run.row(key))]
    rate, connections = max(rates)
    assert rate, "no transfer was accepted; the notes of the rows give the statuses"
    return Peak(connections, rate)


async def hot(bench: Bench, sizes: Sizes) -> Row:
    """Return the same between 2 accounts."""
    outcome = await run_module(LOAD, load_options(bench, sizes.seconds / 2, 1, accounts=1), Outcome)
    return _row("singles-hot", "  between 2 accounts", outcome)


async def steady(bench: Bench, sizes: Sizes, peak_rate: float) -> list[Row]:
    """Return the open loop's row at 70 % of the peak, and its projection lag."""
    rate = STEADY_SHARE * peak_rate
    async with sampling(bench.service.database_url) as lags:
        options = load_options(bench, sizes.seconds, 1, connections=MANY_CONNECTIONS, rate=rate)
        outcome = await run_module(LOAD, options, Outcome)
    name = f"  open loop at {STEADY_SHARE:.0%} of the peak, {rate:,.0f}/s due"
    lag = Row(
        key="steady-lag",
        name="  its projection lag, commit → readable",
        unit="",
        latency=lags.summary(),
        note="goal: p99 ≤ 250 ms",
    )
    return [_row("steady", name, outcome), lag]


def _row(key: str, name: str, outcome: Outcome) -> Row:
    failed = sum(outcome.failures.values()) + outcome.shed + outcome.unsent
    note = f"{failed} of {outcome.due:,} failed; the load used {outcome.cpu_share:.0%} of a core"
    return Row(key=key, name=name, figure=outcome.per_second, latency=outcome.latency, note=note)
