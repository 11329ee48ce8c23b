"""What the query side's routes work with, opened at start and closed at the end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from litestar import Litestar

from events import checkpoints
from events import schema as schemas
from events.schema import Schema
from query_side.settings import QuerySettings
from runtime import database
from runtime import queue as queues
from runtime.cache import Cache
from runtime.queue import Queue
from web.operations import opened
from web.tokens import Tokens

ROLE = "daybook_reader"


class QuerySide(msgspec.Struct, frozen=True):
    """The read models, the log, and the queue and the cache, whose figures two routes show."""

    settings: QuerySettings
    schema: Schema
    pool: database.Pool
    tokens: Tokens
    projected: checkpoints.Waiters
    cache: Cache
    queue: Queue

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether the read models came to `position` within `timeout_s`."""
        return await self.projected.reached(position, timeout_s)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open query side where the routes find it. Raises SchemaError, Unavailable."""
    settings: QuerySettings = app.state.settings
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            database.pool(settings.database_url, ROLE, settings.read_connections_max)
        )
        cache = Cache(settings.cache_url)
        stack.push_async_callback(cache.close)
        queue = await stack.enter_async_context(queues.connect(settings.queue_url))
        projected = await stack.enter_async_context(
            checkpoints.Waiters(pool, checkpoints.PROJECTOR).watching()
        )
        opened(app)[QuerySide] = QuerySide(
            settings,
            schemas.load(settings.schema_file),
            pool,
            app.state.tokens,
            projected,
            cache,
            queue,
        )
        yield
