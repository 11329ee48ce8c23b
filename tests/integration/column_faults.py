"""Faults in the columns of views: each column alone is changed to each possible wrong value."""

# ruff: noqa: S608 - faults are made by SQL that is put together from the catalogue

from datetime import timedelta
from typing import NamedTuple

from auditing import view_catalog
from command_side.domain.commands import Hold
from runtime import database
from tests.integration import fixtures

VIEWS = {
    view.table: view
    for view in view_catalog.JOURNALS + view_catalog.READ_SIDE + view_catalog.COMMAND_SIDE
}
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
    postings=fixtures.several(("world", "alice", 1, "USD")),
    expires_at=fixtures.START + timedelta(days=900),
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


async def columns_of(owner: database.Connection, table: str) -> list[Column]:
    """Return the columns of a table, as the catalogue has them."""
    rows = await owner.fetch(
        "SELECT column_name, data_type, is_nullable = 'YES' AS nullable"
        " FROM information_schema.columns WHERE table_schema || '.' || table_name = $1",
        table,
    )
    columns = [Column(row["column_name"], row["data_type"], row["nullable"]) for row in rows]
    assert columns
    return columns


async def changed_row(
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
