"""Projection lag: from the moment a position was committed to the moment it is readable.

Both are sampled. A commit counts from the last sample that had not seen it, so a lag may be shown
longer than it was, by as long as a sample takes (10 ms and a query), and never shorter.
"""

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
    """Positions committed and not yet readable, and how long the others took."""

    def __init__(self) -> None:
        self._committed: deque[tuple[float, int]] = deque()
        self._seconds: list[float] = []
        self._asked_before: float | None = None
        self._head = 0

    def seen(self, asked: float, now: float, head: int, checkpoint: int) -> None:
        """Take a sample of both positions, asked for at `asked` and answered `now`."""
        if head > self._head and self._asked_before is not None:
            self._committed.append((self._asked_before, head))
        self._asked_before, self._head = asked, head
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
            asked = time.perf_counter()
            row = await connection.fetchrow(SQL["positions"])
            assert row is not None
            lags.seen(asked, time.perf_counter(), row["head"], row["projected"])
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(sample())
    try:
        yield lags
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await connection.close()
