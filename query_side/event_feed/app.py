"""What the event feed's routes work with besides the query side, opened and closed after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from litestar import Litestar

from query_side.app import QuerySide
from query_side.event_feed import pages
from query_side.event_feed.following import Following
from query_side.settings import QuerySettings
from web.operations import opened


class EventFeed(msgspec.Struct, frozen=True):
    """The clients that follow the log, and the turns of those that read long stretches of it."""

    reading: QuerySide
    following: Following
    turns: asyncio.Semaphore

    @property
    def settings(self) -> QuerySettings:
        """Return the query side's settings."""
        return self.reading.settings

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether the read models came to `position` within `timeout_s`."""
        return await self.reading.reached(position, timeout_s)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open event feed where the routes find it."""
    side: QuerySide = opened(app)[QuerySide]
    turns = asyncio.Semaphore(pages.TURNS)
    async with Following(side.settings, side.pool, turns).running(app.state.stopping) as following:
        opened(app)[EventFeed] = EventFeed(side, following, turns)
        yield
