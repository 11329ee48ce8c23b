"""The API processes: the command side, the query side, or both in one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litestar import Litestar, Router

import auditing.app
import bank_statements.app
import command_side.api.app
import query_side.app
import query_side.event_feed.app
import sealing.app
from daybook import __version__
from daybook.api.operations import API_PATH, COMMANDS, EVERYWHERE, QUERIES
from daybook.processes.side import ServedSide
from daybook.settings import Settings
from events import schema as schemas
from runtime import database
from runtime import queue as queues
from runtime.cache import Cache
from web import docs_page, health
from web.endpoints import endpoints, route
from web.failures import EXCEPTION_HANDLERS
from web.server import server
from web.tokens import Tokens

CONNECTIONS_MAX = 2

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def application(settings: Settings, side: ServedSide) -> Litestar:
    """Return the HTTP application of `side`."""
    operations = [*EVERYWHERE]
    lifespans: list[Lifespan] = [_shared]
    if side in (ServedSide.COMMAND, ServedSide.ALL):
        operations += COMMANDS
        lifespans.append(command_side.api.app.lifespan)
    if side in (ServedSide.QUERY, ServedSide.ALL):
        operations += QUERIES
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


async def serve(settings: Settings, side: ServedSide) -> None:
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
