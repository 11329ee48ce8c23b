"""Overload: four times the peak rate. What is accepted and refused, and that nothing is lost.

One ledger sends the overload. Another one sends little and shows whether it has to wait.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks import environment
from benchmarks.environment import Bench
from benchmarks.loads.tally import Outcome
from benchmarks.measures.singles import LOAD, Peak, load_options
from benchmarks.processes import run_module
from benchmarks.result import Row, Sizes
from daybook.embedded.seed import LEDGER
from events.types import transaction_id

TIMES = 4
# Below and above the number of requests that a process lets wait.
CONNECTIONS = (2_000, 4_000)
WARM_UP_S = 1
# The other ledger, which should not notice the overload.
QUIET = "quiet"
QUIET_RATE = 20.0
QUIET_CONNECTIONS = 256


async def measure(bench: Bench, sizes: Sizes, peak: Peak, connections: int) -> list[Row]:
    """Send four times the peak in an open loop, and look up every accepted key in the log.

    The peak was measured minutes ago, and machines drift, so its closed loop runs again before and
    after.
    """
    before = await _closed_loop_rate(bench, sizes, peak)
    rate = TIMES * peak.rate
    flood = load_options(bench, sizes.overload_s, WARM_UP_S, connections=connections, rate=rate)
    little = load_options(
        bench, sizes.overload_s, WARM_UP_S, connections=QUIET_CONNECTIONS, rate=QUIET_RATE
    )
    little = msgspec.structs.replace(little, token=await environment.new_token(bench, QUIET))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "accepted.json"
        flood = msgspec.structs.replace(flood, accepted_file=str(file))
        outcome, quiet = await asyncio.gather(
            run_module(LOAD, flood, Outcome), run_module(LOAD, little, Outcome)
        )
        numbers = msgspec.json.decode(file.read_bytes(), type=list[int])
    ids = [transaction_id(LEDGER, f"{flood.prefix}-{number}") for number in numbers]
    missing = await environment.count_missing(bench, ids)
    await environment.wait_for_readers(bench)
    after = await _closed_loop_rate(bench, sizes, peak)
    return [
        *_rows(f"overload-{connections}", connections, outcome, rate),
        Row(
            key=f"overload-{connections}-beside",
            name=f"  the closed loop over {peak.connections} connections beside",
            figure=(before + after) / 2,
            note=f"{before:,.0f} before, {after:,.0f} after",
        ),
        Row(
            key=f"overload-{connections}-lost",
            name="  accepted and not in the log",
            figure=missing,
            unit="transfers",
            note=f"of {len(ids):,} accepted keys, looked up in SQL",
        ),
        Row(
            key=f"overload-{connections}-quiet",
            name=f"  another ledger meanwhile, {QUIET_RATE:.0f}/s due",
            figure=quiet.per_second,
            latency=quiet.latency,
            note=_outcome_shares(quiet),
        ),
    ]


async def _closed_loop_rate(bench: Bench, sizes: Sizes, peak: Peak) -> float:
    options = load_options(bench, sizes.point_s, WARM_UP_S, connections=peak.connections)
    outcome = await run_module(LOAD, options, Outcome)
    await environment.wait_for_readers(bench)
    return outcome.per_second


def _rows(key: str, connections: int, outcome: Outcome, rate: float) -> list[Row]:
    return [
        Row(
            key=key,
            name=f"overload over {connections:,} connections, accepted",
            figure=outcome.per_second,
            latency=outcome.latency,
            note=f"{rate:,.0f}/s due; the load used {outcome.cpu_share:.0%} of a core",
        ),
        Row(
            key=f"{key}-service",
            name="  the same, counted from sending",
            unit="",
            latency=outcome.service,
        ),
        Row(
            key=f"{key}-shed",
            name="  503 with Retry-After",
            figure=100 * outcome.shed / max(outcome.due, 1),
            unit="% of those due",
            latency=outcome.shed_latency,
            note=_outcome_shares(outcome),
        ),
    ]


def _outcome_shares(outcome: Outcome) -> str:
    """Return the shares of accepted, refused and unsent requests, and the other statuses."""
    due = max(outcome.due, 1)
    other = ", ".join(f"{count:,} × {status}" for status, count in outcome.failures.items())
    return (
        f"of {outcome.due:,}: {outcome.accepted / due:.1%} accepted, {outcome.shed / due:.1%} 503, "
        f"{outcome.unsent / due:.1%} no connection within a second; else: {other or 'none'}"
    )
