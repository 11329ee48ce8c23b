"""PostgreSQL connections, each restricted to the role that its process needs.

The login of `DAYBOOK_DATABASE_URL` must be a member of the role; `daybook migrate` grants it. The
role is a start-up parameter, so every statement of the session has its rights and no others.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from runtime.problems import Unavailable
from runtime.sql import as_csv

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 5.0

# For sessions that find every row by its key. A prepared statement keeps its plan: a plan made
# while a table was small reads the whole table until its next ANALYZE (measured: 95 us for an
# update of a row instead of 17).
BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

if TYPE_CHECKING:
    # Only asyncpg's stubs are generic; its classes are not.
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    Executor = Connection | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection, Pool = asyncpg.Connection, asyncpg.Pool
    Executor = Connection

# The errors of a lost or refused connection; the same work may be tried again.
CONNECTION_ERRORS = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # The pool's reset raises it on a connection that just died.
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)


async def connect(url: str, role: str | None = None, **server_settings: str) -> Connection:
    """Open one connection, as `role` if given. Raises Unavailable."""
    if role:
        server_settings["role"] = role
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings={"application_name": role or "daybook", **server_settings},
        )
    except CONNECTION_ERRORS as error:
        raise unavailable(error) from error
    await _prepare(connection)
    return connection


@asynccontextmanager
async def pool(url: str, role: str, connections_max: int) -> AsyncIterator[Pool]:
    """Open a pool of at most `connections_max`; close it in bounded time. Raises Unavailable."""
    try:
        opened = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=connections_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            init=_prepare,
            server_settings={"application_name": role, "role": role},
        )
    except CONNECTION_ERRORS as error:
        raise unavailable(error) from error
    try:
        yield opened
    finally:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(opened.close(), CLOSE_TIMEOUT_S)


async def copy(
    connection: Executor, schema: str, table: str, rows: Sequence[msgspec.Struct]
) -> None:
    """Add rows; a struct's fields are the table's columns.

    It takes the server a third less time than an INSERT from JSON (measured with 4,000 rows of 15
    columns and three indexes).
    """
    await connection.copy_to_table(
        table,
        schema_name=schema,
        columns=rows[0].__struct_fields__,
        source=_once(as_csv(rows)),
        format="csv",
        null="null",
        escape="\\",
    )


async def listen(connection: Connection, channel: str, wake: Callable[[], None]) -> None:
    """Call `wake` at every notification on `channel`."""

    def woken(*_: object) -> None:
        wake()

    await connection.add_listener(channel, woken)


def unavailable(error: BaseException) -> Unavailable:
    """Return the problem of a PostgreSQL that does not answer, without its address."""
    detail = f"The database does not answer ({type(error).__name__}). Try again with the same key."
    return Unavailable("database_unavailable", detail)


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    """Yield `piece`; asyncpg would read a file object in a thread, which costs two switches."""
    yield piece


async def _prepare(connection: Executor) -> None:
    # Every numeric column holds whole numbers. They become exact Python ints by way of text, which
    # also takes less time than a Decimal.
    await connection.set_type_codec(
        "numeric", schema="pg_catalog", encoder=str, decoder=int, format="text"
    )
