"""No column of any view may change unnoticed: each is changed alone, found, named and put back."""

# ruff: noqa: S608 - faults are made by SQL that is put together from the catalogue

from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import pytest

from command_side.commands import Hold
from projections.auditing import audited
from projections.auditing.audited import Journal, Register
from projections.auditing.discrepancies import Discrepancy
from projections.auditing.reconcile import ROLE, reconcile_all
from projections.catch_up import catch_up
from projections.worker import ROLE as PROJECTOR_ROLE
from runtime import database
from tests.integration import given

VIEWS = {view.table: view for view in audited.JOURNALS + audited.READ_SIDE + audited.COMMAND_SIDE}
# Their rows are no views of the log, but what the auditor found, and where it stands.
NO_VIEW = {"read.reconciliations", "read.discrepancies", "read.places"}
# A changed value for each type, near the old one: what is off by the least is found, too.
CHANGED = {
    "bigint": "{0} + 1000",
    "smallint": "{0} + 100",
    "numeric": "{0} + 1",
    "text": "{0} || ' '",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
    "ARRAY": "array_append({0}, 0)",
}
# Where a constraint knows the few words that there are, another one of them.
OTHER_WORD = {
    "side": "CASE {0} WHEN 'debit' THEN 'credit' ELSE 'debit' END",
    "normal_side": "CASE {0} WHEN 'debit' THEN 'credit' ELSE 'debit' END",
    "status": "CASE {0} WHEN 'open' THEN 'frozen_in' ELSE 'open' END",
    "kind": "CASE {0} WHEN 'held' THEN 'posted' ELSE 'held' END",
}
# What a column that was empty is filled with.
FILLED = {
    "numeric": "1",
    "text": "'{{}}'",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()",
}
STILL_DUE = Hold(
    ledger="demo",
    key="still-due",
    postings=given.several(("world", "alice", 1, "USD")),
    expires_at=given.START + timedelta(days=900),
)


class Column(NamedTuple):
    """A column of a view, as information_schema has it."""

    name: str
    kind: str
    nullable: bool

    def changes(self) -> list[tuple[str, str]]:
        """Return (which rows, what they become): another value, none, one where there was none."""
        there = f"{self.name} IS NOT NULL"
        other = OTHER_WORD.get(self.name, CHANGED[self.kind]).format(self.name)
        made = [(there, other)]
        if self.nullable:
            made += [(there, "NULL"), (f"{self.name} IS NULL", FILLED[self.kind].format())]
        if self.kind == "ARRAY":
            made.append((f"{self.name}[1] IS NOT NULL", f"ARRAY[{self.name}[1] + 1]"))
        return made


@pytest.mark.parametrize("table", sorted(VIEWS))
async def test_every_column_of_every_view_is_compared(database_url: str, table: str) -> None:
    """The kind is the view's own, and the column is shown with both values."""
    await given.rich_log(database_url, count=20)
    await given.written(database_url, [STILL_DUE])
    await given.project(database_url)
    async with (
        given.connected(database_url) as owner,
        given.connected(database_url, ROLE) as auditor,
    ):
        assert await _found(auditor) == []
        for column in await _columns(owner, table):
            for where, value in column.changes():
                before = await _changed(owner, table, column, where, value)
                found = await _found(auditor)
                _check_named(VIEWS[table], column, found)
                await _put_back(owner, table, column, before)
        assert await _found(auditor) == []


async def test_every_table_of_both_sides_is_a_view_that_is_compared(database_url: str) -> None:
    """A further table in a migration is a further line in `audited.py`."""
    async with given.connected(database_url) as owner:
        rows = await owner.fetch(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
            " WHERE table_schema IN ('read', 'command')"
        )
    assert {row["name"] for row in rows} - NO_VIEW == set(VIEWS)


async def test_queries_of_journals_have_the_columns_of_their_rows(database_url: str) -> None:
    """A row is compared as a whole, so the order of its columns must be the auditor's."""
    async with given.connected(database_url, ROLE) as auditor:
        for view in audited.JOURNALS:
            for query in filter(None, (view.query, view.account_query)):
                prepared = await auditor.prepare(query)
                names = tuple(attribute.name for attribute in prepared.get_attributes())
                assert names == view.row.__struct_fields__, view.table


@pytest.mark.parametrize("page", [1, 17])
async def test_a_rich_log_is_clean_at_every_stop_of_the_projector(
    database_url: str, page: int
) -> None:
    """Behind the head, too: the read side is compared as of its checkpoint."""
    length = await given.rich_log(database_url, count=2)
    stops = 0
    async with (
        given.connected(database_url, PROJECTOR_ROLE) as projector,
        given.connected(database_url, ROLE) as auditor,
    ):
        assert await _found(auditor) == []
        while await catch_up(projector, page):
            assert await _found(auditor) == []
            stops += 1
    assert stops == -(-length // page)


async def _columns(owner: database.Connection, table: str) -> list[Column]:
    rows = await owner.fetch(
        "SELECT column_name, data_type, is_nullable = 'YES' AS nullable"
        " FROM information_schema.columns WHERE table_schema || '.' || table_name = $1",
        table,
    )
    columns = [Column(row["column_name"], row["data_type"], row["nullable"]) for row in rows]
    assert columns
    return columns


async def _changed(
    owner: database.Connection, table: str, column: Column, where: str, value: str
) -> tuple[str, object]:
    """Change one row; return where it is now, and what stood there."""
    row = await owner.fetchrow(
        f"SELECT ctid::text, {column.name} FROM {table} WHERE {where} ORDER BY ctid DESC LIMIT 1"
    )
    assert row is not None, f"the log is not rich enough: no {table} WHERE {where}"
    ctid, before = row
    now = await owner.fetchval(
        f"UPDATE {table} SET {column.name} = {value} WHERE ctid = '{ctid}' RETURNING ctid::text"
    )
    return now, before


async def _put_back(
    owner: database.Connection, table: str, column: Column, before: tuple[str, object]
) -> None:
    await owner.execute(
        f"UPDATE {table} SET {column.name} = $1 WHERE ctid = '{before[0]}'", before[1]
    )


async def _found(auditor: database.Connection) -> list[Discrepancy]:
    return (await reconcile_all(auditor, uuid4())).discrepancies


def _check_named(view: Journal | Register, column: Column, found: list[Discrepancy]) -> None:
    """A changed key is one row missing and another unexpected; any other column is named."""
    kinds = {discrepancy.kind for discrepancy in found}
    if isinstance(view, Register):
        assert kinds == {view.kind}, column
    elif {view.missing, view.unexpected} <= kinds:
        assert kinds == {view.missing, view.unexpected}, column
        return
    else:
        assert kinds == {view.differs({column.name})}, column
    if isinstance(view, Register) and column.name in view.key:
        assert len(found) == 2, column
        return
    (difference,) = found
    assert difference.expected.startswith(f"{column.name} "), difference
    assert difference.actual.startswith(f"{column.name} "), difference
    assert difference.expected != difference.actual
