"""HTTP, a transfer a request: durable before each 202, everything on."""

import sys

import msgspec

from benchmarks.children import output
from benchmarks.loads.singles import Outcome
from benchmarks.measures.lag import Lag, watching
from benchmarks.result import Sizes
from daybook.up import Service

CONNECTIONS = 64
ACCOUNTS = 10_000


async def measure(service: Service, sizes: Sizes) -> tuple[Outcome, Lag]:
    """Return the load's outcome and the projection's lag under it."""
    await _load(service, sizes.warm_up_s, "warm")
    async with watching(service.database_url) as lags:
        outcome = await _load(service, sizes.seconds, "load")
    return outcome, lags.summary()


async def _load(service: Service, seconds: int, prefix: str) -> Outcome:
    arguments = [service.url, service.token, CONNECTIONS, seconds, ACCOUNTS, prefix]
    text = await output(
        sys.executable, "-m", "benchmarks.loads.singles", *(str(argument) for argument in arguments)
    )
    return msgspec.json.decode(text, type=Outcome)
