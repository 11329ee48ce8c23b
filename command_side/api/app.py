"""What the command side's routes work with, opened at start and closed at the end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from litestar import Litestar

from command_side.domain.commands import Rehearsal, Request
from command_side.due import DueSettler
from command_side.settings import CommandSettings
from command_side.writer.idempotency import PREFIX, Idempotency
from command_side.writer.outcomes import Rehearsed
from command_side.writer.writer import ROLE, Writer
from events import checkpoints
from events import schema as schemas
from events.schema import Schema
from runtime import database
from runtime.cache import Cache
from web.operations import opened
from web.tokens import Tokens

CONNECTIONS_MAX = 2


class CommandSide(msgspec.Struct, frozen=True):
    """The process's writer and its surroundings."""

    settings: CommandSettings
    schema: Schema
    pool: database.Pool
    tokens: Tokens
    writer: Writer
    projected: checkpoints.Waiters
    cache: Cache
    cache_prefix: str = PREFIX

    async def reached(self, position: int, timeout_s: float) -> bool:
        """Return whether what is read here came to `position` within `timeout_s`."""
        return await self.projected.reached(position, timeout_s)

    async def readable(self, position: int, wait_s: int | None) -> bool:
        """Return whether `position` is readable within the time that a client waits, if it does."""
        if wait_s is None:
            return False
        return await self.projected.reached(position, min(wait_s, self.settings.wait_s_max))

    async def rehearse(self, commands: tuple[Request, ...]) -> Rehearsed:
        """Return what would become of `commands`, all of one ledger, without doing anything."""
        rehearsal = Rehearsal(ledger=commands[0].ledger, commands=commands)
        outcome = await self.writer.submit(rehearsal)
        assert isinstance(outcome, Rehearsed), outcome
        return outcome


@asynccontextmanager
async def open_command_side(
    settings: CommandSettings, tokens: Tokens
) -> AsyncIterator[CommandSide]:
    """Open everything. Raises SchemaError, Unavailable."""
    schema = schemas.load(settings.schema_file)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            database.pool(settings.database_url, ROLE, CONNECTIONS_MAX)
        )
        cache = Cache(settings.cache_url)
        stack.push_async_callback(cache.close)
        idempotency = Idempotency(cache, settings.result_ttl_s)
        writer = await stack.enter_async_context(Writer(settings, schema, idempotency).running())
        settler = DueSettler(pool, writer, settings.sweep_interval_s)
        await stack.enter_async_context(settler.running())
        projected = await stack.enter_async_context(
            checkpoints.Waiters(pool, checkpoints.PROJECTOR).watching()
        )
        yield CommandSide(settings, schema, pool, tokens, writer, projected, cache)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Put the open command side where the routes find it."""
    async with open_command_side(app.state.settings, app.state.tokens) as side:
        app.state.command_side = side
        opened(app)[CommandSide] = side
        yield
