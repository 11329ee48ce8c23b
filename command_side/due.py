"""Holds expire, and scheduled transfers are posted, when their time has come.

    command.standings.due_at ──▶ Settle ──▶ writer ──▶ hold.expired | transfer.posted | …rejected

The times are in the database, so no crash and no lost message loses one. Every API process looks
for what is due; the one that comes second finds nothing left to settle.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import assert_never

from command_side.domain.commands import Settle
from command_side.writer.outcomes import (
    Accepted,
    AllAccepted,
    KeyReused,
    NoneAccepted,
    PolicySet,
    Refused,
    Rehearsed,
    Unchanged,
)
from command_side.writer.writer import Writer
from runtime import database
from runtime.loop import run_forever
from runtime.problems import Problem
from runtime.sql import queries

log = logging.getLogger(__name__)

SQL = queries("command_side")
ONCE_MAX = 500


class DueSettler:
    """Settles what is due, at most ONCE_MAX transactions at a time."""

    def __init__(self, pool: database.Pool, writer: Writer, interval_s: float) -> None:
        self._pool = pool
        self._writer = writer
        self._interval_s = interval_s

    async def run_once(self) -> int:
        """Settle what is due now; return how many transactions changed. Raises Unavailable."""
        try:
            rows = await self._pool.fetch(SQL["due"], datetime.now(UTC), ONCE_MAX)
        except database.CONNECTION_ERRORS as error:
            raise database.unavailable(error) from error
        due = [Settle(about=row["transaction_id"]) for row in rows]
        settled = 0
        for command, outcome in zip(due, await self._writer.submit_each(due), strict=True):
            match outcome:
                case Accepted() | Refused():
                    settled += 1
                case Unchanged():
                    pass
                case Problem():
                    log.error("%s could not be settled: %s", command.about, outcome.detail)
                case KeyReused() | PolicySet() | AllAccepted() | NoneAccepted() | Rehearsed():
                    raise AssertionError(outcome)
                case _:
                    assert_never(outcome)
        return settled

    @asynccontextmanager
    async def running(self) -> AsyncIterator["DueSettler"]:
        """Run beside the caller."""
        stop = asyncio.Event()
        task = asyncio.create_task(run_forever("the settler", self.run_once, self._rest, stop))
        try:
            yield self
        finally:
            stop.set()
            await task

    async def _rest(self) -> None:
        await asyncio.sleep(self._interval_s)
