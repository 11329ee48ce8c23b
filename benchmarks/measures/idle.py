"""The resources that Daybook uses without requests."""

import asyncio

from benchmarks.environment import Bench
from benchmarks.result import Row, Sizes
from benchmarks.usage import Usage, read_usage

SETTLED_S = 2


async def measure(bench: Bench, sizes: Sizes) -> tuple[Usage, list[Row]]:
    """Return the resources used in some idle seconds, and a row for each process."""
    await asyncio.sleep(SETTLED_S)
    before = await read_usage(bench)
    await asyncio.sleep(sizes.idle_s)
    idle = (await read_usage(bench)).since(before)
    received = idle.sqs.get("ReceiveMessage", {}).get("requests", 0)
    requests = f"{idle.sqs_total('requests'):.0f} SQS requests, {received:.0f} of them receives"
    shares = {name: 100 * cpu_s / idle.seconds for name, cpu_s in idle.cpu_s.items()}
    rows = [
        Row(
            key="idle",
            name=f"idle for {sizes.idle_s} s, all processes",
            figure=sum(shares.values()),
            unit="% of a core",
            note=f"{sum(idle.memory_mb.values()):,.0f} MB; {requests}",
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
