"""HTTP, batches: from the first byte sent until the last transfer is published and readable."""

import itertools
import time

from benchmarks.children import told
from benchmarks.loads.batches import Asked, Outcome
from benchmarks.result import Row
from benchmarks.service import Bench, everybody_at_the_head

KEY = "batch-500"
CONNECTIONS = 4
ACCOUNTS = 10_000
SIZE = 500
LARGE = 5_000
PREFIXES = itertools.count(1)


async def measure(
    bench: Bench, key: str, name: str, *, transfers: int, size: int = SIZE, accounts: int = ACCOUNTS
) -> Row:
    """Return transfers a second, from the first byte sent to the last one readable.

    The latencies are those of a request. The process that sends prepares everything first.
    """
    asked = Asked(
        target=bench.service.url,
        token=bench.service.token,
        prefix=f"batch-{next(PREFIXES)}",
        connections=CONNECTIONS,
        transfers=transfers,
        size=size,
        accounts=accounts,
    )
    outcome = await _press(bench, asked)
    elapsed = time.time() - outcome.started
    note = f"{CONNECTIONS} connections; latency of a request"
    return Row(key=key, name=name, figure=transfers / elapsed, latency=outcome.latency, note=note)


async def open_accounts(bench: Bench) -> None:
    """Let all accounts be there before anything is measured: each gets one transfer."""
    asked = Asked(
        target=bench.service.url,
        token=bench.service.token,
        prefix="open",
        connections=CONNECTIONS,
        transfers=ACCOUNTS,
        size=SIZE,
        accounts=ACCOUNTS,
        in_turn=True,
    )
    await _press(bench, asked)


async def _press(bench: Bench, asked: Asked) -> Outcome:
    """Send everything, and return once it can be read."""
    outcome = await told("benchmarks.loads.batches", asked, Outcome)
    assert outcome.accepted == asked.transfers, (
        f"{outcome.accepted} of {asked.transfers} were accepted"
    )
    await everybody_at_the_head(bench)
    return outcome
