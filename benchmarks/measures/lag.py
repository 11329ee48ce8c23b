"""Projection lag: the time from the commit of a position until the read models have it.

Both moments are sampled. A commit counts from the last sample that did not show it, so a lag may be
reported longer than it was, by the duration of a sample (10 ms and a query), but never shorter.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from benchmarks.environment import SQL
from benchmarks.latency import Latency, latency
from runtime import database

SAMPLE_S = 0.01


class Lags:
    """Committed positions that are not readable yet, and the lags of those that are."""

    def __init__(self) -> None:
        self._committed: deque[tuple[float, int]] = deque()
        self._seconds: list[float] = []
        self._previous_asked_s: float | None = None
        self._head = 0

    def add_sample(self, asked_s: float, now_s: float, head: int, checkpoint: int) -> None:
        """Add a sample of both positions: the query began at `asked_s` and ended at `now_s`."""
        if head > self._head and self._previous_asked_s is not None:
            self._committed.append((self._previous_asked_s, head))
        self._previous_asked_s, self._head = asked_s, head
        while self._committed and self._committed[0][1] <= checkpoint:
            committed_s, _ = self._committed.popleft()
            self._seconds.append(now_s - committed_s)

    def summary(self) -> Latency:
        """Return the percentiles of the lag of all positions that became readable."""
        return latency(self._seconds)


@asynccontextmanager
async def sampling(database_url: str) -> AsyncIterator[Lags]:
    """Sample both positions while the context is open."""
    connection = await database.connect(database_url)
    lags = Lags()

    async def sample() -> None:
        while True:
            asked_s = time.perf_counter()
            row = await connection.fetchrow(SQL["positions"])
            assert row is not None
            lags.add_sample(asked_s, time.perf_counter(), row["head"], row["projected"])
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(sample())
    try:
        yield lags
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await connection.close()
