"""Rebuild: the same log gives the same bytes, and the swap is felt by nobody."""

# ruff: noqa: S608 - faults are made by SQL that is put together from constants

import asyncio

import asyncpg
import pytest

from auditing import view_catalog
from auditing.rebuild import load as loading
from auditing.rebuild import rebuild as rebuilds
from auditing.rebuild import swap as swapping
from auditing.rebuild import tables
from auditing.rebuild.rebuild import Rebuilt, rebuild
from command_side.domain.commands import Command
from daybook.cli.actions import reconcile
from events import checkpoints, log
from projections.catch_up import catch_up
from projections.worker import ROLE as PROJECTOR_ROLE
from runtime import database
from runtime.problems import Conflict, Rejected, Unavailable
from tests.integration import fixtures

# Nothing that CSV, JSON or COPY could take for something else may come back otherwise.
AWKWARD = [
    'a "quote", a comma, and a \\ backslash',
    "\\",
    '\\"',
    "\\.",
    "null",
    "\\N",
    "],[",
    "two\nlines\r\nof\ttext",
    "\\n is no new line",
    "\x01\x08\x0c\x1f",
    "Grüße, 東京 🎉",
    " ",
]
CATALOGUE = """
SELECT c.relname, c.relkind, c.reloptions::text, c.relacl::text, c.relpersistence::text,
    pg_get_indexdef(c.oid) AS index,
    (
        SELECT array_agg(
            row(k.conname, k.contype, pg_get_constraintdef(k.oid))::text ORDER BY k.conname
        )
        FROM pg_constraint AS k WHERE k.conrelid = c.oid
    ) AS constraints,
    (
        SELECT array_agg(row(a.attname, a.attnotnull, a.atttypid)::text ORDER BY a.attnum)
        FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0
    ) AS columns
FROM pg_class AS c
WHERE c.relnamespace = 'read'::regnamespace AND c.relkind IN ('r', 'i')
ORDER BY c.relname
"""


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Show no progress."""


async def _rebuilt(database_url: str, **options: bool) -> Rebuilt:
    return await rebuild(database_url, rebuilt_by="a test", progress=_silent, **options)


def awkward_commands() -> list[Command]:
    """Return transfers whose texts are hard to transport."""
    return [
        fixtures.transfer(
            f"awkward {number}", description=text, reference=None, metadata={"note": text}
        )
        for number, text in enumerate(AWKWARD)
    ]


async def _rich(database_url: str) -> int:
    await fixtures.rich_log(database_url, count=20)
    await fixtures.written(database_url, awkward_commands())
    await fixtures.project(database_url)
    return len(await fixtures.whole_log(database_url))


@pytest.mark.parametrize("page", [1, 7, 5_000])
async def test_the_rebuilt_tables_are_the_live_ones_byte_by_byte(
    database_url: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, columns, constraints, indexes, storage options and rights: all as before."""
    monkeypatch.setattr(log, "PAGE_EVENTS_MAX", page)
    monkeypatch.setattr(loading, "PAGE_EVENTS_MAX", page)
    length = await _rich(database_url)
    before = await fixtures.read_models(database_url)
    async with fixtures.connected(database_url) as owner:
        catalogue = await owner.fetch(CATALOGUE)
        ids = await owner.fetch("SELECT oid FROM pg_class WHERE relname = 'entries'")
        built = await _rebuilt(database_url)
        assert (built.differing, built.position, built.swapped) == (0, length, True)
        assert await fixtures.read_models(database_url) == before
        assert await owner.fetch(CATALOGUE) == catalogue
        assert await owner.fetch("SELECT oid FROM pg_class WHERE relname = 'entries'") != ids
        row = await owner.fetchrow("SELECT * FROM read.rebuilds")
        counted = sum([await owner.fetchval(f"SELECT count(*) FROM {n}") for n in tables.NAMES])
    assert row is not None
    assert (row["rebuilt_by"], row["position"], row["differing"]) == ("a test", length, 0)
    assert row["row_count"] == built.row_count == counted


def test_all_views_of_the_read_side_are_rebuilt() -> None:
    """A further table in `view_catalog.py` is a further table here."""
    read_side = view_catalog.JOURNALS + view_catalog.READ_SIDE
    assert set(tables.NAMES) == {view.table for view in read_side}


async def test_what_differs_is_reported_and_gone_afterwards(database_url: str) -> None:
    """Comparing alone changes nothing; afterwards the tables are as if nothing had happened."""
    await _rich(database_url)
    before = await fixtures.read_models(database_url)
    await fixtures.execute(
        database_url,
        "DELETE FROM read.entries WHERE account_id = 'bob' AND position < 20",
        "UPDATE read.balances SET credits_posted = credits_posted + 1 WHERE account_id = 'alice'",
        "INSERT INTO read.mentions VALUES ('demo', 'nobody', 3)",
    )
    broken = await fixtures.read_models(database_url)
    compared = await _rebuilt(database_url, compare_only=True)
    assert not compared.swapped
    assert [(table.table, table.first[0].built is None) for table in compared.differences] == [
        ("read.balances", False),
        ("read.entries", False),
        ("read.mentions", True),
    ]
    assert await fixtures.read_models(database_url) == broken
    built = await _rebuilt(database_url, keep_old=True)
    assert built.differing == compared.differing
    assert await fixtures.read_models(database_url) == before
    assert await _schemas(database_url) == {"read_replaced"}
    await rebuilds.drop_old(database_url)
    assert await _schemas(database_url) == set()
    assert (await _rebuilt(database_url, compare_only=True)).differing == 0


async def test_writers_projectors_and_readers_go_on_through_several_swaps(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement fails, no answer is torn, and the log and all views agree in the end."""
    monkeypatch.setattr(swapping, "PAUSE_S", 0.01)
    await _rich(database_url)
    ended = asyncio.Event()
    looks = [asyncio.create_task(_reader(database_url, ended)) for _ in range(3)]
    busy = [
        asyncio.create_task(_writer(database_url, ended)),
        asyncio.create_task(_projector(database_url, ended)),
    ]
    for _ in range(2):
        built = await _rebuilt(database_url)
        assert (built.differing, built.swapped) == (0, True)
    ended.set()
    await asyncio.gather(*busy)
    assert min(await asyncio.gather(*looks)) > 10
    await fixtures.project(database_url)
    report = await reconcile.reconcile(
        fixtures.settings(database_url), reconcile.ReconcileOptions()
    )
    assert report.clean
    assert await _schemas(database_url) == set()


async def test_the_swap_waits_for_whoever_still_reads_as_of_before(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot older than the last rows would miss them in the new tables."""
    monkeypatch.setattr(swapping, "PAUSE_S", 0.01)
    monkeypatch.setattr(swapping, "SNAPSHOTS_S_MAX", 0.02)
    length = await _rich(database_url)
    async with fixtures.connected(database_url, "daybook_reader") as reader:
        snapshot = reader.transaction(isolation="repeatable_read", readonly=True)
        await snapshot.start()
        assert await checkpoints.read(reader, checkpoints.PROJECTOR) == length
        building = asyncio.create_task(_rebuilt(database_url))
        await asyncio.sleep(0.7)
        assert not building.done()
        assert await reader.fetchval("SELECT max(position) FROM read.moments") == length
        await snapshot.commit()
        assert (await building).swapped


async def test_a_swap_that_cannot_be_had_leaves_everything_as_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded number of tries it is given up; the live tables never moved."""
    monkeypatch.setattr(swapping, "PAUSE_S", 0.0)
    monkeypatch.setattr(swapping, "SNAPSHOTS_S_MAX", 0.01)
    monkeypatch.setattr(swapping, "LOCK_WAIT_MS", 20)
    monkeypatch.setattr(swapping, "TRIES_MAX", 2)
    await _rich(database_url)
    before = await fixtures.read_models(database_url)
    async with fixtures.connected(database_url, "daybook_reader") as reader, reader.transaction():
        await reader.fetch("SELECT FROM read.entries")
        with pytest.raises(Unavailable, match="swap_blocked"):
            await _rebuilt(database_url)
        # The projector is not left standing.
        await fixtures.written(database_url, [fixtures.transfer("later")])
        await fixtures.project(database_url)
    assert await fixtures.read_models(database_url) != before
    assert await _schemas(database_url) == set()
    assert (await _rebuilt(database_url)).differing == 0


async def test_a_killed_rebuild_changes_nothing_and_is_begun_again(database_url: str) -> None:
    """Its connections are lost while it folds; the next one drops what it left."""
    await _rich(database_url)
    before = await fixtures.read_models(database_url)
    async with fixtures.connected(database_url) as owner:
        killed = False

        def kill(phase: str, _done: int, _total: int) -> None:
            nonlocal killed
            if phase == "indexing" and not killed:
                killed = True
                kills.append(asyncio.ensure_future(_kill_others(owner)))

        kills: list[asyncio.Future[None]] = []
        with pytest.raises((*database.CONNECTION_ERRORS, asyncpg.PostgresError)):
            await rebuild(database_url, rebuilt_by="killed", progress=kill)
        await asyncio.gather(*kills)
        assert killed
    assert await fixtures.read_models(database_url) == before
    assert await _schemas(database_url) == {"read_rebuilt"}
    assert (await _rebuilt(database_url)).differing == 0
    assert await _schemas(database_url) == set()


async def test_only_one_rebuild_at_a_time(database_url: str) -> None:
    """They would drop each other's tables."""
    await _rich(database_url)
    outcomes = await asyncio.gather(
        *(_rebuilt(database_url) for _ in range(2)), return_exceptions=True
    )
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert isinstance(refused, Conflict)
    assert refused.code == "rebuild_running"


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM events.daybook_events WHERE notification_id = 7",
        "DELETE FROM events.daybook_events WHERE notification_id > 90",
    ],
)
async def test_a_log_with_a_gap_is_not_built_from(database_url: str, damage: str) -> None:
    """Read models of half a history would look whole."""
    await _rich(database_url)
    before = await fixtures.read_models(database_url)
    await fixtures.execute(
        database_url,
        "ALTER TABLE events.daybook_events DISABLE TRIGGER daybook_events_immutable",
        damage,
    )
    with pytest.raises(Rejected, match="log_unsound"):
        await _rebuilt(database_url)
    assert await fixtures.read_models(database_url) == before
    assert await _schemas(database_url) == set()


async def _schemas(database_url: str) -> set[str]:
    async with fixtures.connected(database_url) as owner:
        rows = await owner.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read\\__%'")
    return {row["nspname"] for row in rows}


async def _kill_others(owner: database.Connection) -> None:
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def _writer(database_url: str, ended: asyncio.Event) -> None:
    number = 0
    while not ended.is_set():
        await fixtures.written(
            database_url,
            [fixtures.transfer(f"busy-{number}-{line}", "world", f"w{line}") for line in range(20)],
            now=lambda _: fixtures.START.replace(year=2027),
        )
        number += 1


async def _projector(database_url: str, ended: asyncio.Event) -> None:
    async with fixtures.connected(database_url, PROJECTOR_ROLE) as connection:
        while not ended.is_set():
            if not await catch_up(connection, 50):
                await asyncio.sleep(0.001)


async def _reader(database_url: str, ended: asyncio.Event) -> int:
    """Read as the query side does: the checkpoint first, then rows, in one snapshot."""
    looks = 0
    async with fixtures.connected(database_url, "daybook_reader") as connection:
        while not ended.is_set():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                position = await checkpoints.read(connection, checkpoints.PROJECTOR)
                await asyncio.sleep(0.003)
                last = await connection.fetchval("SELECT max(position) FROM read.moments")
                off = await connection.fetchval(
                    "SELECT sum(debits_posted - credits_posted) FROM read.balances"
                )
                entries = await connection.fetchval("SELECT max(position) FROM read.balances")
            assert (last, off) == (position, 0), entries
            looks += 1
    return looks
