"""The eight tables of the read models, live in `read` and new in `read_rebuilt`."""

import asyncio
from collections.abc import Sequence
from typing import Any

from projections.folds.balances import BalanceRow
from projections.folds.entries import EntryRow
from projections.folds.projected_rows import AccountReference, AccountRow, BooksRow, RecordedTime
from projections.folds.transaction_states import TransactionState
from projections.folds.transactions import TransactionRow
from runtime.database import Connection
from runtime.sql import queries

SQL = queries("auditing")
REBUILT = "read_rebuilt"
REPLACED = "read_replaced"
LONG_S = 86_400.0

JOURNALS: dict[str, type[Any]] = {
    "entries": EntryRow,
    "transactions": TransactionRow,
    "mentions": AccountReference,
    "moments": RecordedTime,
}
REGISTERS: dict[str, type[Any]] = {
    "accounts": AccountRow,
    "balances": BalanceRow,
    "standings": TransactionState,
    "books": BooksRow,
}
TABLES = JOURNALS | REGISTERS
NAMES = [f"read.{name}" for name in TABLES]


async def create(connection: Connection) -> None:
    """Create the new tables like the live ones, without indexes; drop older new ones."""
    await drop(connection)
    async with connection.transaction():
        await connection.execute(f"CREATE SCHEMA {REBUILT}")
        for row in await connection.fetch(SQL["create_statements"], NAMES):
            await connection.execute(row["statement"])


async def drop(connection: Connection) -> None:
    """Drop the tables that a rebuild or a swap left."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {REBUILT}, {REPLACED} CASCADE")


async def index(connections: Sequence[Connection]) -> None:
    """Build all indexes and keys, one at a time on each connection, and analyze the tables."""
    rows = await connections[0].fetch(SQL["index_statements"], NAMES)
    left = [row["index_statement"] for row in reversed(rows)]
    left[:0] = [f"ANALYZE {REBUILT}.{name}" for name in TABLES]

    async def build(connection: Connection) -> None:
        await connection.execute(SQL["build_with_memory"])
        while left:
            await connection.execute(left.pop(), timeout=LONG_S)

    await asyncio.gather(*(build(connection) for connection in connections))
    for row in rows:
        if row["constraint_statement"] is not None:
            await connections[0].execute(row["constraint_statement"])


async def copy(connection: Connection, name: str, source: Any) -> None:  # noqa: ANN401 - bytes, later
    """Copy rows into a new table: CSV, as an asynchronous iterator of bytes."""
    await connection.copy_to_table(
        name,
        schema_name=REBUILT,
        source=source,
        columns=TABLES[name].__struct_fields__,
        timeout=LONG_S,
        format="csv",
        null="null",
        escape="\\",
    )
