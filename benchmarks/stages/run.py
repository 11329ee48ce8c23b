"""The order of a run: TPC-B, both loads three times each, then every limit alone."""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

import msgspec

from benchmarks import service
from benchmarks.measures import batches
from benchmarks.measures.singles import CONNECTIONS
from benchmarks.peers import tpcb
from benchmarks.result import Run, Sizes
from benchmarks.stages import limits
from benchmarks.stages.budget import budget
from benchmarks.stages.limits import measuring as alone
from benchmarks.stages.measuring import measured, press_batches, press_singles
from command_side.writer.account_cache import LATE_EVENTS_MAX

T = TypeVar("T")
SINGLES = f"A transfer a request, {CONNECTIONS} connections"
BATCHES = f"{batches.SIZE} a request, {batches.CONNECTIONS} connections"


class Step(Protocol):
    """Says on standard error what is measured, and how long it took."""

    async def __call__(self, name: str, work: Awaitable[T], /) -> T:
        """Return what `work` returns."""


async def measure(run: Run, sizes: Sizes, step: Step) -> None:
    """Put the budgets of both loads, the limits, and TPC-B beside them, into `run`."""
    async with service.running() as bench:
        await step("preparing", tpcb.prepare(bench))
        short = msgspec.structs.replace(sizes, seconds=sizes.stages_s, warm_up_s=1)
        run.rows.append(await step("pgbench TPC-B", tpcb.measure(bench, short)))
        await step("opening accounts", batches.open_accounts(bench))
        # Accounts are stored late: from now on, as often as for ever.
        await step("until accounts are stored", press_batches(bench, LATE_EVENTS_MAX))
        seen = [
            await step(
                "a transfer a request",
                measured(bench, SINGLES, lambda: press_singles(bench, sizes.stages_s)),
            ),
            await step(
                "batches",
                measured(bench, BATCHES, lambda: press_batches(bench, sizes.stages_transfers)),
            ),
        ]
        run.limits = await step(
            "limits", alone.measured(bench, sizes.stages_transfers, sizes.stages_s)
        )
    run.budgets = [
        budget(loaded, watched, limits.of_load(run.limits, batched=loaded.title == BATCHES))
        for loaded, watched in seen
    ]
