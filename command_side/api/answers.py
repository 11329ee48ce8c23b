"""What a client gets back for a command: built from the event, so a retry gets the same again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, assert_never
from urllib.parse import quote

import msgspec

from command_side.domain.account import AccountState
from command_side.domain.commands import CloseBooks
from command_side.domain.rejections import Code, Rejection
from command_side.writer.outcomes import (
    Accepted,
    AllAccepted,
    KeyReused,
    NoneAccepted,
    Outcome,
    PolicySet,
    Refused,
    Rehearsed,
    Unchanged,
)
from events import money, transaction_view
from events.schema import Schema
from events.types import Recorded, TransactionEvent
from runtime.problems import Invalid, Outdated, Problem, Rejected
from web.http import ENCODER, Answer

POSITION = "Daybook-Position"
REPLAYED = "Idempotent-Replayed"
STATUS_PATH = "/api/v1/transactions/status/"


def accepted(outcome: Accepted, result_ttl_s: int) -> Answer:
    """202: it is durable, and will be readable at `pollUrl`."""
    event = _transaction(outcome.recorded)
    body = {
        "status": "ACCEPTED",
        "idempotencyKey": event.key,
        "messageId": outcome.recorded.originator_id,
        "pollUrl": STATUS_PATH + quote(event.key, safe=""),
        "expiresAt": event.recorded_at + timedelta(seconds=result_ttl_s),
    }
    return Answer(ENCODER.encode(body), 202, headers(outcome.position, replayed=outcome.replayed))


def completed(outcome: Accepted, schema: Schema) -> Answer:
    """200: it is readable; the body is that of the status route."""
    event = _transaction(outcome.recorded)
    body = {
        "status": "COMPLETED",
        "idempotencyKey": event.key,
        "result": transaction_view.answer(transaction_view.of_event(outcome.recorded), schema),
    }
    return Answer(ENCODER.encode(body), 200, headers(outcome.position, replayed=outcome.replayed))


def problem_of(outcome: Outcome) -> Problem | None:
    """Return the problem that a client gets for an outcome, if it is not a success."""
    match outcome:
        case Accepted() | PolicySet() | Unchanged() | AllAccepted() | Rehearsed():
            return None
        case Refused():
            return _rejected(outcome.rejection)
        case KeyReused():
            detail = f"The idempotency key {outcome.key!r} was used for a different command."
            return Rejected("idempotency_key_reused", detail)
        case NoneAccepted():
            problem = problem_of(outcome.reason)
            assert problem is not None, "a part is refused for a reason"
            problem.extensions |= {"index": outcome.index, "idempotencyKey": outcome.key}
            return problem
        case Problem():
            return outcome
        case _:
            assert_never(outcome)


def logged_refusal(outcome: Refused, recorded: Recorded) -> Problem:
    """Return the problem of a refusal that is in the log: it is the same for every retry."""
    event = _transaction(recorded)
    return _rejected(
        outcome.rejection,
        headers=headers(recorded.position, replayed=outcome.replayed),
        idempotencyKey=event.key,
        transactionId=recorded.originator_id,
        pollUrl=STATUS_PATH + quote(event.key, safe=""),
    )


def _rejected(rejection: Rejection, **more: Any) -> Problem:  # noqa: ANN401 - as a Problem takes
    kind = Outdated if rejection.code is Code.VERSION_CONFLICT else Rejected
    return kind(rejection.code, rejection.detail, **more)


def account_policy(outcome: PolicySet, schema: Schema, status: int) -> Answer:
    """Return an account's policy as it is after the command."""
    body = _policy(outcome.account, schema) | {"position": outcome.position}
    return Answer(ENCODER.encode(body), status, headers(outcome.position))


def books(outcome: Accepted | Unchanged, command: CloseBooks, status: int) -> Answer:
    """Return until when a ledger's books are closed."""
    body = {"closed_before": command.closed_before, "position": outcome.position}
    return Answer(ENCODER.encode(body), status, headers(outcome.position))


def rehearsed(
    outcomes: Sequence[Outcome], accounts: Sequence[AccountState], schema: Schema
) -> Answer:
    """200: what would be decided of each, and the accounts that would change. Nothing was done."""
    body = {
        "dryRun": True,
        "results": [_decision(outcome, schema) for outcome in outcomes],
        "accounts": [_policy(account, schema) | _counters(account, schema) for account in accounts],
    }
    return Answer(ENCODER.encode(body))


def effect(problem: Problem) -> str:
    """Return the status of one of many commands without effect: REFUSED, INVALID, UNAVAILABLE."""
    match problem:
        case Rejected():
            return "REFUSED"
        case Invalid():
            return "INVALID"
        case _:
            return "UNAVAILABLE"


def headers(position: int, *, replayed: bool = False) -> dict[str, str]:
    """Return the headers that every answer to a command has."""
    made = {POSITION: str(position)}
    if replayed:
        made[REPLAYED] = "true"
    return made


def _transaction(recorded: Recorded) -> TransactionEvent:
    assert isinstance(recorded.event, TransactionEvent)
    return recorded.event


def _decision(outcome: Outcome, schema: Schema) -> dict[str, Any]:
    problem = problem_of(outcome)
    if problem is not None:
        return {"status": effect(problem), "code": problem.code, "detail": problem.detail}
    made: dict[str, Any] = {"status": "ACCEPTED"}
    if isinstance(outcome, Accepted):
        if outcome.replayed:
            made["replayed"] = True
        if isinstance(outcome.recorded.event, TransactionEvent):
            shown = transaction_view.answer(transaction_view.of_event(outcome.recorded), schema)
            made["transaction"] = msgspec.structs.replace(shown, position=None)
    return made


def _policy(account: AccountState, schema: Schema) -> dict[str, Any]:
    decimals = schema.decimals(account.currency)
    limit = account.overdraft_limit
    return {
        "account_id": account.account_id,
        "class": account.account_class,
        "type": account.account_type,
        "currency": account.currency,
        "normal_side": account.normal_side,
        "overdraft": "unlimited" if limit is None else money.to_text(limit, decimals),
        "status": account.status,
        "metadata": account.metadata,
        "version": account.version,
    }


def _counters(account: AccountState, schema: Schema) -> dict[str, Any]:
    decimals = schema.decimals(account.currency)
    counters: dict[str, Any] = {}
    for name in (
        *("balance", "available"),
        *("debits_posted", "credits_posted", "debits_pending", "credits_pending"),
    ):
        minor = getattr(account, name)
        counters[name] = money.to_json(minor, decimals)
        counters[f"{name}_minor"] = str(minor)
    return counters
