"""Batches over HTTP, from the first byte sent until all are published and readable."""

import itertools
import time

from benchmarks.environment import Bench, wait_for_readers
from benchmarks.loads.batches import BatchesOptions, BatchesOutcome
from benchmarks.processes import run_module
from benchmarks.result import Row

KEY = "batch-500"
CONNECTIONS = 4
ACCOUNTS = 10_000
SIZE = 500
LARGE = 5_000
PREFIXES = itertools.count(1)


async def measure(
    bench: Bench, key: str, name: str, *, transfers: int, size: int = SIZE, accounts: int = ACCOUNTS
) -> Row:
    """Return transfers a second, from the first byte sent until all are readable.

    The latencies are those of a request. The load prepares all requests before it starts.
    """
    options = BatchesOptions(
        target=bench.service.url,
        token=bench.service.token,
        prefix=f"batch-{next(PREFIXES)}",
        connections=CONNECTIONS,
        transfers=transfers,
        size=size,
        accounts=accounts,
    )
    outcome = await _press(bench, options)
    elapsed = time.time() - outcome.started
    note = f"{CONNECTIONS} connections; latency of a request"
    return Row(key=key, name=name, figure=transfers / elapsed, latency=outcome.latency, note=note)


async def open_accounts(bench: Bench) -> None:
    """Open all accounts, by a transfer to each, before anything is measured."""
    options = BatchesOptions(
        target=bench.service.url,
        token=bench.service.token,
        prefix="open",
        connections=CONNECTIONS,
        transfers=ACCOUNTS,
        size=SIZE,
        accounts=ACCOUNTS,
        in_turn=True,
    )
    await _press(bench, options)


async def _press(bench: Bench, options: BatchesOptions) -> BatchesOutcome:
    """Send everything, and return once all of it is readable."""
    outcome = await run_module("benchmarks.loads.batches", options, BatchesOutcome)
    assert outcome.accepted == options.transfers, (
        f"{outcome.accepted} of {options.transfers} were accepted"
    )
    await wait_for_readers(bench)
    return outcome
