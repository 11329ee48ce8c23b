"""The closed loop again, by a generator that nobody here wrote: wrk, from the user's PATH."""

from pathlib import Path

import msgspec

from benchmarks.children import output
from benchmarks.latency import Latency
from benchmarks.measures.singles import ACCOUNTS, CONNECTIONS
from benchmarks.result import Row, Sizes
from benchmarks.service import Bench

SCRIPT = Path(__file__).parent.parent / "loads" / "wrk.lua"


class Seen(msgspec.Struct, frozen=True):
    """What the script's last line says."""

    requests: int
    seconds: float
    failures: int
    p50_ms: float
    p99_ms: float


async def measure(bench: Bench, wrk: str, sizes: Sizes) -> Row:
    """Return what `wrk` (a program) saw."""
    options = ("-t", "1", "-c", str(CONNECTIONS), "-d", f"{sizes.seconds}s", "-s", str(SCRIPT))
    arguments = ("--", "wrk", bench.service.token, str(ACCOUNTS))
    text = await output(wrk, *options, bench.api_urls[0], *arguments)
    seen = msgspec.json.decode(text.splitlines()[-1], type=Seen)
    return Row(
        key="singles-wrk",
        name="  the same, sent by wrk",
        figure=seen.requests / seen.seconds,
        latency=Latency(seen.requests, p50_ms=seen.p50_ms, p99_ms=seen.p99_ms),
        note=f"{seen.failures} of {seen.requests:,} failed",
    )
