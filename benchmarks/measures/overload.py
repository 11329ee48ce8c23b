"""Four times as much as it can do: what is done, what is refused, and that nothing is lost.

One ledger floods; another, which asks for little, shows whether it has to wait for that.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks import service
from benchmarks.children import told
from benchmarks.loads.tally import Outcome
from benchmarks.measures.singles import LOAD, Peak, asked
from benchmarks.result import Row, Sizes
from benchmarks.service import Bench
from daybook.embedded.seed import LEDGER
from events.types import transaction_id

TIMES = 4
# Fewer than a process lets wait for its commits, and more than that.
CONNECTIONS = (2_000, 4_000)
WARM_UP_S = 1
# Another ledger, which asks for little meanwhile, and should not notice.
QUIET = "quiet"
QUIET_RATE = 20.0
QUIET_CONNECTIONS = 256


async def measure(bench: Bench, sizes: Sizes, peak: Peak, connections: int) -> list[Row]:
    """Offer four times the peak in an open loop, and look up every accepted key in the log.

    The peak was minutes ago, and machines drift; so its closed loop is pressed before and after.
    """
    before = await _closed(bench, sizes, peak)
    rate = TIMES * peak.rate
    flood = asked(bench, sizes.overload_s, WARM_UP_S, connections=connections, rate=rate)
    little = asked(
        bench, sizes.overload_s, WARM_UP_S, connections=QUIET_CONNECTIONS, rate=QUIET_RATE
    )
    little = msgspec.structs.replace(little, token=await service.token(bench, QUIET))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "accepted.json"
        flood = msgspec.structs.replace(flood, accepted_file=str(file))
        outcome, quiet = await asyncio.gather(
            told(LOAD, flood, Outcome), told(LOAD, little, Outcome)
        )
        numbers = msgspec.json.decode(file.read_bytes(), type=list[int])
    ids = [transaction_id(LEDGER, f"{flood.prefix}-{number}") for number in numbers]
    missing = await service.missing(bench, ids)
    await service.everybody_at_the_head(bench)
    after = await _closed(bench, sizes, peak)
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
            note=_shares(quiet),
        ),
    ]


async def _closed(bench: Bench, sizes: Sizes, peak: Peak) -> float:
    asking = asked(bench, sizes.point_s, WARM_UP_S, connections=peak.connections)
    outcome = await told(LOAD, asking, Outcome)
    await service.everybody_at_the_head(bench)
    return outcome.per_second


def _rows(key: str, connections: int, outcome: Outcome, rate: float) -> list[Row]:
    return [
        Row(
            key=key,
            name=f"overload over {connections:,} connections, accepted",
            figure=outcome.per_second,
            latency=outcome.latency,
            note=f"{rate:,.0f}/s due; the load took {outcome.cpu_share:.0%} of a core",
        ),
        Row(
            key=f"{key}-service",
            name="  the same, from when they were sent",
            unit="",
            latency=outcome.service,
        ),
        Row(
            key=f"{key}-shed",
            name="  503 with Retry-After",
            figure=100 * outcome.shed / max(outcome.due, 1),
            unit="% of those due",
            latency=outcome.shed_latency,
            note=_shares(outcome),
        ),
    ]


def _shares(outcome: Outcome) -> str:
    """Say what became of all that was due."""
    due = max(outcome.due, 1)
    other = ", ".join(f"{count:,} × {status}" for status, count in outcome.failures.items())
    return (
        f"of {outcome.due:,}: {outcome.accepted / due:.1%} accepted, {outcome.shed / due:.1%} 503, "
        f"{outcome.unsent / due:.1%} no connection within a second; else: {other or 'none'}"
    )
