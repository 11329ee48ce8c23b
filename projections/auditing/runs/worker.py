"""Works on the reconciliations that were asked for over HTTP, one after the other.

One that was begun by a process that died is taken up where it was kept last.
"""

import asyncio
import logging
from datetime import timedelta

from projections.auditing.reconcile import ROLE, Means
from projections.auditing.runs import kept
from runtime import database
from runtime.problems import Conflict, Invalid
from runtime.settings import Settings

logger = logging.getLogger(__name__)

LOOK_MAX = 10


class Runner:
    """A process's worker, with a connection for the views and one for the log."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections: tuple[database.Connection, database.Connection] | None = None

    async def run_once(self) -> int:
        """Work on the oldest that nobody works on; return how many events it read.

        Raises Unavailable.
        """
        try:
            connection, log = await self._connected()
            means = Means(connection, log, lag_max=timedelta(seconds=self._settings.lag_s_max))
            for row in await connection.fetch(kept.SQL["queued_reconciliations"], LOOK_MAX):
                try:
                    report = await kept.work(means, row["reconciliation_id"])
                except Conflict:
                    continue  # Another process was faster.
                except Invalid as problem:
                    logger.warning("a reconciliation failed: %s", problem.detail)
                    return 1
                return max(1, report.events_read)
        except BaseException as error:
            await self.close()
            if isinstance(error, database.CONNECTION_ERRORS):
                raise database.unavailable(error) from error
            raise
        return 0

    async def rest(self) -> None:
        """Wait as long as an idle worker does."""
        await asyncio.sleep(self._settings.idle_poll_s)

    async def close(self) -> None:
        """Close the connections; what is not finished is taken up by the next process."""
        for connection in self._connections or ():
            connection.terminate()
        self._connections = None

    async def _connected(self) -> tuple[database.Connection, database.Connection]:
        if self._connections is None or any(each.is_closed() for each in self._connections):
            await self.close()
            url = self._settings.database_url
            one = await database.connect(url, ROLE)
            self._connections = (one, await database.connect(url, ROLE))
        return self._connections
