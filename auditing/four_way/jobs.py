"""Four-way views that clients requested: one row for each ledger, for the audit worker.

    request ──▶ queued ──▶ running ──▶ clean | discrepancies | failed ──▶ request …
                              └─ the process dies: the next one begins again

A request is answered at once, and the client asks for the status later. The last report stays
until there is a newer one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from auditing.four_way import answers, sides
from auditing.pages import Progress
from auditing.reconcile.jobs import FAILURE_CHARACTERS_MAX
from events.schema import Schema
from runtime import database
from runtime.database import Executor
from runtime.problems import Invalid, NotFound, Unavailable
from runtime.sql import Row, queries
from web.answers import ENCODER

logger = logging.getLogger(__name__)

SQL = queries("auditing")
MOVE_S = 1.0


async def request(connection: Executor, ledger: str) -> Row:
    """Queue a ledger's view, unless it is under way, and return its row."""
    await connection.execute(SQL["request_four_way"], ledger)
    return await row_of(connection, ledger)


async def row_of(connection: Executor, ledger: str) -> Row:
    """Return the row of a ledger's view. Raises NotFound if it was never requested."""
    row = await connection.fetchrow(SQL["four_way"], ledger)
    if row is None:
        detail = "Nobody has requested this ledger's four-way view yet: POST /four-way."
        raise NotFound("four_way_not_found", detail)
    return row


async def work(
    connection: Executor, beside: Executor, ledger: str, lag_s_max: float, schema: Schema
) -> int:
    """Make a ledger's view; return the length of the log, or 0 if another process works on it.

    The progress is stored over the second connection, `beside`. A lost connection is raised; any
    other error would be raised again, and is stored as the failure of the view.
    """
    name = f"four-way.{ledger}"
    if not await connection.fetchval(SQL["try_take_reconciliation"], name):
        return 0
    try:
        if not await connection.fetchval(SQL["begin_four_way"], ledger):
            return 0
        try:
            async with _storing_progress(beside, ledger) as progress:
                found = await sides.compare(connection, ledger, lag_s_max, progress)
            report = answers.report(found, schema)
        except (*database.CONNECTION_ERRORS, Unavailable):
            raise
        except Exception as error:
            # Any error is stored, because the views of other ledgers wait behind this one.
            logger.exception("the four-way view of ledger %s failed", ledger)
            said = error.detail if isinstance(error, Invalid) else str(error)
            failure = said[:FAILURE_CHARACTERS_MAX]
            await connection.execute(SQL["end_four_way"], ledger, "failed", None, failure)
            return 1
        text = ENCODER.encode(report).decode()
        await connection.execute(SQL["end_four_way"], ledger, report.status.lower(), text, None)
        return max(1, found.head)
    finally:
        if not connection.is_closed():
            await connection.execute(SQL["let_go_of_reconciliation"], name)


@asynccontextmanager
async def _storing_progress(connection: Executor, ledger: str) -> AsyncIterator[Progress]:
    """Store the progress every second, on a connection that does nothing else meanwhile."""
    reached = (0, 0)
    ended = asyncio.Event()

    def progress(done: int, total: int) -> None:
        nonlocal reached
        reached = (done, total)

    async def store() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), MOVE_S)
            await connection.execute(SQL["move_four_way"], ledger, *reached)

    storing = asyncio.create_task(store())
    try:
        yield progress
    finally:
        ended.set()
        await storing
