"""Projection lag: from the moment a position is seen committed to the moment it is readable."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from benchmarks.latency import Latency, latency
from benchmarks.service import SQL
from runtime import database

SAMPLE_S = 0.01


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

    def summary(self) -> Latency:
        """Return the percentiles of all positions that became readable."""
        return latency(self._seconds)


@asynccontextmanager
async def watching(database_url: str) -> AsyncIterator[Lags]:
    """Sample beside the caller."""
    connection = await database.connect(database_url)
    lags = Lags()

    async def sample() -> None:
        while True:
            row = await connection.fetchrow(SQL["positions"])
            assert row is not None
            lags.seen(time.perf_counter(), row["head"], row["projected"])
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(sample())
    try:
        yield lags
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await connection.close()
