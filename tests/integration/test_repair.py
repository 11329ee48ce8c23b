"""Repair: every column of every view is put back as it was, and nothing else is touched."""

# ruff: noqa: S608 - faults are made by SQL that is put together from the catalogue

import asyncio
import json

import asyncpg
import pytest

from auditing.discrepancies import DiscrepancyKind
from auditing.repair import plan as plans
from auditing.repair import repair as repairs
from auditing.repair import survey as surveys
from auditing.repair.plan import Action, Change, Plan, RowSelection
from auditing.repair.repair import Repair
from auditing.repair.survey import Survey
from auditing.roles import REPAIRER
from events import checkpoints
from events.types import transaction_id
from projections.catch_up import catch_up
from projections.folds.balances import BalanceRow
from projections.memory import Memory
from projections.worker import ROLE as PROJECTOR_ROLE
from runtime import database
from runtime.problems import Conflict, Rejected
from tests.integration import fixtures
from tests.integration.column_faults import STILL_DUE, VIEWS, changed_row, columns_of

ALICE = "ledger = 'demo' AND account_id = 'alice'"
EVERYTHING = RowSelection()
OPEN_LOG = "ALTER TABLE events.daybook_events DISABLE TRIGGER daybook_events_immutable"


async def _applied(connection: database.Connection, wanted: RowSelection = EVERYTHING) -> Repair:
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
    await fixtures.rich_log(database_url, count=10)
    await fixtures.written(database_url, [STILL_DUE])
    await fixtures.project(database_url)
    async with (
        fixtures.connected(database_url) as owner,
        fixtures.connected(database_url, REPAIRER) as repairer,
    ):
        # A mended account is as of the head: so are all of them, to begin with.
        await owner.execute(
            "UPDATE command.accounts AS a SET position = h.position FROM events.head AS h"
        )
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


@pytest.mark.parametrize(
    "wanted, kinds",
    [
        pytest.param(
            RowSelection(ledger="demo", account_id="alice"),
            {DiscrepancyKind.BALANCE_DRIFT},
            id="account",
        ),
        pytest.param(
            RowSelection(ledger="demo"),
            {DiscrepancyKind.BALANCE_DRIFT, DiscrepancyKind.BOOKS_MISMATCH},
            id="ledger",
        ),
        pytest.param(
            RowSelection(ledger="other", account_id="alice"),
            {DiscrepancyKind.MISSING_ENTRY},
            id="other",
        ),
        pytest.param(
            RowSelection(ledger="demo", kind=DiscrepancyKind.BOOKS_MISMATCH),
            {DiscrepancyKind.BOOKS_MISMATCH},
            id="one kind",
        ),
        pytest.param(
            RowSelection(transaction_id=transaction_id("other", "fund-alice")),
            {DiscrepancyKind.MISSING_ENTRY},
            id="one transaction",
        ),
    ],
)
async def test_only_what_is_wanted_is_planned_and_mended(
    database_url: str, wanted: RowSelection, kinds: set[DiscrepancyKind]
) -> None:
    """Rows of another ledger, another account or another difference stay as they are."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        f"UPDATE read.balances SET credits_posted = credits_posted + 5 WHERE {ALICE}",
        "UPDATE read.books SET version = 9 WHERE ledger = 'demo'",
        "DELETE FROM read.entries WHERE ledger = 'other' AND account_id = 'alice'"
        f" AND transaction_id = '{transaction_id('other', 'fund-alice')}'",
    )
    async with fixtures.connected(database_url, REPAIRER) as repairer:
        whole = await repairs.plan(repairer, EVERYTHING)
        assert whole.row_count == 3
        plan = await repairs.plan(repairer, wanted)
        assert {change.kind for change in plan.changes} == kinds
        assert all(wanted.ledger in (None, change.row["ledger"]) for change in plan.changes)
        done = await repairs.apply(
            repairer, wanted, applied_by="x", reason="y", fingerprint=plan.fingerprint
        )
        assert done is not None
        assert {change.kind for change in done.changes} == kinds
        left = await repairs.plan(repairer, EVERYTHING)
    assert left.row_count == whole.row_count - len(done.changes)


async def test_what_was_done_is_kept_row_by_row(database_url: str) -> None:
    """Who, when, why, every row before and after, and that nothing differed afterwards."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        f"UPDATE read.balances SET credits_posted = credits_posted + 5 WHERE {ALICE}",
    )
    wanted = RowSelection(ledger="demo", account_id="alice")
    async with (
        fixtures.connected(database_url, REPAIRER) as repairer,
        fixtures.connected(database_url) as owner,
    ):
        done = await _applied(repairer, wanted)
        row = await owner.fetchrow("SELECT * FROM read.repairs")
        check = await owner.fetchrow("SELECT * FROM read.repair_checks")
    assert row is not None
    assert check is not None
    assert (row["applied_by"], row["reason"]) == ("a test", "to see it mended")
    assert (row["ledger"], row["account_id"], row["row_count"]) == ("demo", "alice", 1)
    (change,) = json.loads(row["changes"])
    assert (change["action"], change["table"]) == ("update", "read.balances")
    before, after = change["before"]["credits_posted"], change["after"]["credits_posted"]
    assert int(before) == int(after) + 5
    assert (check["repair_id"], check["remaining"]) == (done.repair_id, 0)


async def test_a_plan_that_was_looked_at_is_not_applied_when_it_does_not_fit(
    database_url: str,
) -> None:
    """Another row is wrong by now: nothing is written, and the next plan says so."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    spoilt = f"UPDATE read.balances SET credits_posted = credits_posted + 5 WHERE {ALICE}"
    await fixtures.execute(database_url, spoilt)
    async with (
        fixtures.connected(database_url, REPAIRER) as repairer,
        fixtures.connected(database_url) as owner,
    ):
        plan = await repairs.plan(repairer, EVERYTHING)
        await fixtures.execute(database_url, "DELETE FROM read.books WHERE ledger = 'demo'")
        before = await _rows(owner)
        with pytest.raises(Conflict, match="plan_stale"):
            await repairs.apply(
                repairer, EVERYTHING, applied_by="x", reason="y", fingerprint=plan.fingerprint
            )
        assert await _rows(owner) == before
        await _applied(repairer)


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(
            f"UPDATE read.entries SET amount = amount + 1 WHERE {ALICE} AND position = (SELECT"
            f" min(position) FROM read.entries WHERE {ALICE})",
            id="wrong in another way",
        ),
        pytest.param(
            f"UPDATE read.balances SET credits_posted = credits_posted - 5 WHERE {ALICE}",
            id="right already",
        ),
        pytest.param(
            f"UPDATE read.balances SET debits_posted = debits_posted + 5 WHERE {ALICE}",
            id="another column, too",
        ),
        pytest.param(f"DELETE FROM read.balances WHERE {ALICE}", id="gone"),
    ],
)
async def test_a_row_that_changes_between_plan_and_lock_undoes_everything(
    database_url: str, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found under the lock must differ as it was planned."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        f"UPDATE read.balances SET credits_posted = credits_posted + 5 WHERE {ALICE}",
        f"UPDATE read.entries SET amount = amount + 1 WHERE {ALICE} AND position = (SELECT"
        f" min(position) FROM read.entries WHERE {ALICE})",
        "DELETE FROM read.books WHERE ledger = 'other'",
    )
    original = repairs._repair  # noqa: SLF001 - the moment between the two

    async def interrupted(found: Survey, planned: Plan) -> list[Change]:
        await fixtures.execute(database_url, meanwhile)
        return await original(found, planned)

    monkeypatch.setattr(repairs, "_repair", interrupted)
    async with (
        fixtures.connected(database_url, REPAIRER) as repairer,
        fixtures.connected(database_url) as owner,
    ):
        with pytest.raises(Conflict, match="plan_stale"):
            await _applied(repairer)
        rows = await _rows(owner, "read.books", "read.repairs")
        assert not any("(other," in row for row in rows["read.books"])
        assert rows["read.repairs"] == []


async def test_an_account_in_use_is_mended_to_what_the_log_says_by_then(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that come between plan and lock are in what is written, on both sides."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        f"UPDATE read.balances SET credits_posted = credits_posted + 5 WHERE {ALICE}",
        f"UPDATE command.accounts SET debits_posted = debits_posted + 7 WHERE {ALICE}",
    )
    original = repairs._repair  # noqa: SLF001 - the moment between the two
    planned_at = 0

    async def interrupted(found: Survey, planned: Plan) -> list[Change]:
        nonlocal planned_at
        planned_at = found.head
        await fixtures.written(database_url, [fixtures.transfer(f"late-{n}") for n in range(3)])
        await fixtures.project(database_url)
        await fixtures.written(database_url, [fixtures.transfer("after")])
        return await original(found, planned)

    monkeypatch.setattr(repairs, "_repair", interrupted)
    async with fixtures.connected(database_url, REPAIRER) as repairer:
        done = await _applied(repairer)
        assert (done.checkpoint, done.head) == (planned_at + 3, planned_at + 4)
        await fixtures.project(database_url)
        assert (await repairs.plan(repairer, EVERYTHING)).row_count == 0


async def test_writers_and_projectors_that_remember_read_the_mended_rows_again(
    database_url: str,
) -> None:
    """Both keep rows in memory; a repair makes them forget."""
    settings = fixtures.settings(database_url)
    await fixtures.rich_log(database_url, count=10)
    async with (
        fixtures.connected(database_url, REPAIRER) as repairer,
        fixtures.writing(settings) as writer,
    ):
        projector = Memory[BalanceRow]()
        async with fixtures.connected(database_url, PROJECTOR_ROLE) as connection:
            for number in range(3):
                fixtures.accepted(await writer.submit(fixtures.transfer(f"remembered-{number}")))
                while await catch_up(connection, 100, projector):
                    pass
                await fixtures.execute(
                    database_url,
                    f"UPDATE command.accounts SET debits_posted = debits_posted + 1 WHERE {ALICE}",
                    f"UPDATE read.balances SET credits_posted = credits_posted + 1 WHERE {ALICE}",
                )
                await _applied(repairer)
        assert (await repairs.plan(repairer, EVERYTHING)).row_count == 0


async def test_repairs_go_on_beside_writers_and_projectors(database_url: str) -> None:
    """Rows are spoilt and mended while both are at work; in the end everything agrees."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    ended = asyncio.Event()

    async def work() -> None:
        number = 0
        while not ended.is_set():
            await fixtures.written(
                database_url, [fixtures.transfer(f"b{number}-{n}") for n in range(9)]
            )
            await fixtures.project(database_url)
            number += 1

    busy = asyncio.create_task(work())
    async with fixtures.connected(database_url, REPAIRER) as repairer:
        for _ in range(5):
            # A projector that remembers the right row would write it back: it is made to forget.
            async with fixtures.connected(database_url) as owner, owner.transaction():
                await checkpoints.lock(owner, checkpoints.PROJECTOR)
                await owner.execute(
                    "UPDATE events.checkpoints SET moved_at = moved_at WHERE reader = 'projector';"
                    "UPDATE read.balances SET debits_pending = debits_pending + 1"
                    f" WHERE {ALICE}; DELETE FROM read.entries WHERE {ALICE} AND position < 40"
                )
            await _applied(repairer, RowSelection(ledger="demo", account_id="alice"))
        ended.set()
        await busy
        assert (await repairs.plan(repairer, EVERYTHING)).row_count == 0


@pytest.mark.parametrize(
    "damage, code",
    [
        pytest.param(
            "DELETE FROM events.daybook_events WHERE notification_id = 7", "position_gap", id="gap"
        ),
        pytest.param(
            "UPDATE events.daybook_events SET state = convert_to(replace(convert_from(state,"
            " 'UTF8'), '\"100000\"', '\"900000\"'), 'UTF8') WHERE originator_id ="
            f" '{transaction_id('demo', 'fund-alice')}'",
            "log_contradicted",
            id="amount edited",
        ),
        pytest.param(
            "UPDATE events.daybook_events SET state = convert_to(replace(convert_from(state,"
            " 'UTF8'), '\"tier\":\"b\"', '\"tier\":\"c\"'), 'UTF8')"
            " WHERE topic = 'account.changed'",
            "log_contradicted",
            id="policy edited",
        ),
        pytest.param(
            "UPDATE events.daybook_events SET state = convert_to(replace(convert_from(state,"
            " 'UTF8'), 'fund-alice', 'fund-malice'), 'UTF8') WHERE originator_id ="
            f" '{transaction_id('demo', 'fund-alice')}'",
            "event_misplaced",
            id="key edited",
        ),
        pytest.param(
            "UPDATE events.daybook_events SET notification_id = -notification_id"
            " WHERE notification_id IN (7, 40);"
            " UPDATE events.daybook_events SET notification_id = 47 + notification_id"
            " WHERE notification_id < 0",
            "time_reversed",
            id="swapped",
        ),
        pytest.param(
            "UPDATE events.daybook_events SET state = '\\x7b' WHERE notification_id = 9",
            "event_unreadable",
            id="damaged",
        ),
    ],
)
async def test_what_is_wrong_with_the_log_is_never_written_into_a_view(
    database_url: str, damage: str, code: str
) -> None:
    """The views are the better witnesses then; the plan says what to do."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(database_url, OPEN_LOG, damage)
    async with (
        fixtures.connected(database_url, REPAIRER) as repairer,
        fixtures.connected(database_url) as owner,
    ):
        before = await _rows(owner)
        plan = await repairs.plan(repairer, EVERYTHING)
        assert code in {obstacle.code for obstacle in plan.obstacles}
        for wanted in (EVERYTHING, RowSelection(ledger="demo")):
            with pytest.raises(Rejected, match="log_unsound"):
                await _applied(repairer, wanted)
        assert await _rows(owner) == before


async def test_too_many_rows_are_for_a_rebuild(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are counted, a bounded number is kept, and none is mended."""
    monkeypatch.setattr(plans, "ROWS_MAX", 10)
    monkeypatch.setattr(surveys, "ROWS_MAX", 10)
    monkeypatch.setattr(repairs, "ROWS_MAX", 10)
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(database_url, "DELETE FROM read.entries")
    async with fixtures.connected(database_url, REPAIRER) as repairer:
        plan = await repairs.plan(repairer, EVERYTHING)
        assert (len(plan.changes), plan.row_count > 100) == (10, True)
        with pytest.raises(Rejected, match="repair_too_large"):
            await _applied(repairer)


async def test_a_repair_that_is_killed_in_the_middle_changes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and record are one transaction."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(database_url, "DELETE FROM read.entries", "DELETE FROM read.books")
    async with fixtures.connected(database_url) as owner:
        before = await _rows(owner)

        async def killed(connection: database.Connection, *_: object) -> None:
            await owner.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())

        monkeypatch.setattr(repairs, "_record", killed)
        repairer = await database.connect(database_url, REPAIRER)
        with pytest.raises((*database.CONNECTION_ERRORS, asyncpg.PostgresError)):
            await _applied(repairer)
        assert await _rows(owner) == before
        assert await owner.fetchval("SELECT count(*) FROM read.repairs") == 0
        monkeypatch.undo()
        async with fixtures.connected(database_url, REPAIRER) as again:
            await _applied(again)
