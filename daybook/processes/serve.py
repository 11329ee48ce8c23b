"""The API processes: the command side, the query side, or both in one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

from litestar import Litestar, Router, get
from litestar.types import ASGIApp

import auditing.app
import auditing.four_way.routes
import auditing.reconcile.account_routes
import auditing.reconcile.job_routes
import auditing.repair.routes
import bank_statements.app
import bank_statements.routes
import command_side.api.app
import command_side.api.routes
import query_side.accounts.routes
import query_side.app
import query_side.entries.routes
import query_side.event_feed.app
import query_side.event_feed.routes
import query_side.service_routes
import query_side.statements.routes
import query_side.transactions.routes
import sealing.app
import sealing.routes
from daybook import __version__
from daybook.openapi import document as documents
from daybook.processes.side import Side
from daybook.settings import Settings
from events import schema as schemas
from runtime import database
from runtime import queue as queues
from runtime.cache import Cache
from web import docs_page, health
from web.endpoints import endpoints, route
from web.http import ENCODER, EXCEPTION_HANDLERS, Answer, Raw, raw
from web.operations import Operation
from web.server import server
from web.tokens import Tokens

API_PATH = "/api/v1"
CONNECTIONS_MAX = 2
# Operations of rooms; every room adds its own here, and takes its raw handlers below away.
COMMANDS: list[Operation] = [*command_side.api.routes.OPERATIONS]
QUERIES: list[Operation] = [
    *query_side.transactions.routes.OPERATIONS,
    *query_side.entries.routes.OPERATIONS,
    *query_side.event_feed.routes.OPERATIONS,
    *query_side.accounts.routes.OPERATIONS,
    *query_side.statements.routes.OPERATIONS,
    *query_side.service_routes.OPERATIONS,
    *sealing.routes.OPERATIONS,
    *auditing.reconcile.account_routes.OPERATIONS,
    *auditing.reconcile.job_routes.OPERATIONS,
    *auditing.four_way.routes.OPERATIONS,
    *auditing.repair.routes.OPERATIONS,
]
OPERATIONS = [*COMMANDS, *QUERIES, *health.OPERATIONS]

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


@get("/openapi.json")
async def openapi() -> ASGIApp:
    """Describe the whole API, also those routes that another process serves."""
    return Answer(_encoded_document())


@cache
def _encoded_document() -> bytes:
    return ENCODER.encode(document())


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the whole API."""
    return documents.whole(OPERATIONS)


RAW_QUERIES = [
    *bank_statements.routes.ROUTES,
]


def application(settings: Settings, side: Side) -> Litestar:
    """Return the HTTP application of `side`."""
    operations: list[Operation | Raw] = [*health.OPERATIONS, *raw([openapi])]
    lifespans: list[Lifespan] = [_shared]
    if side in (Side.COMMAND, Side.ALL):
        operations += COMMANDS
        lifespans.append(command_side.api.app.lifespan)
    if side in (Side.QUERY, Side.ALL):
        operations += [*QUERIES, *raw(RAW_QUERIES)]
        lifespans += [
            query_side.app.lifespan,
            query_side.event_feed.app.lifespan,
            auditing.app.lifespan,
            sealing.app.lifespan,
            bank_statements.app.lifespan,
        ]
    found = endpoints(operations)
    outside = endpoints([*health.OPERATIONS, *docs_page.OPERATIONS])
    app = Litestar(
        [Router(API_PATH, route_handlers=[*map(route, found)]), *map(route, outside)],
        lifespan=lifespans,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    app.state.endpoints = {API_PATH + each.path: each for each in found}
    app.state.settings = settings
    app.state.version = __version__
    app.state.stopping = asyncio.Event()
    return app


async def serve(settings: Settings, side: Side) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first.

    Raises SchemaError or Unavailable here, where it is one line, and not in the server's start-up.
    """
    schemas.load(settings.schema_file)
    await (await database.connect(settings.database_url, query_side.app.ROLE)).close()
    await server(application(settings, side), settings.host, settings.port).serve()


@asynccontextmanager
async def _shared(app: Litestar) -> AsyncIterator[None]:
    """Open what all rooms share: the tokens, and what `/ready` asks.

    It has connections of its own, so that a busy pool does not look like a broken database.
    """
    settings: Settings = app.state.settings
    cache = Cache(settings.cache_url)
    role = query_side.app.ROLE
    async with (
        database.pool(settings.database_url, role, CONNECTIONS_MAX) as pool,
        queues.connect(settings.queue_url) as queue,
    ):
        app.state.tokens = Tokens(pool)
        app.state.checks = checks(pool, cache, queue)
        try:
            yield
        finally:
            await cache.close()


def checks(pool: database.Pool, cache: Cache, queue: queues.Queue) -> Mapping[str, Any]:
    """Return the three components that every API process stands on."""
    return {
        "database": lambda: pool.fetchval("SELECT 1"),
        "cache": cache.ping,
        "queue": queue.attributes,
    }
