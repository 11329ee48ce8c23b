"""HTTP ↔ command: what a client may send. Every shape is checked before the writer sees it."""

from uuid import UUID

import msgspec
from litestar import patch, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from command_side import answers
from command_side.app import CommandSide
from command_side.batch import Done
from command_side.commands import (
    ChangeAccount,
    Keyed,
    OpenAccount,
    Refund,
    Transfer,
    check_account_id,
    check_attachments,
    check_key,
)
from events import access, freshness, log, money
from events.access import Caller
from events.schema import NONE, UNLIMITED, Schema
from events.vocabulary import Metadata, Status, TransferPosted, TransferRejected
from runtime.http import HttpRequest, decode, read_body
from runtime.problems import Invalid


class TransferBody(msgspec.Struct, forbid_unknown_fields=True):
    """`amount` in units: a JSON number or a string, exact either way."""

    source_account_id: str
    destination_account_id: str
    amount: msgspec.Raw
    currency: str | None = None
    description: str | None = None
    metadata: Metadata | None = None


class SubmitBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /transactions`."""

    transaction: TransferBody
    idempotencyKey: str | None = None  # noqa: N815 - the API's own spelling


class RefundBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /transactions/{id}/refund`; without an amount, all that is left."""

    amount: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    currency: str | None = None
    description: str | None = None
    metadata: Metadata | None = None
    idempotencyKey: str | None = None  # noqa: N815


class OpenBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /accounts`; `overdraft` is "none", "unlimited" or an amount in units."""

    account_id: str
    currency: str | None = None
    overdraft: str | None = None


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    """`PATCH /accounts/{id}`; what is left out stays. An amount is in units of `currency`."""

    status: Status | None = None
    overdraft: str | None = None
    currency: str | None = None


_SUBMIT = msgspec.json.Decoder(SubmitBody)
_REFUND = msgspec.json.Decoder(RefundBody)
_OPEN = msgspec.json.Decoder(OpenBody)
_CHANGE = msgspec.json.Decoder(ChangeBody)


@post("/transactions", status_code=202)
async def submit(request: HttpRequest) -> ASGIApp:
    """Submit a transfer: 202 once it is durable; with `Prefer: wait=S`, 200 once readable."""
    side: CommandSide = request.app.state.command_side
    caller = await _may_write(request, side)
    body = decode(await read_body(request, side.settings.body_bytes_max), _SUBMIT)
    key = check_key(body.idempotencyKey, request.headers.get("idempotency-key"))
    command = transfer(caller.ledger, key, body.transaction, side.schema)
    return await _submitted(request, side, command)


@post("/transactions/{transaction_id:str}/refund", status_code=202)
async def refund(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Give back all or part of a transaction; answered like a submission."""
    side: CommandSide = request.app.state.command_side
    caller = await _may_write(request, side)
    raw = await read_body(request, side.settings.body_bytes_max)
    body = decode(raw or b"{}", _REFUND)
    key = check_key(body.idempotencyKey, request.headers.get("idempotency-key"))
    refund_of = _uuid(transaction_id)
    currency = await _currency_of(side, refund_of)
    command = reversal(caller.ledger, key, refund_of, currency, body, side.schema)
    return await _submitted(request, side, command)


@post("/accounts", status_code=201)
async def open_account(request: HttpRequest) -> ASGIApp:
    """Open an account: 201; 200 if it is there already with the same policy."""
    side: CommandSide = request.app.state.command_side
    caller = await _may_write(request, side)
    body = decode(await read_body(request, side.settings.body_bytes_max), _OPEN)
    currency = _currency(body.currency, side.schema)
    command = OpenAccount(
        ledger=caller.ledger,
        account_id=check_account_id(body.account_id, "account_id"),
        currency=currency,
        overdraft_limit=_overdraft_limit(body.overdraft, currency, side.schema),
    )
    side.schema.decimals(currency)
    done = await side.writer.submit(command)
    return _policy(done, side, 200 if done.recorded is None else 201)


@patch("/accounts/{account_id:str}")
async def change_account(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Freeze, open again, close (at zero), or give another overdraft limit."""
    side: CommandSide = request.app.state.command_side
    caller = await _may_write(request, side)
    body = decode(await read_body(request, side.settings.body_bytes_max), _CHANGE)
    currency = _currency(body.currency, side.schema)
    command = ChangeAccount(
        ledger=caller.ledger,
        account_id=check_account_id(account_id, "account_id"),
        status=msgspec.UNSET if body.status is None else body.status,
        overdraft_limit=_overdraft_limit(body.overdraft, currency, side.schema),
        currency=currency,
    )
    return _policy(await side.writer.submit(command), side, 200)


ROUTES = [submit, refund, open_account, change_account]


def transfer(ledger: str, key: str, body: TransferBody, schema: Schema) -> Transfer:
    """Return the command that `body` asks for. Raises Invalid."""
    currency = _currency(body.currency, schema)
    source = check_account_id(body.source_account_id, "source_account_id")
    destination = check_account_id(body.destination_account_id, "destination_account_id")
    if source == destination:
        raise Invalid("same_account", "Source and destination are the same account.")
    check_attachments(body.description, body.metadata, schema)
    return Transfer(
        ledger=ledger,
        key=key,
        source=source,
        destination=destination,
        amount=_minor(body.amount, currency, schema),
        currency=currency,
        description=body.description,
        metadata=body.metadata,
    )


def reversal(
    ledger: str, key: str, refund_of: UUID, currency: str, body: RefundBody, schema: Schema
) -> Refund:
    """Return the refund that `body` asks for, in `currency` if it names none. Raises Invalid."""
    check_attachments(body.description, body.metadata, schema)
    amount, named = None, body.currency
    if named is not None:
        schema.decimals(named)  # Checked here: a refusal puts it into the log as it is.
    if body.amount is not msgspec.UNSET:
        named = named or currency
        amount = _minor(body.amount, named, schema)
    return Refund(
        ledger=ledger,
        key=key,
        refund_of=refund_of,
        amount=amount,
        currency=named,
        description=body.description,
        metadata=body.metadata,
    )


async def _may_write(request: HttpRequest, side: CommandSide) -> Caller:
    return await access.caller(request.headers, side.tokens, "write")


async def _submitted(request: HttpRequest, side: CommandSide, command: Keyed) -> ASGIApp:
    wait_s = freshness.preferred_wait_s(request.headers, side.settings.wait_s_max)
    done = await side.writer.submit(command)
    assert done.recorded is not None
    if isinstance(done.recorded.event, TransferRejected):
        raise answers.refused(done, done.recorded)
    if wait_s is not None and await side.projected.reached(done.position, wait_s):
        return answers.completed(done, done.recorded, side.schema)
    return answers.accepted(done, done.recorded, side.settings.result_ttl_s)


def _currency(text: str | None, schema: Schema) -> str:
    """Return the currency asked for; only one that is not named at all is the default."""
    return schema.defaults.currency if text is None else text


def _minor(amount: msgspec.Raw, currency: str, schema: Schema) -> int:
    return money.to_minor(money.parse(bytes(amount)), schema.decimals(currency), currency)


async def _currency_of(side: CommandSide, transaction_id: UUID) -> str:
    """Return the currency of a transaction, to read an amount in; it never changes.

    For a transaction that isn't there any currency will do: the refund is refused anyway.
    """
    async with side.pool.acquire() as connection:
        found = await log.find(connection, [transaction_id])
    event = found[transaction_id].event if found else None
    if isinstance(event, TransferPosted | TransferRejected) and event.postings:
        return event.postings[0].currency
    return side.schema.defaults.currency


def _policy(done: Done, side: CommandSide, status: int) -> ASGIApp:
    assert done.account is not None
    return answers.account_policy(done, done.account, side.schema, status)


def _overdraft_limit(
    text: str | None, currency: str, schema: Schema
) -> int | msgspec.UnsetType | None:
    match text:
        case None:
            return msgspec.UNSET
        case str() if text == UNLIMITED:
            return None
        case str() if text == NONE:
            return 0
    amount = money.parse(f'"{text}"'.encode(), "overdraft")
    return money.to_minor(amount, schema.decimals(currency), currency, "overdraft") if amount else 0


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(
            "transaction_id_invalid", "A transaction id is a UUID.", field="transaction_id"
        ) from error
