"""What Daybook costs when nobody asks for anything."""

import asyncio

from benchmarks.result import Row, Sizes
from benchmarks.service import Bench
from benchmarks.spent import Usage, usage

SETTLED_S = 2


async def measure(bench: Bench, sizes: Sizes) -> tuple[Usage, list[Row]]:
    """Return what some idle seconds took, and a row for each process."""
    await asyncio.sleep(SETTLED_S)
    before = await usage(bench)
    await asyncio.sleep(sizes.idle_s)
    idle = (await usage(bench)).since(before)
    received = idle.sqs.get("ReceiveMessage", {}).get("requests", 0)
    asked = f"{idle.sqs_total('requests'):.0f} SQS requests, {received:.0f} of them receives"
    shares = {name: 100 * cpu_s / idle.seconds for name, cpu_s in idle.cpu_s.items()}
    rows = [
        Row(
            key="idle",
            name=f"idle for {sizes.idle_s} s, all processes",
            figure=sum(shares.values()),
            unit="% of a core",
            note=f"{sum(idle.memory_mb.values()):,.0f} MB; {asked}",
        )
    ]
    rows += [
        Row(
            key=f"idle-{name}",
            name=f"  {name}",
            figure=share,
            unit="% of a core",
            note=f"{idle.memory_mb[name]:,.0f} MB",
        )
        for name, share in shares.items()
    ]
    return idle, rows
