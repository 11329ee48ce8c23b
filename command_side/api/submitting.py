"""What all submissions share: room in the queue, the rehearsal, and the answer."""

import asyncio

from command_side.api import answers, problems
from command_side.api.app import CommandSide
from command_side.api.problems import REPLAYED, failure
from command_side.domain.commands import Keyed, Request
from command_side.writer.outcomes import Accepted, AllAccepted
from runtime.problems import Unavailable
from web.answers import POSITION, Reply
from web.caller import Caller

TAG = "Submitting"
REPLAYABLE = (POSITION, REPLAYED)


async def admit(side: CommandSide, caller: Caller) -> None:
    """Return if the ledger has room for one more request; its body is read only then.

    Raises Unavailable.
    """
    try:
        side.writer.check_room(caller.ledger)
    except Unavailable:
        await hold_back(side)
        raise


async def hold_back(side: CommandSide) -> None:
    """Wait before a client is turned away.

    Clients that ask again at once would take all the time of the event loop with refusals alone,
    and commits would stand still.
    """
    await asyncio.sleep(side.settings.refusal_held_s)


async def submitted(
    side: CommandSide, command: Keyed, wait_s: int | None, *, dry_run: bool
) -> Reply:
    """Submit a command with a key, or rehearse it. Raises the problem of a refusal."""
    if dry_run:
        return await rehearse(side, command)
    outcome = await side.writer.submit(command)
    if not isinstance(outcome, Accepted):
        raise failure(outcome)
    if await side.readable(outcome.position, wait_s):
        return answers.completed(outcome, side.schema)
    return answers.accepted(outcome, side.settings.result_ttl_s)


async def rehearse(side: CommandSide, command: Request) -> Reply:
    """Answer what would become of one command, which may be a group. Raises its refusal."""
    rehearsed = await side.rehearse((command,))
    (outcome,) = rehearsed.outcomes
    problem = problems.problem_of(outcome)
    if problem is not None:
        problem.extensions["dryRun"] = True
        raise problem
    each = outcome.parts if isinstance(outcome, AllAccepted) else (outcome,)
    return answers.rehearsed(each, rehearsed.accounts, side.schema)
