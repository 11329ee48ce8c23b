"""HTTP ↔ read models. Every answer carries `Daybook-Position`, the last event that it shows.

A client that must see its own write sends `Daybook-Min-Position: N`, and `Prefer: wait=S` for how
long it would wait; if the projection is not there in time, the answer is 503 with `Retry-After`.
"""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from events import access, freshness
from events.access import Caller
from events.vocabulary import transaction_id as id_of_key
from query_side import cursors, queries, views
from query_side.app import QuerySide
from query_side.queries import Read
from runtime.http import ENCODER, Answer, HttpRequest, check_path
from runtime.problems import NotFound, Unavailable

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
        return _answer(views.polled(found.row, side.schema), found)
    if await queries.submitted(side.pool, transaction_id):
        body = {"status": "PROCESSING", "idempotencyKey": idempotency_key}
        return _answer(body, found, 202)
    raise NotFound(
        "transaction_not_found",
        f"Nothing was submitted with the idempotency key {idempotency_key!r}.",
    )


@get("/transactions/{transaction_id:str}")
async def transaction(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Return one transaction."""
    side, caller = await _may_read(request)
    found = await _transaction(side, caller, transaction_id)
    assert found.row is not None
    return _answer(views.transaction(found.row, side.schema), found)


@get("/transactions")
async def transactions(request: HttpRequest) -> ASGIApp:
    """List transactions, newest first."""
    side, caller = await _may_read(request)
    cursor, limit = _paging(request)
    found = await queries.transactions(side.pool, caller.ledger, cursor, limit)
    items = [views.transaction(row, side.schema) for row in found.rows]
    return _answer(views.page(items, found.next_cursor), found)


@post("/transactions/{transaction_id:str}/verify-double-entry", status_code=200)
async def verify_double_entry(request: HttpRequest, transaction_id: FromPath[str]) -> ASGIApp:
    """Show a transaction's entries, and that debits equal credits in each currency."""
    side, caller = await _may_read(request)
    found = await _transaction(side, caller, transaction_id)
    row = found.row
    assert row is not None
    accounts = [row["source_account_id"], row["destination_account_id"]]
    entries = await queries.read(
        side.pool, "transaction_entries", caller.ledger, accounts, row["position"]
    )
    totals: dict[str, dict[str, int]] = defaultdict(lambda: {"debit": 0, "credit": 0})
    for entry in entries.rows:
        totals[entry["currency"]][entry["side"]] += entry["amount"]
    expected = 0 if row["status"] == "FAILED" else row["amount"]
    balanced = all(
        total["debit"] == total["credit"] == expected for total in totals.values()
    ) and bool(totals) == (expected > 0)
    body = {
        "transaction_id": row["transaction_id"],
        "balanced": balanced,
        "totals": [
            {
                "currency": currency,
                "debits_minor": str(t["debit"]),
                "credits_minor": str(t["credit"]),
            }
            for currency, t in totals.items()
        ],
        "entries": [
            {
                "account_id": entry["account_id"],
                "side": entry["side"],
                "amount_minor": str(entry["amount"]),
                "currency": entry["currency"],
            }
            for entry in entries.rows
        ],
    }
    return _answer(body, entries)


@get("/accounts/{account_id:str}")
async def account(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """Return an account's policy."""
    side, caller = await _may_read(request)
    found = await _account(side, caller, account_id)
    assert found.row is not None
    return _answer(views.account(found.row, side.schema), found)


@get("/accounts/{account_id:str}/ledger")
async def ledger(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """List an account's entries, newest first, each with the balance after it."""
    side, caller = await _may_read(request)
    cursor, limit = _paging(request)
    await _account(side, caller, account_id)
    found = await queries.entries(side.pool, caller.ledger, account_id, cursor, limit)
    items = [views.entry(row, side.schema) for row in found.rows]
    return _answer(views.page(items, found.next_cursor), found)


@get("/accounts/{account_id:str}/audit-trail")
async def audit_trail(request: HttpRequest, account_id: FromPath[str]) -> ASGIApp:
    """List every event of the log that concerns an account, newest first, refusals included."""
    side, caller = await _may_read(request)
    cursor, limit = _paging(request)
    await _account(side, caller, account_id)
    events, found = await queries.audit_trail(side.pool, caller.ledger, account_id, cursor, limit)
    return _answer(views.page([views.event(e) for e in events], found.next_cursor), found)


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
    account,
    ledger,
    audit_trail,
    queue_stats,
    cache_stats,
]


async def _may_read(request: HttpRequest) -> tuple[QuerySide, Caller]:
    """Return the open query side and the caller, once the projection is as far as asked for."""
    side: QuerySide = request.app.state.query_side
    caller = await access.caller(request.headers, side.tokens, "read")
    check_path(request)
    await freshness.ensure(request.headers, side.projected, side.settings.wait_s_max)
    return side, caller


async def _transaction(side: QuerySide, caller: Caller, text: str) -> Read:
    code, detail = "transaction_not_found", f"There is no transaction {text!r}."
    try:
        transaction_id = UUID(text)
    except ValueError as error:
        raise NotFound(code, detail) from error
    found = await queries.read(side.pool, "transaction", transaction_id, caller.ledger)
    if found.row is None:
        raise NotFound(code, detail)
    return found


async def _account(side: QuerySide, caller: Caller, account_id: str) -> Read:
    found = await queries.read(side.pool, "account", caller.ledger, account_id)
    if found.row is None:
        raise NotFound(
            "account_not_found",
            f"There is no account {account_id!r} (up to position {found.position}).",
        )
    return found


def _paging(request: HttpRequest) -> tuple[str | None, int]:
    parameters = request.query_params
    return parameters.get("cursor"), cursors.limit(parameters.get("limit"))


def _answer(body: object, found: Read, status_code: int = 200) -> Answer:
    return Answer(ENCODER.encode(body), status_code, {POSITION: str(found.position)})
