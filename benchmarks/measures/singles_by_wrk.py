"""The closed loop of singles, sent by wrk, an independent load generator."""

from pathlib import Path

import msgspec

from benchmarks.environment import Bench
from benchmarks.latency import Latency
from benchmarks.measures.singles import ACCOUNTS, CONNECTIONS
from benchmarks.processes import run_program
from benchmarks.result import Row, Sizes

SCRIPT = Path(__file__).parent.parent / "loads" / "wrk.lua"


class WrkResult(msgspec.Struct, frozen=True):
    """The last line that the script prints."""

    requests: int
    seconds: float
    failures: int
    p50_ms: float
    p99_ms: float


async def measure(bench: Bench, wrk: str, sizes: Sizes) -> Row:
    """Return the row that the program `wrk` measured."""
    options = ("-t", "1", "-c", str(CONNECTIONS), "-d", f"{sizes.seconds}s", "-s", str(SCRIPT))
    arguments = ("--", "wrk", bench.service.token, str(ACCOUNTS))
    text = await run_program(wrk, *options, bench.api_urls[0], *arguments)
    result = msgspec.json.decode(text.splitlines()[-1], type=WrkResult)
    return Row(
        key="singles-wrk",
        name="  the same, sent by wrk",
        figure=result.requests / result.seconds,
        latency=Latency(result.requests, p50_ms=result.p50_ms, p99_ms=result.p99_ms),
        note=f"{result.failures} of {result.requests:,} failed",
    )
