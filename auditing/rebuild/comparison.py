"""The new tables beside the live ones, row by row, at the very same position."""

import msgspec

from auditing.rebuild.load import Folded, go_on
from auditing.rebuild.tables import LONG_S, NAMES
from events import checkpoints
from runtime.database import Connection
from runtime.sql import queries

SQL = queries("auditing")
SHOWN_MAX = 5


class Difference(msgspec.Struct, frozen=True):
    """A row that is not the same: as text, None where there is none."""

    live: str | None
    built: str | None


class Compared(msgspec.Struct, frozen=True):
    """How many rows of a table differ; the first of them."""

    table: str
    differing: int
    first: list[Difference]


async def compare(connection: Connection, folded: Folded) -> list[Compared]:
    """Compare every table in one snapshot, byte by byte; return those that differ.

    What the projector has folded as of the snapshot is folded here, too, in the same transaction:
    nothing has to stand still.
    """
    async with connection.transaction(isolation="repeatable_read"):
        await go_on(connection, folded, await checkpoints.read(connection, checkpoints.PROJECTOR))
        found = []
        for row in await connection.fetch(SQL["comparison_statements"], NAMES):
            rows = await connection.fetch(row["statement"], SHOWN_MAX, timeout=LONG_S)
            if rows:
                first = [Difference(shown["live"], shown["built"]) for shown in rows]
                found.append(Compared(f"read.{row['table_name']}", rows[0]["differing"], first))
    return found
