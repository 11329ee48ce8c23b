"""HTTP ↔ command. Shapes are checked before the writer sees them; `?dry_run=true` only decides."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

import msgspec
from litestar import patch, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from command_side.api import account_requests, answers, bulk, followup_requests, movement_requests
from command_side.api.app import CommandSide
from command_side.api.bodies import (
    ChangeBody,
    CloseBody,
    EndBody,
    FollowUpBody,
    OpenBody,
    SubmitBody,
)
from command_side.api.values import check_key
from command_side.domain.commands import (
    AccountCommand,
    CloseBooks,
    FollowUp,
    Keyed,
    Movement,
    Rehearsal,
    Request,
)
from command_side.writer.outcomes import (
    Accepted,
    AllAccepted,
    Outcome,
    PolicySet,
    Refused,
    Rehearsed,
    Unchanged,
)
from events import log
from events.schema import Schema
from events.types import TransactionEvent
from runtime.problems import Invalid, Problem, Unavailable
from web import caller as access
from web import conditions
from web.http import HttpRequest, decode, read_body

Body = TypeVar("Body", FollowUpBody, EndBody)
Amend = Callable[[str, str, UUID, TransactionEvent | None, FollowUpBody, Schema], FollowUp]
End = Callable[[str, str, UUID, EndBody, Schema], FollowUp]

_SUBMIT = msgspec.json.Decoder(SubmitBody)
_FOLLOW_UP = msgspec.json.Decoder(FollowUpBody)
_END = msgspec.json.Decoder(EndBody)
_OPEN = msgspec.json.Decoder(OpenBody)
_CHANGE = msgspec.json.Decoder(ChangeBody)
_CLOSE = msgspec.json.Decoder(CloseBody)


@post("/transactions", status_code=202)
async def submit(request: HttpRequest) -> ASGIApp:
    """Submit a transfer, a hold or a scheduled transfer.

    202 once it is durable; with `Prefer: wait=S`, 200 once it is readable.
    """
    side: CommandSide = request.app.state.command_side
    ledger = await _admitted(request, side)
    body = decode(await read_body(request, side.settings.body_bytes_max), _SUBMIT)
    key = check_key(body.idempotencyKey, request.headers.get("idempotency-key"))
    command = movement_requests.movement(ledger, key, body.transaction, side.schema)
    return await _submitted(request, side, command)


@post("/transactions/batch", status_code=202)
async def submit_batch(request: HttpRequest) -> ASGIApp:
    """Submit up to 10,000 at once, each alone or (`mode=atomic`) all or none.

    202 once they are durable; with `Prefer: wait=S`, 200 once they are readable.
    """
    side: CommandSide = request.app.state.command_side
    ledger = await _admitted(request, side)
    wait_s = conditions.preferred_wait_s(request.headers, side.settings.wait_s_max)
    asked = bulk.Batch(request, ledger, side.schema, side.settings)
    if is_rehearsal(request):
        if asked.atomic:
            return await _rehearsed(side, await asked.together())
        return await _rehearsed_each(side, await asked.items())
    if asked.atomic:
        results = await bulk.submit_together(asked, side.writer)
    else:
        results = await bulk.submit_each(asked, side.writer)
    readable = wait_s is not None and await side.projected.reached(results.position, wait_s)
    return results.answer(200 if readable else 202)


@post("/transactions/{transaction_id:str}/refund", status_code=202)
async def refund(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Give back all or part of a transaction; answered like a submission."""
    return await _amend(request, transaction_id, followup_requests.refund)


@post("/transactions/{transaction_id:str}/capture", status_code=202)
async def capture(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Post all or part of a hold; answered like a submission."""
    return await _amend(request, transaction_id, followup_requests.capture)


@post("/transactions/{transaction_id:str}/void", status_code=202)
async def void(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Release what is left of a hold; answered like a submission."""
    return await _end(request, transaction_id, followup_requests.void)


@post("/transactions/{transaction_id:str}/cancel", status_code=202)
async def cancel(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Cancel a scheduled transfer; answered like a submission."""
    return await _end(request, transaction_id, followup_requests.cancel)


@post("/accounts", status_code=201)
async def open_account(request: HttpRequest) -> ASGIApp:
    """Open an account: 201; 200 if it is there already with the same policy."""
    side: CommandSide = request.app.state.command_side
    ledger = await _admitted(request, side)
    body = decode(await read_body(request, side.settings.body_bytes_max), _OPEN)
    command = account_requests.open_account(ledger, body, side.schema)
    return await _decided(request, side, command, 201)


@patch("/accounts/{account_id:str}")
async def change_account(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Freeze, open again, close (at zero), or give another overdraft limit or metadata."""
    side: CommandSide = request.app.state.command_side
    ledger = await _admitted(request, side)
    body = decode(await read_body(request, side.settings.body_bytes_max), _CHANGE)
    command = account_requests.change_account(ledger, account_id, body, side.schema)
    return await _decided(request, side, command, 200)


@post("/books/close", status_code=200)
async def close_books(request: HttpRequest) -> ASGIApp:
    """Let nothing be dated before a moment that has passed, from here on."""
    side: CommandSide = request.app.state.command_side
    ledger = await _admitted(request, side, "admin")
    body = decode(await read_body(request, side.settings.body_bytes_max), _CLOSE)
    return await _decided(request, side, account_requests.close_books(ledger, body), 200)


ROUTES = [
    submit,
    submit_batch,
    refund,
    capture,
    void,
    cancel,
    open_account,
    change_account,
    close_books,
]


async def _admitted(request: HttpRequest, side: CommandSide, scope: str = "write") -> str:
    """Return the ledger that the request is about, before any of its body is read.

    Raises Unidentified, NotAllowed, Invalid; Unavailable if the ledger would have to wait for room.
    That answer is held back: from whoever asks again at once, refusals alone would take all the
    time of the event loop, and commits would stand still.
    """
    caller = await access.caller(request.headers, side.tokens, scope)
    is_rehearsal(request)  # Raises Invalid, which comes before there is room or none.
    try:
        side.writer.check_room(caller.ledger)
    except Unavailable:
        await asyncio.sleep(side.settings.refusal_held_s)
        raise
    return caller.ledger


async def _amend(request: HttpRequest, text: str, build: Amend) -> ASGIApp:
    """Do what says how much of an earlier transaction: amounts are read in its currencies."""
    side: CommandSide = request.app.state.command_side
    ledger, key, body = await _keyed(request, side, _FOLLOW_UP)
    about = _uuid(text)
    earlier = await _earlier(side, ledger, about)
    return await _submitted(request, side, build(ledger, key, about, earlier, body, side.schema))


async def _end(request: HttpRequest, text: str, build: End) -> ASGIApp:
    """Do what ends an earlier transaction."""
    side: CommandSide = request.app.state.command_side
    ledger, key, body = await _keyed(request, side, _END)
    return await _submitted(request, side, build(ledger, key, _uuid(text), body, side.schema))


async def _keyed(
    request: HttpRequest, side: CommandSide, decoder: msgspec.json.Decoder[Body]
) -> tuple[str, str, Body]:
    """Return the ledger, the idempotency key and the body; an empty one is `{}`."""
    ledger = await _admitted(request, side)
    raw = await read_body(request, side.settings.body_bytes_max)
    body = decode(raw or b"{}", decoder)
    key = check_key(body.idempotencyKey, request.headers.get("idempotency-key"))
    return ledger, key, body


async def _submitted(request: HttpRequest, side: CommandSide, command: Keyed) -> ASGIApp:
    if is_rehearsal(request):
        return await _rehearsed(side, command)
    wait_s = conditions.preferred_wait_s(request.headers, side.settings.wait_s_max)
    outcome = await side.writer.submit(command)
    if isinstance(outcome, Refused) and outcome.recorded is not None:
        raise answers.logged_refusal(outcome, outcome.recorded)
    if not isinstance(outcome, Accepted):
        raise _problem(outcome)
    if wait_s is not None and await side.projected.reached(outcome.position, wait_s):
        return answers.completed(outcome, side.schema)
    return answers.accepted(outcome, side.settings.result_ttl_s)


async def _decided(
    request: HttpRequest, side: CommandSide, command: AccountCommand | CloseBooks, changed: int
) -> ASGIApp:
    if is_rehearsal(request):
        return await _rehearsed(side, command)
    outcome = await side.writer.submit(command)
    match outcome:
        case PolicySet():
            status = 200 if outcome.recorded is None else changed
            return answers.account_policy(outcome, side.schema, status)
        case Accepted() | Unchanged():
            assert isinstance(command, CloseBooks)
            return answers.books(outcome, command, changed)
        case _:
            raise _problem(outcome)


def _problem(outcome: Outcome) -> Problem:
    """Return why a command has no effect."""
    problem = answers.problem_of(outcome)
    assert problem is not None, outcome
    return problem


async def _rehearse(side: CommandSide, commands: tuple[Request, ...]) -> Rehearsed:
    rehearsal = Rehearsal(ledger=commands[0].ledger, commands=commands)
    outcome = await side.writer.submit(rehearsal)
    assert isinstance(outcome, Rehearsed), outcome
    return outcome


async def _rehearsed(side: CommandSide, command: Request) -> ASGIApp:
    """Answer what would become of one command, which may be a group. Raises its refusal."""
    rehearsed = await _rehearse(side, (command,))
    (outcome,) = rehearsed.outcomes
    problem = answers.problem_of(outcome)
    if problem is not None:
        problem.extensions["dryRun"] = True
        raise problem
    each = outcome.parts if isinstance(outcome, AllAccepted) else (outcome,)
    return answers.rehearsed(each, rehearsed.accounts, side.schema)


async def _rehearsed_each(side: CommandSide, items: Sequence[Movement | Problem]) -> ASGIApp:
    """Answer what would become of each of many, in its place."""
    commands = tuple(item for item in items if not isinstance(item, Problem))
    if not commands:
        return answers.rehearsed(
            [item for item in items if isinstance(item, Problem)], [], side.schema
        )
    rehearsed = await _rehearse(side, commands)
    decided = iter(rehearsed.outcomes)
    each = [item if isinstance(item, Problem) else next(decided) for item in items]
    return answers.rehearsed(each, rehearsed.accounts, side.schema)


def is_rehearsal(request: HttpRequest) -> bool:
    """Return whether the request only asks what would be decided. Raises Invalid."""
    if not request.scope["query_string"]:
        return False  # Nothing is parsed for those who ask nothing.
    match request.query_params.get("dry_run"):
        case None | "false":
            return False
        case "true":
            return True
        case _:
            raise Invalid("dry_run_invalid", "`dry_run` is true or false.", field="dry_run")


async def _earlier(side: CommandSide, ledger: str, transaction_id: UUID) -> TransactionEvent | None:
    """Return the first event of the transaction, to read amounts in its currencies.

    It never changes. Another ledger's transaction is none.
    """
    async with side.pool.acquire() as connection:
        found = await log.find(connection, [transaction_id])
    event = found[transaction_id].event if found else None
    return event if isinstance(event, TransactionEvent) and event.ledger == ledger else None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(
            "transaction_id_invalid", "A transaction id is a UUID.", field="transaction_id"
        ) from error
