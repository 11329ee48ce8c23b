"""What repairs and rebuilds write from is what was sealed, as far as the seal reaches."""

# ruff: noqa: S608 - an attacker's statements, made of constants

from collections.abc import AsyncIterator

import pytest

from auditing.rebuild.rebuild import rebuild
from auditing.repair import repair as repairs
from auditing.repair.plan import Plan, RowSelection
from auditing.roles import REPAIRER
from events.types import transaction_id
from runtime import database
from runtime.problems import Rejected
from tests.integration import fixtures
from tests.integration.test_sealing import sealed

LOG = "events.daybook_events"
SPLIT = transaction_id("demo", "split")
FUNDED = transaction_id("demo", "fund-alice")
ALICE = RowSelection(ledger="demo", account_id="alice")
SCOPES = (RowSelection(), RowSelection(ledger="demo"), RowSelection(ledger="other"), ALICE)
SPOIL = "UPDATE read.balances SET credits_posted = credits_posted + 5 WHERE account_id = 'alice'"
OPEN_LOG = f"ALTER TABLE {LOG} DISABLE TRIGGER ALL"


def edited(old: str, new: str, stream: object) -> str:
    """Return a statement that changes the words of a stream's events."""
    return (
        f"UPDATE {LOG} SET state = convert_to(replace(convert_from(state, 'UTF8'), '{old}',"
        f" '{new}'), 'UTF8') WHERE originator_id = '{stream}'"
    )


# No counter shows it, and no entry.
REFERENCE = edited("INV-1", "INV-2", SPLIT)


@pytest.fixture
async def repairer(database_url: str) -> AsyncIterator[database.Connection]:
    """Write a log of two ledgers, project it, and open a repairer's connection."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    async with fixtures.connected(database_url, REPAIRER) as connection:
        yield connection


async def _position(database_url: str, stream: object) -> int:
    async with fixtures.connected(database_url) as owner:
        position: int = await owner.fetchval(
            f"SELECT min(notification_id) FROM {LOG} WHERE originator_id = $1", stream
        )
    return position


def _broken(plan: Plan) -> list[int | None]:
    """Return where the seal is broken, as the plan's obstacles say it."""
    return [each.position for each in plan.obstacles if each.code == "seal_broken"]


@pytest.mark.parametrize("wanted", SCOPES, ids=("all", "ledger", "other ledger", "account"))
async def test_an_edited_event_is_never_written_into_a_view(
    database_url: str, repairer: database.Connection, wanted: RowSelection
) -> None:
    """Also one that no counter shows; its position is named, and no row is touched."""
    await sealed(database_url)
    await fixtures.execute(database_url, OPEN_LOG, REFERENCE, SPOIL)
    before = await fixtures.read_models(database_url)
    position = await _position(database_url, SPLIT)
    plan = await repairs.plan(repairer, wanted)
    assert _broken(plan) == [position]
    with pytest.raises(Rejected, match=f"position {position} is not what was sealed"):
        await repairs.apply(repairer, wanted, applied_by="x", reason="y")
    with pytest.raises(Rejected, match=f"position {position} is not what was sealed"):
        await rebuild(database_url, rebuilt_by="x", progress=lambda *_: None)
    assert await fixtures.read_models(database_url) == before


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(edited('"alice"', '"malice"', FUNDED), id="edited"),
        pytest.param(f"DELETE FROM {LOG} WHERE originator_id = '{FUNDED}'", id="deleted"),
    ],
)
async def test_an_event_that_names_the_account_no_more_is_missed(
    database_url: str, repairer: database.Connection, damage: str
) -> None:
    """An account's repair reads only its events; the rows that differ lead to the one that was."""
    await sealed(database_url)
    position = await _position(database_url, FUNDED)
    await fixtures.execute(database_url, OPEN_LOG, damage)
    assert _broken(await repairs.plan(repairer, ALICE)) == [position]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM seal.secret",
        "DELETE FROM seal.checkpoints",
        "UPDATE seal.tiles SET nodes = set_byte(nodes, 32 * 9, get_byte(nodes, 32 * 9) # 1)",
    ],
)
async def test_a_seal_that_is_not_as_it_was_left_proves_nothing(
    database_url: str, repairer: database.Connection, damage: str
) -> None:
    """Neither a repair nor a rebuild goes on; what else is wrong is for `daybook verify`."""
    await sealed(database_url)
    await fixtures.execute(database_url, damage, SPOIL)
    assert _broken(await repairs.plan(repairer, ALICE)) == [None]
    with pytest.raises(Rejected, match="log_unsound"):
        await rebuild(database_url, rebuilt_by="x", progress=lambda *_: None)


async def test_a_log_that_ends_before_its_seal_is_not_repaired_from(
    database_url: str, repairer: database.Connection
) -> None:
    """The head was set back, too, so that nothing else seems to be missing."""
    await sealed(database_url)
    async with fixtures.connected(database_url) as owner:
        head = await owner.fetchval("SELECT position FROM events.head")
        await owner.execute(OPEN_LOG)
        await owner.execute(f"DELETE FROM {LOG} WHERE notification_id = $1", head)
        await owner.execute("UPDATE events.head SET position = $1", head - 1)
        await owner.execute("UPDATE events.checkpoints SET position = $1", head - 1)
        await owner.execute(
            "UPDATE events.checkpoints SET position = $1 WHERE reader = 'sealer'", head
        )
    assert head in _broken(await repairs.plan(repairer, ALICE))


async def test_what_is_not_sealed_yet_is_repaired_as_ever(
    database_url: str, repairer: database.Connection
) -> None:
    """Before the first seal, and behind the last one."""
    await fixtures.execute(database_url, SPOIL)
    assert await repairs.apply(repairer, ALICE, applied_by="x", reason="y") is not None
    await sealed(database_url)
    await fixtures.written(database_url, [fixtures.transfer("unsealed", description="so late")])
    await fixtures.project(database_url)
    late = edited("so late", "so soon", transaction_id("demo", "unsealed"))
    await fixtures.execute(database_url, OPEN_LOG, late, SPOIL)
    for wanted in SCOPES:
        assert _broken(await repairs.plan(repairer, wanted)) == []
    assert await repairs.apply(repairer, ALICE, applied_by="x", reason="y") is not None
    built = await rebuild(database_url, rebuilt_by="x", progress=lambda *_: None)
    assert {table.table for table in built.differences} == {"read.transactions", "read.balances"}
