"""Four-way views that were asked for over HTTP: a row a ledger, which the audit worker works on.

    ask ──▶ queued ──▶ running ──▶ clean | discrepancies | failed ──▶ ask …
                          └─ the process dies: the next one begins again

Whoever asks is told at once, and looks again. The last report stays until there is a newer one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from auditing.four_way import sides, views
from auditing.pages import Progress
from auditing.reconcile.jobs import FAILURE_CHARACTERS_MAX
from events.schema import Schema
from runtime import database
from runtime.database import Executor
from runtime.problems import Invalid, NotFound, Unavailable
from runtime.sql import Row, queries
from web.http import ENCODER

logger = logging.getLogger(__name__)

SQL = queries("auditing")
MOVE_S = 1.0


async def request(connection: Executor, ledger: str) -> Row:
    """Queue a ledger's view, unless it is under way, and return how it stands."""
    await connection.execute(SQL["ask_four_way"], ledger)
    return await row_of(connection, ledger)


async def row_of(connection: Executor, ledger: str) -> Row:
    """Return how a ledger's view stands. Raises NotFound if nobody ever asked for it."""
    row = await connection.fetchrow(SQL["four_way"], ledger)
    if row is None:
        detail = "Nobody has asked for this ledger's four-way view yet: POST /four-way."
        raise NotFound("four_way_not_found", detail)
    return row


async def work(
    connection: Executor, beside: Executor, ledger: str, lag_s_max: float, schema: Schema
) -> int:
    """Make a ledger's view; return how long the log was, or 0 if another process works on it.

    `beside` is another connection, which tells how far it is. What would fail again is kept as a
    failure; what may pass is raised.
    """
    name = f"four-way.{ledger}"
    if not await connection.fetchval(SQL["try_take_reconciliation"], name):
        return 0
    try:
        if not await connection.fetchval(SQL["begin_four_way"], ledger):
            return 0
        try:
            async with _told(beside, ledger) as progress:
                found = await sides.compare(connection, ledger, lag_s_max, progress)
            report = views.shown(found, schema)
        except (*database.CONNECTION_ERRORS, Unavailable):
            raise
        except Exception as error:
            # Whatever it is: the views of other ledgers wait behind this one.
            logger.exception("the four-way view of ledger %s failed", ledger)
            said = error.detail if isinstance(error, Invalid) else str(error)
            failure = said[:FAILURE_CHARACTERS_MAX]
            await connection.execute(SQL["end_four_way"], ledger, "failed", None, failure)
            return 1
        text = ENCODER.encode(report).decode()
        await connection.execute(SQL["end_four_way"], ledger, report["status"].lower(), text, None)
        return max(1, found.head)
    finally:
        if not connection.is_closed():
            await connection.execute(SQL["let_go_of_reconciliation"], name)


@asynccontextmanager
async def _told(connection: Executor, ledger: str) -> AsyncIterator[Progress]:
    """Keep telling how far it is, on a connection that does nothing else meanwhile."""
    place = (0, 0)
    ended = asyncio.Event()

    def progress(done: int, total: int) -> None:
        nonlocal place
        place = (done, total)

    async def tell() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), MOVE_S)
            await connection.execute(SQL["move_four_way"], ledger, *place)

    telling = asyncio.create_task(tell())
    try:
        yield progress
    finally:
        ended.set()
        await telling
