"""What a client gets back for a command: rebuilt from the event, so a retry gets the same again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from command_side.domain.account import Account
from command_side.domain.commands import CloseBooks
from command_side.writer.commit import Done, Outcome, refusal, rejected
from events import money, transaction_view
from events.schema import Schema
from events.types import Recorded, TransactionEvent, TransferRejected, due_at, summary_of
from runtime.problems import Invalid, Problem, Rejected
from web.http import ENCODER, Answer

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


def rehearsed(outcomes: Sequence[Outcome], accounts: Sequence[Account], schema: Schema) -> Answer:
    """200: what would be decided of each, and what accounts that would leave; nothing was done."""
    body = {
        "dryRun": True,
        "results": [_decision(outcome, schema) for outcome in outcomes],
        "accounts": [_policy(account, schema) | _counters(account, schema) for account in accounts],
    }
    return Answer(ENCODER.encode(body))


def effect(problem: Problem) -> str:
    """Return why one of many commands has none: refused, not readable, or to be repeated."""
    match problem:
        case Rejected():
            return "REFUSED"
        case Invalid():
            return "INVALID"
        case _:
            return "UNAVAILABLE"


def headers(done: Done) -> dict[str, str]:
    """Return the headers that every answer to a command has."""
    made = {POSITION: str(done.position)}
    if done.replayed:
        made[REPLAYED] = "true"
    return made


def _transaction(recorded: Recorded) -> TransactionEvent:
    assert isinstance(recorded.event, TransactionEvent)
    return recorded.event


def _decision(outcome: Outcome, schema: Schema) -> dict[str, Any]:
    problem = refusal(outcome)
    if problem is not None:
        return {"status": effect(problem), "code": problem.code, "detail": problem.detail}
    assert isinstance(outcome, Done)
    made: dict[str, Any] = {"status": "ACCEPTED"}
    if outcome.replayed:
        made["replayed"] = True
    if outcome.recorded is not None and isinstance(outcome.recorded.event, TransactionEvent):
        made["transaction"] = _result(outcome.recorded, schema) | {"position": None}
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
    counters: dict[str, Any] = {}
    for name in (
        *("balance", "available"),
        *("debits_posted", "credits_posted", "debits_pending", "credits_pending"),
    ):
        minor = getattr(account, name)
        counters[name] = money.to_json(minor, decimals)
        counters[f"{name}_minor"] = str(minor)
    return counters


def _result(recorded: Recorded, schema: Schema) -> dict[str, Any]:
    """Return the transaction as the query side shows it, as long as nothing follows it."""
    event = _transaction(recorded)
    summary = summary_of(event.postings)
    row: dict[str, Any] = {
        "transaction_id": recorded.originator_id,
        "kind": event.kind,
        "status": event.stage,
        "source_account_id": summary.source,
        "destination_account_id": summary.destination,
        "amount": summary.amount_minor,
        "currency": summary.currency,
        "postings": _text(event.postings),
        "description": event.description,
        "reference": event.reference,
        "metadata": None if event.metadata is None else _text(event.metadata),
        "rate": None if event.rate is None else _text(event.rate),
        "about": event.about,
        "due_at": due_at(event),
        "effective_at": event.effective_at,
        "recorded_at": event.recorded_at,
        "position": recorded.position,
        "used": None,
        "code": None,
        "detail": None,
        "changed_at": None,
    }
    return transaction_view.transaction(row, schema)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
