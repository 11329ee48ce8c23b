"""Compare the new tables with the live ones, row by row, at the same position."""

import msgspec

from auditing.rebuild.load import Folded, fold_on
from auditing.rebuild.tables import LONG_S, NAMES
from events import checkpoints
from runtime.database import Connection
from runtime.sql import queries

SQL = queries("auditing")
SHOWN_MAX = 5


class DifferingRow(msgspec.Struct, frozen=True):
    """A row that differs, as text; None is a row that is not there."""

    live: str | None
    built: str | None


class TableDifference(msgspec.Struct, frozen=True):
    """How many rows of a table differ, and the first of them."""

    table: str
    differing: int
    first: list[DifferingRow]


async def compare(connection: Connection, folded: Folded) -> list[TableDifference]:
    """Compare every table in one snapshot, byte by byte; return those that differ.

    The events that the projector has folded as of the snapshot are folded here, too, in the same
    transaction. So nobody has to wait.
    """
    async with connection.transaction(isolation="repeatable_read"):
        await fold_on(connection, folded, await checkpoints.read(connection, checkpoints.PROJECTOR))
        found = []
        for row in await connection.fetch(SQL["comparison_statements"], NAMES):
            rows = await connection.fetch(row["statement"], SHOWN_MAX, timeout=LONG_S)
            if rows:
                first = [DifferingRow(shown["live"], shown["built"]) for shown in rows]
                found.append(
                    TableDifference(f"read.{row['table_name']}", rows[0]["differing"], first)
                )
    return found
