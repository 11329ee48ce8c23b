"""What the auditor's operations work with, opened at start and closed at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from litestar import Litestar

from auditing.roles import AUDITOR
from auditing.settings import AuditSettings
from events import checkpoints
from events import schema as schemas
from events.schema import Schema
from runtime import database
from web.operations import opened

CONNECTIONS_MAX = 2


class AuditSide(msgspec.Struct, frozen=True):
    """The auditor's connections. They are few, because each request uses one for long.

    One repair at a time is applied.
    """

    settings: AuditSettings
    schema: Schema
    pool: database.Pool
    projected: checkpoints.Waiters
    repairing: asyncio.Lock

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether the read models reached `position` within `timeout_s`."""
        return await self.projected.reached(position, timeout_s)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Open the side, where operations find it. Raises SchemaError, Unavailable."""
    settings: AuditSettings = app.state.settings
    async with (
        database.pool(settings.database_url, AUDITOR, CONNECTIONS_MAX) as pool,
        checkpoints.Waiters(pool, checkpoints.PROJECTOR).watching() as projected,
    ):
        opened(app)[AuditSide] = AuditSide(
            settings,
            schemas.load(settings.schema_file),
            pool,
            projected,
            asyncio.Lock(),
        )
        yield
