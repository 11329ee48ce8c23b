"""The four-way view over HTTP: request it, see its progress, read the last report."""

from datetime import UTC, datetime

from auditing.app import AuditSide
from auditing.four_way import answers, jobs
from auditing.four_way.answers import FourWay
from events import checkpoints
from runtime.database import Executor
from runtime.sql import Row
from web.answers import Reply
from web.caller import Caller
from web.operations import operation

TAG = "Reconciling"


@operation(
    "POST", "/four-way", name="askFourWay", tag=TAG, scope="reconcile", answers={202: FourWay}
)
async def request(side: AuditSide, caller: Caller) -> Reply:
    """Request the comparison of log, read models, queue and bank statements.

    While a comparison of the ledger is under way, that one is the answer.
    """
    async with side.pool.acquire() as connection:
        return await _reply(connection, await jobs.request(connection, caller.ledger), 202)


@operation(
    "GET",
    "/four-way",
    name="fourWay",
    tag=TAG,
    scope="read",
    answers={200: FourWay},
    problems={404: ("four_way_not_found",)},
)
async def latest(side: AuditSide, caller: Caller) -> Reply:
    """Return the status of the ledger's four-way view, and its last report."""
    async with side.pool.acquire() as connection:
        return await _reply(connection, await jobs.row_of(connection, caller.ledger), 200)


OPERATIONS = [request, latest]


async def _reply(connection: Executor, row: Row, status: int) -> Reply:
    position = await checkpoints.read(connection, checkpoints.PROJECTOR)
    return Reply(answers.four_way(row, datetime.now(UTC)), status, position)
