"""What a client gets back for a command: rebuilt from the event, so a retry gets the same again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from command_side.accounts import Account
from command_side.batch import Done, Outcome, refusal, rejected
from command_side.commands import CloseBooks
from events import money
from events.schema import Schema
from events.vocabulary import Recorded, TransactionEvent, TransferRejected
from runtime.http import ENCODER, Answer
from runtime.problems import Invalid, Problem, Rejected

POSITION = "Daybook-Position"
REPLAYED = "Idempotent-Replayed"
STATUS_PATH = "/api/v1/transactions/status/"


def accepted(done: Done, recorded: Recorded, result_ttl_s: int) -> Answer:
    """202: it is durable, and will be readable at `pollUrl`."""
    event = _transaction(recorded)
    body = {
        "status": "ACCEPTED",
        "idempotencyKey": event.key,
        "messageId": recorded.originator_id,
        "pollUrl": STATUS_PATH + quote(event.key, safe=""),
        "expiresAt": event.recorded_at + timedelta(seconds=result_ttl_s),
    }
    return Answer(ENCODER.encode(body), 202, headers(done))


def completed(done: Done, recorded: Recorded, schema: Schema) -> Answer:
    """200: it is readable; the body is what the status route gives for it."""
    event = _transaction(recorded)
    body = {
        "status": "COMPLETED",
        "idempotencyKey": event.key,
        "result": _result(recorded, schema),
    }
    return Answer(ENCODER.encode(body), 200, headers(done))


def refused(done: Done, recorded: Recorded) -> Rejected:
    """422 (or 409): decided, kept in the log, and the same for every retry."""
    event = _transaction(recorded)
    assert isinstance(event, TransferRejected)
    return rejected(
        event.code,
        event.detail,
        headers=headers(done),
        idempotencyKey=event.key,
        transactionId=recorded.originator_id,
        pollUrl=STATUS_PATH + quote(event.key, safe=""),
    )


def account_policy(done: Done, account: Account, schema: Schema, status: int) -> Answer:
    """Return an account's policy as it stands after the command."""
    body = _policy(account, schema) | {"position": done.position}
    return Answer(ENCODER.encode(body), status, headers(done))


def books(done: Done, command: CloseBooks, status: int) -> Answer:
    """Return until when a ledger's books are closed."""
    body = {"closed_before": command.closed_before, "position": done.position}
    return Answer(ENCODER.encode(body), status, headers(done))


def rehearsed_alone(outcome: Outcome, accounts: Sequence[Account], schema: Schema) -> Answer:
    """200 as of many, but raises the refusal of what is one command, as doing it would."""
    problem = refusal(outcome)
    if problem is not None:
        problem.extensions["dryRun"] = True
        raise problem
    return rehearsed([outcome], accounts, schema)


def rehearsed(outcomes: Sequence[Outcome], accounts: Sequence[Account], schema: Schema) -> Answer:
    """200: what would be decided, and the balances that it would leave; nothing was appended."""
    body = {
        "dryRun": True,
        "results": [_decision(outcome, schema) for outcome in outcomes],
        "accounts": [_policy(account, schema) | _counters(account, schema) for account in accounts],
    }
    return Answer(ENCODER.encode(body))


def headers(done: Done) -> dict[str, str]:
    """Return the headers that every answer to a command has."""
    made = {POSITION: str(done.position)}
    if done.replayed:
        made[REPLAYED] = "true"
    return made


def problem_status(problem: Problem) -> str:
    """Return the status of one of many that has no effect."""
    match problem:
        case Rejected():
            return "REFUSED"
        case Invalid():
            return "INVALID"
        case _:
            return "UNAVAILABLE"


def _transaction(recorded: Recorded) -> TransactionEvent:
    assert isinstance(recorded.event, TransactionEvent)
    return recorded.event


def _decision(outcome: Outcome, schema: Schema) -> dict[str, Any]:
    refused_for = refusal(outcome)
    if refused_for is not None:
        status = problem_status(refused_for)
        return {"status": status, "code": refused_for.code, "detail": refused_for.detail}
    assert isinstance(outcome, Done)
    made: dict[str, Any] = {"status": "ACCEPTED"}
    if outcome.replayed:
        made["replayed"] = True
    if outcome.recorded is not None and isinstance(outcome.recorded.event, TransactionEvent):
        made["transaction"] = _result(outcome.recorded, schema) | {"position": None}
    if outcome.parts:
        made["results"] = [_decision(part, schema) for part in outcome.parts]
    return made


def _policy(account: Account, schema: Schema) -> dict[str, Any]:
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


def _counters(account: Account, schema: Schema) -> dict[str, Any]:
    decimals = schema.decimals(account.currency)
    shown: dict[str, Any] = {}
    for name in (
        *("balance", "available"),
        *("debits_posted", "credits_posted", "debits_pending", "credits_pending"),
    ):
        minor = getattr(account, name)
        shown[name] = money.to_json(minor, decimals)
        shown[f"{name}_minor"] = str(minor)
    return shown


def _result(recorded: Recorded, schema: Schema) -> dict[str, Any]:
    event = _transaction(recorded)
    return {"id": recorded.originator_id, "kind": event.kind, "status": event.stage}
