"""Refunds, captures, voids and cancellations of earlier transactions."""

from uuid import UUID

from command_side.api import followup_requests, problems
from command_side.api.answers import Accepted, Rehearsed
from command_side.api.app import CommandSide
from command_side.api.bodies import EndBody, FollowUpBody
from command_side.api.parameters import Keyed, OfTransaction, Rehearsable
from command_side.api.submitting import REPLAYABLE, TAG, admit, submitted
from command_side.api.values import check_key
from events import log
from events.answers import Polled
from events.types import TransactionEvent
from web.answers import Reply
from web.caller import Caller
from web.operations import operation

ANSWERS = {200: Polled | Rehearsed, 202: Accepted}
PATH = "/transactions/{transaction_id}"


@operation(
    "POST",
    f"{PATH}/refund",
    name="refund",
    tag=TAG,
    scope="write",
    body_required=False,
    answers=ANSWERS,
    problems=problems.REFUND,
    admit=admit,
    gives=REPLAYABLE,
)
async def refund(
    side: CommandSide,
    caller: Caller,
    path: OfTransaction,
    query: Rehearsable,
    headers: Keyed,
    body: FollowUpBody,
) -> Reply:
    """Give back all or part of a transaction."""
    key = check_key(body.idempotencyKey, headers.idempotency_key)
    original = await _earlier(side, caller.ledger, path.transaction_id)
    command = followup_requests.refund(
        caller.ledger, key, path.transaction_id, original, body, side.schema
    )
    return await submitted(side, command, headers.prefer, dry_run=query.dry_run)


@operation(
    "POST",
    f"{PATH}/capture",
    name="capture",
    tag=TAG,
    scope="write",
    body_required=False,
    answers=ANSWERS,
    problems=problems.CAPTURE,
    admit=admit,
    gives=REPLAYABLE,
)
async def capture(
    side: CommandSide,
    caller: Caller,
    path: OfTransaction,
    query: Rehearsable,
    headers: Keyed,
    body: FollowUpBody,
) -> Reply:
    """Post all or part of a hold."""
    key = check_key(body.idempotencyKey, headers.idempotency_key)
    original = await _earlier(side, caller.ledger, path.transaction_id)
    command = followup_requests.capture(
        caller.ledger, key, path.transaction_id, original, body, side.schema
    )
    return await submitted(side, command, headers.prefer, dry_run=query.dry_run)


@operation(
    "POST",
    f"{PATH}/void",
    name="void",
    tag=TAG,
    scope="write",
    body_required=False,
    answers=ANSWERS,
    problems=problems.VOID,
    admit=admit,
    gives=REPLAYABLE,
)
async def void(
    side: CommandSide,
    caller: Caller,
    path: OfTransaction,
    query: Rehearsable,
    headers: Keyed,
    body: EndBody,
) -> Reply:
    """Release what is left of a hold."""
    key = check_key(body.idempotencyKey, headers.idempotency_key)
    command = followup_requests.void(caller.ledger, key, path.transaction_id, body, side.schema)
    return await submitted(side, command, headers.prefer, dry_run=query.dry_run)


@operation(
    "POST",
    f"{PATH}/cancel",
    name="cancel",
    tag=TAG,
    scope="write",
    body_required=False,
    answers=ANSWERS,
    problems=problems.CANCEL,
    admit=admit,
    gives=REPLAYABLE,
)
async def cancel(
    side: CommandSide,
    caller: Caller,
    path: OfTransaction,
    query: Rehearsable,
    headers: Keyed,
    body: EndBody,
) -> Reply:
    """Cancel a scheduled transfer."""
    key = check_key(body.idempotencyKey, headers.idempotency_key)
    command = followup_requests.cancel(caller.ledger, key, path.transaction_id, body, side.schema)
    return await submitted(side, command, headers.prefer, dry_run=query.dry_run)


async def _earlier(side: CommandSide, ledger: str, transaction_id: UUID) -> TransactionEvent | None:
    """Return the first event of a transaction of the ledger: amounts are in its currencies.

    That event never changes.
    """
    async with side.pool.acquire() as connection:
        found = await log.find(connection, [transaction_id])
    event = found[transaction_id].event if found else None
    return event if isinstance(event, TransactionEvent) and event.ledger == ledger else None


OPERATIONS = [refund, capture, void, cancel]
