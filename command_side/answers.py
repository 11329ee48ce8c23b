"""What a client gets back for a command: rebuilt from the event, so a retry gets the same again."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from command_side.accounts import Account
from command_side.batch import Done
from events import money
from events.schema import Schema
from events.vocabulary import Recorded, TransferPosted, TransferRejected
from runtime.http import ENCODER, Answer
from runtime.problems import Rejected

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
    return Answer(ENCODER.encode(body), 202, _headers(done))


def completed(done: Done, recorded: Recorded, schema: Schema) -> Answer:
    """200: it is readable; the body is what the status route gives for it."""
    event = _transaction(recorded)
    body = {
        "status": "COMPLETED",
        "idempotencyKey": event.key,
        "result": _result(recorded, schema),
    }
    return Answer(ENCODER.encode(body), 200, _headers(done))


def refused(done: Done, recorded: Recorded) -> Rejected:
    """422: decided, kept in the log, and the same for every retry."""
    event = _transaction(recorded)
    assert isinstance(event, TransferRejected)
    return Rejected(
        event.code,
        event.detail,
        headers=_headers(done),
        idempotencyKey=event.key,
        transactionId=recorded.originator_id,
        pollUrl=STATUS_PATH + quote(event.key, safe=""),
    )


def account_policy(done: Done, account: Account, schema: Schema, status: int) -> Answer:
    """Return an account's policy as it stands after the command."""
    decimals = schema.decimals(account.currency)
    limit = account.overdraft_limit
    body = {
        "account_id": account.account_id,
        "class": account.account_class,
        "currency": account.currency,
        "normal_side": account.normal_side,
        "overdraft": "unlimited" if limit is None else money.to_text(limit, decimals),
        "status": account.status,
        "position": done.position,
    }
    return Answer(ENCODER.encode(body), status, _headers(done))


def _transaction(recorded: Recorded) -> TransferPosted | TransferRejected:
    assert isinstance(recorded.event, TransferPosted | TransferRejected)
    return recorded.event


def _headers(done: Done) -> dict[str, str]:
    headers = {POSITION: str(done.position)}
    if done.replayed:
        headers[REPLAYED] = "true"
    return headers


def _result(recorded: Recorded, schema: Schema) -> dict[str, Any]:
    event = _transaction(recorded)
    posting = event.postings[0]
    decimals = schema.decimals(posting.currency)
    return {
        "id": recorded.originator_id,
        "kind": "transfer" if event.refund_of is None else "refund",
        "source_account_id": posting.debit,
        "destination_account_id": posting.credit,
        "amount": money.to_json(posting.amount_minor, decimals),
        "amount_minor": posting.amount,
        "currency": posting.currency,
        "status": "COMPLETED",
        "description": event.description,
        "metadata": event.metadata,
        "refund_of": event.refund_of,
        "position": recorded.position,
        "created_at": event.recorded_at,
    }
