"""Opening and changing accounts, and closing the books of a ledger."""

from command_side.api import account_requests, answers, problems
from command_side.api.answers import Policy, Rehearsed
from command_side.api.app import CommandSide
from command_side.api.bodies import ChangeBody, CloseBody, OpenBody
from command_side.api.parameters import OfAccount, Rehearsable
from command_side.api.submitting import admit, rehearse
from command_side.domain.commands import AccountCommand
from command_side.writer.outcomes import Accepted, PolicySet, Unchanged
from events.answers import Books
from web.answers import Reply
from web.caller import Caller
from web.operations import operation

TAG = "Accounts"


@operation(
    "POST",
    "/accounts",
    name="openAccount",
    tag=TAG,
    scope="write",
    answers={200: Policy | Rehearsed, 201: Policy},
    problems=problems.OPEN,
    admit=admit,
)
async def open_account(
    side: CommandSide, caller: Caller, query: Rehearsable, body: OpenBody
) -> Reply:
    """Open an account; 200 if it exists with the same policy."""
    command = account_requests.open_account(caller.ledger, body, side.schema)
    return await _set_policy(side, command, 201, dry_run=query.dry_run)


@operation(
    "PATCH",
    "/accounts/{account_id}",
    name="changeAccount",
    tag=TAG,
    scope="write",
    answers={200: Policy | Rehearsed},
    problems=problems.CHANGE,
    admit=admit,
)
async def change_account(
    side: CommandSide, caller: Caller, path: OfAccount, query: Rehearsable, body: ChangeBody
) -> Reply:
    """Freeze, reopen or close an account; change its overdraft or metadata."""
    command = account_requests.change_account(caller.ledger, path.account_id, body, side.schema)
    return await _set_policy(side, command, 200, dry_run=query.dry_run)


@operation(
    "POST",
    "/books/close",
    name="closeBooks",
    tag=TAG,
    scope="admin",
    answers={200: Books | Rehearsed},
    problems=problems.CLOSE,
    admit=admit,
)
async def close_books(
    side: CommandSide, caller: Caller, query: Rehearsable, body: CloseBody
) -> Reply:
    """From now on, refuse every date before a moment in the past; for good."""
    command = account_requests.close_books(caller.ledger, body)
    if query.dry_run:
        return await rehearse(side, command)
    outcome = await side.writer.submit(command)
    if not isinstance(outcome, Accepted | Unchanged):
        raise problems.failure(outcome)
    return answers.books(outcome, command)


async def _set_policy(
    side: CommandSide, command: AccountCommand, changed: int, *, dry_run: bool
) -> Reply:
    """Submit a command about an account; `changed` is the status if it had an effect."""
    if dry_run:
        return await rehearse(side, command)
    outcome = await side.writer.submit(command)
    if not isinstance(outcome, PolicySet):
        raise problems.failure(outcome)
    status = 200 if outcome.recorded is None else changed
    return answers.policy(outcome, side.schema, status)


OPERATIONS = [open_account, change_account, close_books]
