"""What reconciliation over HTTP works with, opened at start and closed at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from litestar import Litestar

from events import checkpoints
from events import schema as schemas
from events.schema import Schema
from projections.auditing.reconcile import ROLE
from projections.external.importing import ROLE as MATCHER_ROLE
from runtime import database
from runtime.auth import Tokens
from runtime.settings import Settings

CONNECTIONS_MAX = 2
# Who reads seals does not wait for who replays.
SEALS_ROLE = "daybook_reader"


class AuditSide(msgspec.Struct, frozen=True):
    """The auditor's and the matcher's own connections: few, since each keeps one busy for long.

    Repairs take turns.
    """

    settings: Settings
    schema: Schema
    pool: database.Pool
    matcher: database.Pool
    tokens: Tokens
    projected: checkpoints.Waiters
    repairing: asyncio.Lock
    seals: database.Pool
    sealed: checkpoints.Waiters


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open audit side where the routes find it. Raises SchemaError, Unavailable."""
    settings: Settings = app.state.settings
    async with (
        database.pool(settings.database_url, ROLE, CONNECTIONS_MAX) as pool,
        database.pool(settings.database_url, MATCHER_ROLE, CONNECTIONS_MAX) as matcher,
        checkpoints.Waiters(pool, checkpoints.PROJECTOR).watching() as projected,
        database.pool(settings.database_url, SEALS_ROLE, CONNECTIONS_MAX) as seals,
        checkpoints.Waiters(seals, checkpoints.SEALER).watching() as sealed,
    ):
        app.state.audit_side = AuditSide(
            settings,
            schemas.load(settings.schema_file),
            pool,
            matcher,
            Tokens(pool),
            projected,
            asyncio.Lock(),
            seals,
            sealed,
        )
        yield
