"""Works on what clients requested, one job after the other: reconciliations and four-way views.

A reconciliation of a process that died is resumed from the progress that was kept last.
"""

import asyncio
import logging
from datetime import timedelta

from auditing.four_way import jobs as four_ways
from auditing.reconcile import jobs as reconciliations
from auditing.reconcile.reconcile import RunContext
from auditing.roles import AUDITOR
from auditing.settings import AuditSettings
from events import schema as schemas
from runtime import database
from runtime.database import Connection
from runtime.problems import Conflict, Invalid

logger = logging.getLogger(__name__)

LOOK_MAX = 10


class JobWorker:
    """Works on jobs with two connections, one for the views and one for the log.

    Raises SchemaError.
    """

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._schema = schemas.load(settings.schema_file)
        self._connections: tuple[Connection, Connection] | None = None

    async def run_once(self) -> int:
        """Work on the oldest job of each sort that is free; return how many events were read.

        Raises Unavailable.
        """
        try:
            connection, log = await self._connected()
            return await self._reconcile(connection, log) + await self._view(connection, log)
        except BaseException as error:
            await self.close()
            if isinstance(error, database.CONNECTION_ERRORS):
                raise database.unavailable(error) from error
            raise

    async def rest(self) -> None:
        """Wait as long as an idle worker does."""
        await asyncio.sleep(self._settings.idle_poll_s)

    async def close(self) -> None:
        """Close the connections; the next process resumes what is not finished."""
        for connection in self._connections or ():
            connection.terminate()
        self._connections = None

    async def _reconcile(self, connection: Connection, log: Connection) -> int:
        context = RunContext(connection, log, lag_max=timedelta(seconds=self._settings.lag_s_max))
        for row in await connection.fetch(reconciliations.SQL["queued_reconciliations"], LOOK_MAX):
            try:
                report = await reconciliations.work(context, row["reconciliation_id"])
            except Conflict:
                continue  # Another process was faster.
            except Invalid as problem:
                logger.warning("a reconciliation failed: %s", problem.detail)
                return 1
            return max(1, report.events_read)
        return 0

    async def _view(self, connection: Connection, beside: Connection) -> int:
        for row in await connection.fetch(four_ways.SQL["queued_four_ways"], LOOK_MAX):
            ledger, lag_s_max = row["ledger"], self._settings.lag_s_max
            if read := await four_ways.work(connection, beside, ledger, lag_s_max, self._schema):
                return read
        return 0

    async def _connected(self) -> tuple[Connection, Connection]:
        if self._connections is None or any(each.is_closed() for each in self._connections):
            await self.close()
            url = self._settings.database_url
            one = await database.connect(url, AUDITOR)
            self._connections = (one, await database.connect(url, AUDITOR))
        return self._connections
