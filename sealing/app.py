"""What the seal's routes work with, opened at start and closed at the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from litestar import Litestar

from events import checkpoints
from runtime import database
from sealing.settings import SealSettings
from web.operations import opened

CONNECTIONS_MAX = 2
# Reading a seal never waits for a reconciliation, which has connections of its own.
ROLE = "daybook_reader"


class SealSide(msgspec.Struct, frozen=True):
    """Connections that read what was sealed, and how far the sealer has come."""

    settings: SealSettings
    pool: database.Pool
    sealed: checkpoints.Waiters

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether what is read here came to `position` within `timeout_s`."""
        return await self.sealed.reached(position, timeout_s)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open side where the routes find it. Raises Unavailable."""
    settings: SealSettings = app.state.settings
    async with (
        database.pool(settings.database_url, ROLE, CONNECTIONS_MAX) as pool,
        checkpoints.Waiters(pool, checkpoints.SEALER).watching() as sealed,
    ):
        opened(app)[SealSide] = SealSide(settings, pool, sealed)
        yield
