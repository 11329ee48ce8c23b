"""Rows copied into a table are the rows that were given."""

import string
from typing import Any

import asyncpg
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime import database

CONTROL = "".join(map(chr, range(1, 32)))
TEXTS = st.one_of(
    st.text(st.sampled_from('",\\\n\r\t\b\f[]{}.nu0 null' + CONTROL), max_size=12),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["null", "", "\\.", "]\n[", "\\n", "\\\\n", '\\"', '"', string.printable]),
)


class Thing(msgspec.Struct):
    """A row of the table below, field by column."""

    first: str | None
    number: int | None
    last: str | None


# Every example has a connection and a temporary table of its own.
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.builds(
            Thing,
            st.none() | TEXTS,
            st.none() | st.integers(-(10**38) + 1, 10**38 - 1),
            st.none() | TEXTS,
        ),
        min_size=1,
        max_size=20,
    )
)
async def test_every_text_and_number_arrives_as_it_was(
    database_url: str, rows: list[Thing]
) -> None:
    """Quotes, backslashes, control characters, the word null, the empty text, 38 digits."""
    assert await _round_trip(database_url, rows) == [msgspec.structs.astuple(row) for row in rows]


async def _round_trip(database_url: str, rows: list[Thing]) -> list[tuple[Any, ...]]:
    connection = await database.connect(database_url)
    try:
        await connection.execute(
            "CREATE TEMPORARY TABLE things ("
            "  place int GENERATED ALWAYS AS IDENTITY, first text, number numeric, last text)"
        )
        schema = await connection.fetchval(
            "SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()"
        )
        await database.copy(connection, schema, "things", rows)
        found: list[asyncpg.Record] = await connection.fetch(
            "SELECT first, number, last FROM things ORDER BY place"
        )
        return [tuple(row) for row in found]
    finally:
        await connection.close()
