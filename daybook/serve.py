"""The API processes: the command side, the query side, or both in one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litestar import Litestar, Router, get
from litestar.types import ASGIApp, ControllerRouterHandler

import command_side.app
import command_side.routes
import projections.app
import projections.auditing.routes
import projections.auditing.runs.routes
import projections.external.routes
import projections.fourway.routes
import projections.repairing.routes
import projections.sealing.routes
import query_side.app
import query_side.events.routes
import query_side.routes
import query_side.statements.routes
from daybook import __version__
from daybook.openapi import document
from daybook.side import Side
from events import schema as schemas
from runtime import database, health
from runtime import queue as queues
from runtime.cache import Cache
from runtime.http import EXCEPTION_HANDLERS, Answer, HttpRequest
from runtime.server import server
from runtime.settings import Settings

API_PATH = "/api/v1"


@get("/openapi.json")
async def openapi() -> ASGIApp:
    """Describe the whole API, also those routes that another process serves."""
    return Answer(document.encoded())


Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def application(settings: Settings, side: Side) -> Litestar:
    """Return the HTTP application of `side`."""
    routes: list[ControllerRouterHandler] = [*health.ROUTES]
    lifespans: list[Lifespan] = [_readiness]
    if side in (Side.COMMAND, Side.ALL):
        routes += command_side.routes.ROUTES
        lifespans.append(command_side.app.lifespan)
    if side in (Side.QUERY, Side.ALL):
        routes += [
            *query_side.routes.ROUTES,
            *query_side.statements.routes.ROUTES,
            *query_side.events.routes.ROUTES,
            *projections.auditing.routes.ROUTES,
            *projections.auditing.runs.routes.ROUTES,
            *projections.fourway.routes.ROUTES,
            *projections.repairing.routes.ROUTES,
            *projections.sealing.routes.ROUTES,
            *projections.external.routes.ROUTES,
        ]
        lifespans += [query_side.app.lifespan, projections.app.lifespan]
    app = Litestar(
        [Router(API_PATH, route_handlers=[*routes, openapi]), *health.ROUTES],
        lifespan=lifespans,
        request_class=HttpRequest,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
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
async def _readiness(app: Litestar) -> AsyncIterator[None]:
    """Open what `/ready` asks: connections of its own, so that a busy pool is not a sick one."""
    settings: Settings = app.state.settings
    cache = Cache(settings.cache_url)
    role = query_side.app.ROLE
    async with (
        database.pool(settings.database_url, role, 1) as pool,
        queues.connect(settings.queue_url) as queue,
    ):
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
