"""Projection lag: from the moment a position is seen committed to the moment it is readable."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from runtime import database

SAMPLE_S = 0.01
POSITIONS = """
SELECT h.position AS head, c.position AS checkpoint
FROM events.head AS h CROSS JOIN events.checkpoints AS c WHERE c.reader = 'projector'
"""


class Lag(msgspec.Struct):
    """Percentiles in milliseconds, over all samples."""

    samples: int
    p50_ms: float
    p99_ms: float


class Lags:
    """Positions seen committed and not yet readable, and how long the others took."""

    def __init__(self) -> None:
        self._committed: deque[tuple[float, int]] = deque()
        self._seconds: list[float] = []

    def seen(self, now: float, head: int, checkpoint: int) -> None:
        """Take one sample of both positions."""
        if not self._committed or head > self._committed[-1][1]:
            self._committed.append((now, head))
        while self._committed and self._committed[0][1] <= checkpoint:
            at, _ = self._committed.popleft()
            self._seconds.append(now - at)

    def summary(self) -> Lag:
        """Return the percentiles of all positions that became readable."""
        p50_s, p99_s = percentiles(self._seconds)
        return Lag(len(self._seconds), p50_s * 1000, p99_s * 1000)


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile; of nothing, twice not-a-number."""
    ordered = sorted(seconds) or [float("nan")]
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


@asynccontextmanager
async def watching(database_url: str) -> AsyncIterator[Lags]:
    """Sample beside the caller."""
    connection = await database.connect(database_url)
    lags = Lags()

    async def sample() -> None:
        while True:
            row = await connection.fetchrow(POSITIONS)
            assert row is not None
            lags.seen(time.perf_counter(), row["head"], row["checkpoint"])
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(sample())
    try:
        yield lags
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await connection.close()
