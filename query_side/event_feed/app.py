"""What the event feed's routes work with besides the query side, opened and closed after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from litestar import Litestar

from query_side.app import QuerySide
from query_side.event_feed import pages
from query_side.event_feed.following import Following


class EventFeed(msgspec.Struct, frozen=True):
    """The clients that follow the log, and the turns of those that read long stretches of it."""

    following: Following
    turns: asyncio.Semaphore


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open event feed where the routes find it."""
    side: QuerySide = app.state.query_side
    turns = asyncio.Semaphore(pages.TURNS)
    async with Following(side.settings, side.pool, turns).running(app.state.stopping) as following:
        app.state.event_feed = EventFeed(following, turns)
        yield
