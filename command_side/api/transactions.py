"""Submitting transfers, holds and scheduled transfers, one by one or in bulk."""

import msgspec

from command_side.api import answers, bulk, movement_requests, problems
from command_side.api.answers import Accepted, BatchResult, BatchResults, Rehearsed
from command_side.api.app import CommandSide
from command_side.api.bodies import SubmitBody
from command_side.api.parameters import Keyed, MayWait, Mode, OfBatch, Rehearsable
from command_side.api.submitting import REPLAYABLE, TAG, admit, hold_back, rehearse, submitted
from command_side.api.values import check_key
from command_side.domain.commands import Movement
from command_side.writer import outcomes
from events.answers import Polled
from runtime.problems import Problem, Unavailable
from web.answers import Answer, Reply
from web.bodies import decode, read_body
from web.caller import Caller, identify
from web.media import ANY, JSON, NDJSON
from web.operations import operation
from web.request import Request

_SUBMIT = msgspec.json.Decoder(SubmitBody)
# Headers that need more than a look: a request with one of them takes the long way.
_SPECIAL = frozenset({"content-encoding", "prefer"})


async def _submit_plainly(request: Request) -> Answer | None:
    """Answer a submission that sends JSON, and no parameter but its key; return None for others.

    Most submissions are such, and this takes 4 µs less of each (of about 60).
    """
    headers = request.headers
    if (
        request.scope["query_string"]
        or headers.get("content-type") != JSON
        or headers.get("accept", ANY) != ANY
        or not _SPECIAL.isdisjoint(headers)
    ):
        return None
    side: CommandSide = request.app.state.command_side
    caller = await identify(headers, side.tokens, "write")
    request.scope["caller"] = caller.who
    try:
        side.writer.check_room(caller.ledger)
    except Unavailable:
        await hold_back(side)
        raise
    body = decode(await read_body(request, side.settings.body_bytes_max), _SUBMIT)
    key = check_key(body.idempotencyKey, headers.get("idempotency-key"))
    command = movement_requests.movement(caller.ledger, key, body.transaction, side.schema)
    outcome = await side.writer.submit(command)
    if not isinstance(outcome, outcomes.Accepted):
        raise problems.failure(outcome)
    return answers.accepted(outcome, side.settings.result_ttl_s).encoded()


@operation(
    "POST",
    "/transactions",
    name="submit",
    tag=TAG,
    scope="write",
    answers={200: Polled | Rehearsed, 202: Accepted},
    problems=problems.SUBMIT,
    admit=admit,
    gives=REPLAYABLE,
    shortcut=_submit_plainly,
)
async def submit(
    side: CommandSide, caller: Caller, query: Rehearsable, headers: Keyed, body: SubmitBody
) -> Reply:
    """Submit a transfer, a hold or a scheduled transfer.

    The answer is 202 once it is durable; with `Prefer: wait=S`, 200 once it is readable.
    """
    key = check_key(body.idempotencyKey, headers.idempotency_key)
    command = movement_requests.movement(caller.ledger, key, body.transaction, side.schema)
    return await submitted(side, command, headers.prefer, dry_run=query.dry_run)


@operation(
    "POST",
    "/transactions/batch",
    name="submitBatch",
    tag=TAG,
    scope="write",
    reads={JSON: list[SubmitBody], NDJSON: SubmitBody},
    answers={
        200: {JSON: BatchResults | Rehearsed, NDJSON: BatchResult},
        202: {JSON: BatchResults, NDJSON: BatchResult},
    },
    problems=problems.BATCH,
    admit=admit,
)
async def submit_batch(
    request: Request, side: CommandSide, caller: Caller, query: OfBatch, headers: MayWait, kind: str
) -> Reply | Answer:
    """Submit up to 10,000 transactions, each alone, or all or none (`mode=atomic`).

    The answer is 202 once they are durable; with `Prefer: wait=S`, 200 once they are readable. It
    has the media type of the request: a JSON array, or one JSON object a line.
    """
    batch = bulk.Batch(request, caller.ledger, side.schema, side.settings, lines=kind == NDJSON)
    atomic = query.mode is Mode.ATOMIC
    if query.dry_run:
        if atomic:
            return await rehearse(side, await batch.together())
        return await _rehearse_each(side, await batch.items())
    if atomic:
        results = await bulk.submit_together(batch, side.writer)
    else:
        results = await bulk.submit_each(batch, side.writer)
    readable = await side.readable(results.position, headers.prefer)
    return results.answer(200 if readable else 202)


async def _rehearse_each(side: CommandSide, items: list[Movement | Problem]) -> Reply:
    """Answer what would become of each item; an invalid one keeps its place."""
    commands = tuple(item for item in items if not isinstance(item, Problem))
    if not commands:
        invalid = [item for item in items if isinstance(item, Problem)]
        return answers.rehearsed(invalid, [], side.schema)
    rehearsed = await side.rehearse(commands)
    decided = iter(rehearsed.outcomes)
    each = [item if isinstance(item, Problem) else next(decided) for item in items]
    return answers.rehearsed(each, rehearsed.accounts, side.schema)


OPERATIONS = [submit, submit_batch]
