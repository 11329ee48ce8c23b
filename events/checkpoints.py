"""How far a reader of the log has come: read, lock, move, wait for.

A checkpoint is the last position that a reader has applied. It moves in the same transaction as
whatever the reader writes, so a crash repeats work and never skips any.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from prometheus_client import Gauge

from runtime import database
from runtime.database import Executor
from runtime.sql import queries

SQL = queries("events")
RELAY = "relay"
SEALER = "sealer"
PROJECTOR = "projector"
AUDITOR = "auditor"
POSITION = Gauge("daybook_checkpoint_position", "Last position applied.", ["reader"])
TICK_S = 0.01
ONE_LOOK_S = 0.1


async def read(connection: Executor, reader: str) -> int:
    """Return the last position that `reader` has applied."""
    position: int | None = await connection.fetchval(SQL["checkpoint"], reader)
    assert position is not None, f"the log has no checkpoint {reader!r}"
    return position


class ReaderCheckpoint(msgspec.Struct, frozen=True):
    """The last position applied, and who moved it there (see projections/memory.py)."""

    position: int
    mark: int


async def lock(connection: Executor, reader: str) -> ReaderCheckpoint:
    """Lock the checkpoint until the transaction ends; wait while another process holds it."""
    row = await connection.fetchrow(SQL["lock_checkpoint"], reader)
    assert row is not None, f"the log has no checkpoint {reader!r}"
    return ReaderCheckpoint(row["position"], row["xmin"])


async def try_lock(connection: Executor, reader: str) -> int | None:
    """Lock the checkpoint, or return None when another process holds it."""
    position: int | None = await connection.fetchval(SQL["try_lock_checkpoint"], reader)
    return position


async def move(connection: Executor, reader: str, position: int) -> int | None:
    """Move the locked checkpoint forward to `position`; return its mark, None if it is further."""
    mark: int | None = await connection.fetchval(SQL["move_checkpoint"], reader, position)
    return mark


class Waiters:
    """Requests that wait for a reader to reach a position.

    One query per tick serves all of them, and none is made while nobody waits.
    """

    def __init__(self, pool: database.Pool, reader: str) -> None:
        self._pool = pool
        self._reader = reader
        self._position = 0
        self._begun = self._looked = 0
        self._waiting = 0
        self._arrived = asyncio.Condition()
        self._wanted = asyncio.Event()

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether the reader came to `position` within `timeout_s`, or one look.

        Only a look that begins from now on counts: a crash of the server may have taken the reader
        back to an earlier position, and it is folding those events again.
        """
        begun = self._begun
        self._waiting += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(max(timeout_s, ONE_LOOK_S)), self._arrived:
                await self._arrived.wait_for(
                    lambda: self._looked > begun and self._position >= position
                )
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Waiters"]:
        """Run the watch beside the caller."""
        task = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            if self._waiting == 0:
                self._wanted.clear()
                await self._wanted.wait()
            started = time.monotonic()
            # A database that is away answers nobody in time; the waiters' own bounds end them.
            self._begun += 1
            with suppress(*database.CONNECTION_ERRORS):
                async with self._pool.acquire() as connection:
                    self._position = await read(connection, self._reader)
                self._looked = self._begun
            async with self._arrived:
                self._arrived.notify_all()
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - started)))
