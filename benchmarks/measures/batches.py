"""HTTP, batches: from the first byte sent until the last transfer is published and readable."""

import sys
import time

import msgspec

from benchmarks.children import output
from benchmarks.loads import batches as load
from benchmarks.result import Row
from benchmarks.service import everybody_at_the_head
from daybook.up import Service

CONNECTIONS = 4
ACCOUNTS = 10_000
OPENINGS = 3  # Transfers for each account: only one in twenty is then still to be opened.
OPENING_BATCH = 500


async def measure(service: Service, name: str, transfers: int, size: int, accounts: int) -> Row:
    """Return transfers a second, from the first byte sent to the last one readable.

    The latencies are those of a request. The process that sends prepares everything first.
    """
    outcome = await _load(service, transfers, size, accounts, f"{size}-{accounts}")
    elapsed = time.time() - outcome.started
    note = f"{CONNECTIONS} connections, everything on; latency of a request"
    return Row(name, transfers / elapsed, None, outcome.p50_ms, outcome.p99_ms, note)


async def open_accounts(service: Service) -> None:
    """Let the batches' accounts be there, as those of the single transfers are."""
    await _load(service, OPENINGS * ACCOUNTS, OPENING_BATCH, ACCOUNTS, "open")


async def _load(
    service: Service, transfers: int, size: int, accounts: int, prefix: str
) -> load.Outcome:
    arguments = [service.url, service.token, CONNECTIONS, transfers, size]
    text = await output(
        sys.executable,
        "-m",
        "benchmarks.loads.batches",
        *(str(argument) for argument in (*arguments, accounts, prefix)),
    )
    outcome = msgspec.json.decode(text, type=load.Outcome)
    assert outcome.accepted == transfers, f"{outcome.accepted} of {transfers} were accepted"
    await everybody_at_the_head(service)
    return outcome
