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
from benchmarks.measures.singles import LOAD, asked
from benchmarks.result import Row, Sizes
from benchmarks.service import Bench
from daybook.seed import LEDGER
from events.vocabulary import transaction_id

TIMES = 4
CONNECTIONS = 4_000
WARM_UP_S = 1
# Another ledger, which asks for little meanwhile, and should not notice.
QUIET = "quiet"
QUIET_RATE = 20.0
QUIET_CONNECTIONS = 32


async def measure(bench: Bench, sizes: Sizes, peak: float) -> list[Row]:
    """Offer four times the peak in an open loop, and look up every accepted key in the log."""
    flood = asked(bench, sizes.overload_s, WARM_UP_S, connections=CONNECTIONS, rate=TIMES * peak)
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
    return [*_rows(outcome, peak, len(ids), missing), _quiet_row(quiet)]


def _quiet_row(quiet: Outcome) -> Row:
    failed = quiet.shed + quiet.unsent + sum(quiet.failures.values())
    return Row(
        key="overload-quiet",
        name=f"  another ledger meanwhile, {QUIET_RATE:.0f}/s due",
        figure=quiet.per_second,
        latency=quiet.latency,
        note=f"{failed} of {quiet.due} failed, {quiet.shed} of them by 503 with Retry-After",
    )


def _rows(outcome: Outcome, peak: float, accepted: int, missing: int) -> list[Row]:
    due = max(outcome.due, 1)
    other = ", ".join(f"{count:,} × {status}" for status, count in outcome.failures.items())
    return [
        Row(
            key="overload",
            name=f"overload: {TIMES} × the peak offered, accepted",
            figure=outcome.per_second,
            latency=outcome.latency,
            note=f"{outcome.per_second / peak:.2f} × the peak; {TIMES * peak:,.0f}/s due over "
            f"{CONNECTIONS:,} connections; the load took {outcome.cpu_share:.0%} of a core",
        ),
        Row(
            key="overload-service",
            name="  the same, from when they were sent",
            unit="",
            latency=outcome.service,
        ),
        Row(
            key="overload-shed",
            name="  503 with Retry-After",
            figure=100 * outcome.shed / due,
            unit="% of those due",
            latency=outcome.shed_latency,
            note=f"accepted {100 * outcome.accepted / due:.1f} %; no connection within a second "
            f"{100 * outcome.unsent / due:.1f} %; anything else: {other or 'none'}",
        ),
        Row(
            key="overload-lost",
            name="  accepted and not in the log",
            figure=missing,
            unit="transfers",
            note=f"of {accepted:,} accepted keys, looked up in SQL",
        ),
    ]
