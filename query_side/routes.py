"""HTTP ↔ read models. Every answer carries `Daybook-Position`, the last event that it shows.

A client that must see its own write sends `Daybook-Min-Position: N`, and `Prefer: wait=S` for how
long it would wait; if the projection is not there in time, the answer is 503 with `Retry-After`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from events import codec, transaction_view
from events.types import transaction_id as id_of_key
from query_side import filters, lists, queries, views
from query_side.app import QuerySide
from query_side.filters import Asked
from query_side.parameters import Parameters
from query_side.queries import Read
from runtime.problems import NotFound, Unavailable
from runtime.sql import Row
from web import caller as access
from web import conditions
from web.caller import Caller
from web.http import ENCODER, Answer, HttpRequest, check_path

POSITION = "Daybook-Position"
CACHE_PREFIX = "daybook:"


@get("/transactions/status/{key:path}")
async def status(request: HttpRequest) -> ASGIApp:
    """Poll a submission: 202 until it is projected, then 200 with its result."""
    side, caller = await _may_read(request)
    # As it was sent: the framework normalises the decoded path, so that a//b would be a/b.
    idempotency_key = unquote(request.scope["raw_path"].decode().partition("/status/")[2])
    transaction_id = id_of_key(caller.ledger, idempotency_key)
    found = await queries.read(side.pool, "transaction", transaction_id, caller.ledger)
    if found.row is not None:
        return _answer(views.polled(found.row, side.schema), found.position)
    if await queries.submitted(side.pool, transaction_id):
        body = {"status": "PROCESSING", "idempotencyKey": idempotency_key}
        return _answer(body, found.position, 202)
    raise NotFound(
        "transaction_not_found",
        f"Nothing was submitted with the idempotency key {idempotency_key!r}.",
    )


@get("/transactions/{transaction_id:str}")
async def transaction(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Return one transaction, and what refers to it."""
    side, caller = await _may_read(request)
    found, related = await queries.transaction(
        side.pool, _transaction_id(transaction_id), caller.ledger
    )
    if found.row is None:
        raise _no_transaction(transaction_id)
    shown = transaction_view.answer(transaction_view.of_row(found.row), side.schema, related)
    return _answer(shown, found.position)


@get("/transactions")
async def transactions(request: HttpRequest) -> ASGIApp:
    """List transactions, newest first."""
    side, caller = await _may_read(request)
    asked = filters.transactions(_parameters(request), caller.ledger, side.schema)
    return await _listed(
        side, asked, lambda row: transaction_view.answer(transaction_view.of_row(row), side.schema)
    )


@post("/transactions/{transaction_id:str}/verify-double-entry", status_code=200)
async def verify_double_entry(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Show a transaction's entries, and that debits equal credits in each currency."""
    side, caller = await _may_read(request)
    found, entries = await queries.transaction_entries(
        side.pool, _transaction_id(transaction_id), caller.ledger
    )
    if found.row is None:
        raise _no_transaction(transaction_id)
    return _answer(views.verification(found.row, entries), found.position)


@get("/entries")
async def entries(request: HttpRequest) -> ASGIApp:
    """List a ledger's entries, newest first, each with its account's balance after it."""
    side, caller = await _may_read(request)
    asked = filters.entries(_parameters(request), caller.ledger, side.schema)
    return await _listed(side, asked, lambda row: views.entry(row, side.schema))


@get("/accounts")
async def accounts(request: HttpRequest) -> ASGIApp:
    """List accounts by id, each with its policy and its balance."""
    side, caller = await _may_read(request)
    asked = filters.accounts(_parameters(request), caller.ledger, side.schema)
    return await _listed(
        side, asked, lambda row: views.account(row, side.schema) | views.balance(row, side.schema)
    )


@get("/accounts/{account_id:str}")
async def account(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Return an account's policy."""
    side, caller = await _may_read(request)
    found = await _account(side, caller, account_id)
    assert found.row is not None
    return _answer(views.account(found.row, side.schema), found.position)


@get("/accounts/{account_id:str}/ledger")
async def ledger(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """List an account's entries, newest first, each with the balance after it."""
    side, caller = await _may_read(request)
    asked = filters.entries(_parameters(request), caller.ledger, side.schema, account_id)
    await _account(side, caller, account_id)
    return await _listed(side, asked, lambda row: views.entry(row, side.schema))


@get("/accounts/{account_id:str}/audit-trail")
async def audit_trail(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """List every event of the log that concerns an account, newest first, refusals included."""
    side, caller = await _may_read(request)
    asked = filters.audit_trail(_parameters(request), caller.ledger, account_id)
    await _account(side, caller, account_id)
    return await _listed(side, asked, lambda row: views.event(codec.recorded(row)))


@get("/books")
async def books(request: HttpRequest) -> ASGIApp:
    """Return until when the ledger's books are closed."""
    side, caller = await _may_read(request)
    found = await queries.read(side.pool, "books", caller.ledger)
    return _answer(views.books(found.row), found.position)


@get("/queue/stats")
async def queue_stats(request: HttpRequest) -> ASGIApp:
    """Return what the queue says of itself."""
    side, _ = await _may_read(request)
    attributes = await side.queue.attributes()
    body = {
        "queueUrl": side.queue.url,
        "messageCount": int(attributes.get("ApproximateNumberOfMessages", 0)),
        "inFlightCount": int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
        "visibilityTimeout": int(attributes.get("VisibilityTimeout", 0)),
        "isFifo": attributes.get("FifoQueue") == "true",
        "contentDeduplication": attributes.get("ContentBasedDeduplication") == "true",
        "timestamp": datetime.now(UTC),
    }
    return Answer(ENCODER.encode(body))


@get("/cache/stats")
async def cache_stats(request: HttpRequest) -> ASGIApp:
    """Return what the cache says of itself; a cache that is down is an answer, not an error."""
    side, _ = await _may_read(request)
    body: dict[str, Any] = {
        "connected": False,
        "totalKeys": None,
        "prefix": CACHE_PREFIX,
        "defaultTtl": side.settings.result_ttl_s,
        "memoryUsage": None,
        "timestamp": datetime.now(UTC),
    }
    try:
        stats = await side.cache.stats(CACHE_PREFIX)
    except Unavailable:
        return Answer(ENCODER.encode(body))
    body |= {"connected": True, "totalKeys": stats["keys"], "memoryUsage": stats["memory"]}
    return Answer(ENCODER.encode(body))


ROUTES = [
    status,
    transaction,
    transactions,
    verify_double_entry,
    entries,
    accounts,
    account,
    ledger,
    audit_trail,
    books,
    queue_stats,
    cache_stats,
]


async def _may_read(request: HttpRequest) -> tuple[QuerySide, Caller]:
    """Return the open query side and the caller, once the projection is as far as asked for."""
    side: QuerySide = request.app.state.query_side
    caller = await access.caller(request.headers, side.tokens, "read")
    check_path(request)
    await conditions.ensure(request.headers, side.projected.reached, side.settings.wait_s_max)
    return side, caller


async def _account(side: QuerySide, caller: Caller, account_id: str) -> Read:
    found = await queries.read(side.pool, "account", caller.ledger, account_id)
    if found.row is None:
        raise NotFound(
            "account_not_found",
            f"There is no account {account_id!r} (up to position {found.position}).",
        )
    return found


def _transaction_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise _no_transaction(text) from error


def _no_transaction(text: str) -> NotFound:
    return NotFound("transaction_not_found", f"There is no transaction {text!r}.")


def _parameters(request: HttpRequest) -> Parameters:
    return Parameters(request.query_params.multi_items())


async def _listed(side: QuerySide, asked: Asked, view: Callable[[Row], object]) -> Answer:
    page = await lists.page(side.pool, *asked)
    body = {
        "items": [view(row) for row in page.rows],
        "next": page.next,
        "previous": page.previous,
    }
    return _answer(body, page.position)


def _answer(body: object, position: int, status_code: int = 200) -> Answer:
    return Answer(ENCODER.encode(body), status_code, {POSITION: str(position)})
