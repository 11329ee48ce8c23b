"""What the auditor's routes work with, opened at start and closed at the end."""

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
from web.tokens import Tokens

CONNECTIONS_MAX = 2


class AuditSide(msgspec.Struct, frozen=True):
    """The auditor's connections: few, since each keeps one busy for long. Repairs take turns."""

    settings: AuditSettings
    schema: Schema
    pool: database.Pool
    tokens: Tokens
    projected: checkpoints.Waiters
    repairing: asyncio.Lock

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether what is read here came to `position` within `timeout_s`."""
        return await self.projected.reached(position, timeout_s)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open side where the routes find it. Raises SchemaError, Unavailable."""
    settings: AuditSettings = app.state.settings
    async with (
        database.pool(settings.database_url, AUDITOR, CONNECTIONS_MAX) as pool,
        checkpoints.Waiters(pool, checkpoints.PROJECTOR).watching() as projected,
    ):
        app.state.audit_side = AuditSide(
            settings,
            schemas.load(settings.schema_file),
            pool,
            app.state.tokens,
            projected,
            asyncio.Lock(),
        )
        opened(app)[AuditSide] = app.state.audit_side
        yield
