"""The projector as an AWS Lambda function with an SQS FIFO trigger.

Handler name: `projections.lambda_handler.handler`. The function needs `DAYBOOK_DATABASE_URL` only.
Turn on "report batch item failures". Give the function a concurrency of one or two: more instances
only wait for each other at the checkpoint. Events are read from the log, so the next message makes
up for a lost one. A schedule that invokes the function without records serves as the idle poll.
"""

import asyncio
import logging
import os
from typing import Any, TypedDict

from projections.settings import ProjectionSettings
from projections.worker import ROLE, apply
from runtime import database, settings

log = logging.getLogger(__name__)

# Both stay between the invocations of one container; a connection belongs to its loop.
_LOOP = asyncio.new_event_loop()
_CONNECTIONS: list[database.Connection] = []


class Failure(TypedDict):
    """A message that SQS must deliver again."""

    itemIdentifier: str


class Answer(TypedDict):
    """The answer to SQS: messages that are not named here are deleted."""

    batchItemFailures: list[Failure]


def handler(event: dict[str, Any], _context: object) -> Answer:
    """Apply the log to its end. All records succeed or fail together."""
    records = event.get("Records", [])
    try:
        _LOOP.run_until_complete(_apply())
    except Exception:
        # SQS delivers the messages again, and the error is in the function's log.
        log.exception("%d messages could not be applied", len(records))
        if not records:
            raise
        return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in records]}
    return {"batchItemFailures": []}


async def _apply() -> int:
    environ = {"DAYBOOK_CACHE_URL": "-", "DAYBOOK_QUEUE_URL": "-", **os.environ}
    given = settings.load(environ, ProjectionSettings)
    if not _CONNECTIONS or _CONNECTIONS[0].is_closed():
        _CONNECTIONS[:] = [await database.connect(given.database_url, ROLE, **database.BY_KEY)]
    try:
        return await apply(_CONNECTIONS[0], given)
    except BaseException:
        _CONNECTIONS.pop().terminate()
        raise
