"""The projector: a message says that there is something to read, and the log says what.

    message ──▶ catch_up from the log, to its end ──▶ delete the message
    no message for a second ──▶ look at the log anyway

A message is deleted only after the log has been applied to its end: by then its events are in the
read models. The content of a message is for other readers of the queue. The projector never relies
on it, because an SQS queue may be shared by mistake, restored, or written to by other programs. An
event that cannot be applied stops projecting, with an error in the log and in the metrics.
"""

import asyncio
import logging

from projections.catch_up import catch_up
from projections.folds.balances import BalanceRow
from projections.memory import Memory
from projections.settings import ProjectionSettings
from runtime import database
from runtime.problems import Unavailable
from runtime.queue import LONG_POLL_S, Message, Queue

log = logging.getLogger(__name__)

ROLE = "daybook_projector"


class Projector:
    """One projector process: its connection, and the receive call under way."""

    def __init__(self, settings: ProjectionSettings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        self._connection: database.Connection | None = None
        self._receiving: asyncio.Task[list[Message]] | None = None
        self._memory = Memory[BalanceRow]()

    async def run_once(self) -> int:
        """Wait for messages, at most for the idle poll; apply the log; return the number of events.

        Raises Unavailable or PoisonEventError.
        """
        messages = await self._received()
        try:
            applied = await self._applied()
        except database.CONNECTION_ERRORS as error:
            await self._disconnect()
            raise database.unavailable(error) from error
        await self._queue.delete(messages)
        return applied

    async def close(self) -> None:
        """Stop receiving, and close the connection."""
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        await self._disconnect()

    async def _applied(self) -> int:
        connection = await self._connected()
        return await apply(connection, self._settings, self._memory)

    async def _received(self) -> list[Message]:
        """Return messages, or none after the idle poll; the long poll goes on beside it."""
        if self._receiving is None:
            self._receiving = asyncio.create_task(self._queue.receive(LONG_POLL_S))
        await asyncio.wait({self._receiving}, timeout=self._settings.idle_poll_s)
        if not self._receiving.done():
            return []
        receiving, self._receiving = self._receiving, None
        try:
            return receiving.result()
        except Unavailable as problem:
            # Without the queue the projector still reads the log once in each idle poll.
            log.warning("the queue does not answer: %s", problem.detail)
            await asyncio.sleep(self._settings.idle_poll_s)
            return []

    async def _connected(self) -> database.Connection:
        if self._connection is None or self._connection.is_closed():
            # Rows and checkpoint commit together, so a crash of the server can only undo whole
            # pages, which are then folded again. Commits need not wait for the disk.
            self._connection = await database.connect(
                self._settings.database_url, ROLE, synchronous_commit="off", **database.BY_KEY
            )
            self._memory = Memory()
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def apply(
    connection: database.Executor,
    settings: ProjectionSettings,
    memory: Memory[BalanceRow] | None = None,
) -> int:
    """Apply the log after the checkpoint; return the number of events.

    It ends with the first page that is not full. Events that were added meanwhile have a message of
    their own; following them at once would make many small pages.
    """
    memory = memory or Memory()
    applied, events_max = 0, settings.projection_events_max
    while (count := await catch_up(connection, events_max, memory)) == events_max:
        applied += count
    return applied + count
