"""Rows copied into a table are the rows that were given."""

import string
from typing import Any

import asyncpg
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime import database
from runtime.sql import as_records

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


NUMBERS = st.integers(-(10**38) + 1, 10**38 - 1)
# Every example has a connection and a temporary table of its own.
with_a_connection_each = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@with_a_connection_each
@given(
    rows=st.lists(
        st.builds(Thing, st.none() | TEXTS, st.none() | NUMBERS, st.none() | TEXTS),
        min_size=1,
        max_size=20,
    )
)
async def test_every_text_and_number_arrives_as_it_was(
    database_url: str, rows: list[Thing]
) -> None:
    """Quotes, backslashes, control characters, the word null, the empty text, 38 digits."""
    assert await _copied(database_url, rows) == [msgspec.structs.astuple(row) for row in rows]


@with_a_connection_each
@given(rows=st.lists(st.builds(Thing, TEXTS, NUMBERS, TEXTS), min_size=1, max_size=20))
async def test_every_text_and_number_of_a_record_arrives_as_it_was(
    database_url: str, rows: list[Thing]
) -> None:
    """The same, as the parameter of a query."""
    assert await _as_parameter(database_url, rows) == [msgspec.structs.astuple(row) for row in rows]


async def _as_parameter(database_url: str, rows: list[Thing]) -> list[tuple[Any, ...]]:
    connection = await database.connect(database_url)
    try:
        await connection.execute(
            "CREATE TEMPORARY TABLE things (first text, number numeric, last text)"
        )
        found: list[asyncpg.Record] = await connection.fetch(
            "SELECT first, number, last FROM unnest($1::text[]::things[])", as_records(rows)
        )
        return [tuple(row) for row in found]
    finally:
        await connection.close()


async def _copied(database_url: str, rows: list[Thing]) -> list[tuple[Any, ...]]:
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
