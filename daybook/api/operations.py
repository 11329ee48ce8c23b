"""The operations of all rooms, in the order in which the OpenAPI document has them."""

from functools import cache
from typing import Any

import msgspec
from litestar.types import ASGIApp

import auditing.four_way.routes
import auditing.reconcile.account_routes
import auditing.reconcile.job_routes
import auditing.repair.routes
import bank_statements.routes
import command_side.api.routes
import query_side.accounts.routes
import query_side.entries.routes
import query_side.event_feed.routes
import query_side.service_routes
import query_side.statements.routes
import query_side.transactions.routes
import sealing.routes
from daybook import __version__
from daybook.api import examples
from web import health, openapi
from web.answers import ENCODER, Answer
from web.openapi import About
from web.operations import Operation, operation

API_PATH = "/api/v1"
ABOUT = About(
    title="Daybook",
    version=__version__,
    description="An event-sourced double-entry ledger. `docs/http-api.md` says what all operations "
    "share; `docs/how-to/` goes through the jobs one by one.",
    license="Apache-2.0",
    server=API_PATH,
    tags={
        "Submitting": "Money moves, or is held, scheduled, refunded: all that has a key.",
        "Accounts": "Policies of accounts, and closing the books.",
        "Reading transactions": "What was submitted, and what became of it.",
        "The log": "What happened, as it was recorded.",
        "Reading accounts": "Balances, entries and events of an account.",
        "Reconciling": "The log replayed, and compared with what the read models show.",
        "Proving": "The log as a transparency log: checkpoints, receipts, proofs.",
        "Bank statements": "Files of banks and processors, matched with entries.",
        "The service": "How it is.",
    },
    security="A token is bound to ledgers and to scopes: `read`, `write`, `reconcile`, `repair`, "
    "or `admin`, which is all of them.",
)


class OpenApi(msgspec.Struct):
    """An OpenAPI 3.1 document."""

    openapi: str


@operation("GET", "/openapi.json", name="openapi", tag=health.TAG, answers={200: OpenApi}, gives=())
async def openapi_document() -> ASGIApp:
    """Describe the whole API, with the operations that another process serves, too."""
    return Answer(_encoded())


COMMANDS: list[Operation] = command_side.api.routes.OPERATIONS
QUERIES: list[Operation] = [
    *query_side.transactions.routes.OPERATIONS,
    *query_side.entries.routes.OPERATIONS,
    *query_side.event_feed.routes.OPERATIONS,
    *query_side.accounts.routes.OPERATIONS,
    *query_side.statements.routes.OPERATIONS,
    *query_side.service_routes.OPERATIONS,
    *auditing.reconcile.account_routes.OPERATIONS,
    *auditing.reconcile.job_routes.OPERATIONS,
    *auditing.four_way.routes.OPERATIONS,
    *auditing.repair.routes.OPERATIONS,
    *sealing.routes.OPERATIONS,
    *bank_statements.routes.OPERATIONS,
]
EVERYWHERE: list[Operation] = [*health.OPERATIONS, openapi_document]
OPERATIONS = [*COMMANDS, *QUERIES, *EVERYWHERE]


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the whole API."""
    return openapi.document(OPERATIONS, ABOUT, examples.load())


@cache
def _encoded() -> bytes:
    return ENCODER.encode(document())
