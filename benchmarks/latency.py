"""Exact percentiles: every sample is kept, so no histogram is needed.

A run keeps at most a few million samples, and sorts them once.
"""

import math
from collections.abc import Sequence

import msgspec


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds; None where there was no sample."""

    samples: int = 0
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    max_ms: float | None = None


def latency(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of `seconds` by nearest rank: each is one of the samples."""
    if not seconds:
        return Latency()
    ordered = sorted(seconds)
    shares = (0.5, 0.9, 0.99, 0.999, 1.0)
    return Latency(
        len(ordered), *(1000 * ordered[math.ceil(share * len(ordered)) - 1] for share in shares)
    )
