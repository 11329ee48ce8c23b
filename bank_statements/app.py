"""What the routes of bank statements work with, opened at start and closed at the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from litestar import Litestar

from bank_statements.importer import ROLE
from bank_statements.settings import BankStatementSettings
from events import checkpoints
from events import schema as schemas
from events.schema import Schema
from runtime import database
from web.operations import opened

CONNECTIONS_MAX = 2


class StatementSide(msgspec.Struct, frozen=True):
    """The matcher's connections: few, since each keeps one busy for long."""

    settings: BankStatementSettings
    schema: Schema
    pool: database.Pool
    projected: checkpoints.Waiters

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether what is read here came to `position` within `timeout_s`."""
        return await self.projected.reached(position, timeout_s)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open side where the routes find it. Raises SchemaError, Unavailable."""
    settings: BankStatementSettings = app.state.settings
    async with (
        database.pool(settings.database_url, ROLE, CONNECTIONS_MAX) as pool,
        checkpoints.Waiters(pool, checkpoints.PROJECTOR).watching() as projected,
    ):
        opened(app)[StatementSide] = StatementSide(
            settings, schemas.load(settings.schema_file), pool, projected
        )
        yield
