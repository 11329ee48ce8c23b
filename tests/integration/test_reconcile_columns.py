"""No column of any view may change unnoticed: each is changed alone, found, named and put back."""

# ruff: noqa: S608 - faults are made by SQL that is put together from the catalogue

from uuid import uuid4

import pytest

from auditing import view_catalog
from auditing.discrepancies import Discrepancy
from auditing.reconcile.reconcile import reconcile_all
from auditing.roles import AUDITOR
from auditing.view_catalog import Journal, Register
from projections.catch_up import catch_up
from projections.worker import ROLE as PROJECTOR_ROLE
from runtime import database
from tests.integration import fixtures
from tests.integration.column_faults import STILL_DUE, VIEWS, Column, changed_row, columns_of

# Their rows are no view of the log, but what was found and done, and where an auditor stands.
NO_VIEW = {
    *("read.reconciliations", "read.discrepancies", "read.places"),
    *("read.repairs", "read.repair_checks", "read.rebuilds", "read.four_ways"),
}


@pytest.mark.parametrize("table", sorted(VIEWS))
async def test_every_column_of_every_view_is_compared(database_url: str, table: str) -> None:
    """The kind is the view's own, and the column is shown with both values."""
    await fixtures.rich_log(database_url, count=20)
    await fixtures.written(database_url, [STILL_DUE])
    await fixtures.project(database_url)
    async with (
        fixtures.connected(database_url) as owner,
        fixtures.connected(database_url, AUDITOR) as auditor,
    ):
        assert await _found(auditor) == []
        for column in await columns_of(owner, table):
            for where, value in column.changes():
                before = await changed_row(owner, table, column, where, value)
                found = await _found(auditor)
                _check_named(VIEWS[table], column, found)
                await _put_back(owner, table, column, before)
        assert await _found(auditor) == []


async def test_every_table_of_both_sides_is_a_view_that_is_compared(database_url: str) -> None:
    """A further table in a migration is a further line in `audited.py`."""
    async with fixtures.connected(database_url) as owner:
        rows = await owner.fetch(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
            " WHERE table_schema IN ('read', 'command')"
        )
    assert {row["name"] for row in rows} - NO_VIEW == set(VIEWS)


async def test_queries_of_journals_have_the_columns_of_their_rows(database_url: str) -> None:
    """A row is compared as a whole, so the order of its columns must be the auditor's."""
    async with fixtures.connected(database_url, AUDITOR) as auditor:
        for view in view_catalog.JOURNALS:
            for query in filter(None, (view.query, view.account_query)):
                prepared = await auditor.prepare(query)
                names = tuple(attribute.name for attribute in prepared.get_attributes())
                assert names == view.row.__struct_fields__, view.table


@pytest.mark.parametrize("page", [1, 17])
async def test_a_rich_log_is_clean_at_every_stop_of_the_projector(
    database_url: str, page: int
) -> None:
    """Behind the head, too: the read side is compared as of its checkpoint."""
    length = await fixtures.rich_log(database_url, count=2)
    stops = 0
    async with (
        fixtures.connected(database_url, PROJECTOR_ROLE) as projector,
        fixtures.connected(database_url, AUDITOR) as auditor,
    ):
        assert await _found(auditor) == []
        while await catch_up(projector, page):
            assert await _found(auditor) == []
            stops += 1
    assert stops == -(-length // page)


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
