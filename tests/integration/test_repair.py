"""Repair: every column of every view is put back as it was, and nothing else is touched."""

# ruff: noqa: S608 - faults are made by SQL that is put together from the catalogue

import pytest

from projections.repairing import repair as repairs
from projections.repairing.plan import Action, Wanted
from projections.repairing.repair import ROLE, Repair
from runtime import database
from tests.integration import given
from tests.integration.columns import STILL_DUE, VIEWS, changed_row, columns_of

ALICE = "ledger = 'demo' AND account_id = 'alice'"
EVERYTHING = Wanted()
OPEN_LOG = "ALTER TABLE events.daybook_events DISABLE TRIGGER daybook_events_immutable"


async def _applied(connection: database.Connection, wanted: Wanted = EVERYTHING) -> Repair:
    done = await repairs.apply(connection, wanted, applied_by="a test", reason="to see it mended")
    assert done is not None
    assert done.check is not None
    assert done.check.remaining == 0
    return done


async def _rows(owner: database.Connection, *tables: str) -> dict[str, list[str]]:
    """Return all rows of the views, as text that no two different rows share."""
    return {
        table: [row[0] for row in await owner.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1")]
        for table in tables or sorted(VIEWS)
    }


@pytest.mark.parametrize("table", sorted(VIEWS))
async def test_every_column_of_every_view_is_put_back(database_url: str, table: str) -> None:
    """All columns of a row and its whole self, in one log: planned, applied, as before."""
    await given.rich_log(database_url, count=10)
    await given.written(database_url, [STILL_DUE])
    await given.project(database_url)
    async with (
        given.connected(database_url) as owner,
        given.connected(database_url, ROLE) as repairer,
    ):
        before = await _rows(owner)
        for column in await columns_of(owner, table):
            for where, value in column.changes():
                await changed_row(owner, table, column, where, value)
                done = await _applied(repairer)
                assert {change.table for change in done.changes} == {table}
                assert await _rows(owner, table) == {table: before[table]}, column
        await owner.execute(f"DELETE FROM {table}")
        done = await _applied(repairer)
        assert {change.action for change in done.changes} == {Action.INSERT}
        assert await _rows(owner) == before
        assert await repairs.apply(repairer, EVERYTHING, applied_by="x", reason="y") is None
