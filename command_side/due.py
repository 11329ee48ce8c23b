"""What comes to its time: holds expire, scheduled transfers are posted.

    command.standings.due_at ──▶ Settle ──▶ writer ──▶ hold.expired | transfer.posted | …rejected

The times are in the database, so no crash and no lost message loses one. Every API process
sweeps; whoever comes second finds nothing left to settle.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from command_side.domain.commands import Settle
from command_side.writer.writer import Writer
from runtime import database
from runtime.loop import run_forever
from runtime.problems import Problem
from runtime.sql import queries

log = logging.getLogger(__name__)

SQL = queries("command_side")
ONCE_MAX = 500


class Sweeper:
    """Looks for what is due, some hundred at a time."""

    def __init__(self, pool: database.Pool, writer: Writer, interval_s: float) -> None:
        self._pool = pool
        self._writer = writer
        self._interval_s = interval_s

    async def run_once(self) -> int:
        """Settle what is due now; return how much of it changed something. Raises Unavailable."""
        try:
            rows = await self._pool.fetch(SQL["due"], datetime.now(UTC), ONCE_MAX)
        except database.CONNECTION_ERRORS as error:
            raise database.unavailable(error) from error
        due = [Settle(about=row["transaction_id"]) for row in rows]
        settled = 0
        for command, outcome in zip(due, await self._writer.submit_each(due), strict=True):
            if isinstance(outcome, Problem):
                log.error("%s could not be settled: %s", command.about, outcome.detail)
            elif outcome.recorded is not None:
                settled += 1
        return settled

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Sweeper"]:
        """Run beside the caller."""
        stop = asyncio.Event()
        task = asyncio.create_task(run_forever("the sweeper", self.run_once, self._rest, stop))
        try:
            yield self
        finally:
            stop.set()
            await task

    async def _rest(self) -> None:
        await asyncio.sleep(self._interval_s)
