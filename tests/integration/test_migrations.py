"""Migrations are applied once and never change; every named query fits what they make."""

import asyncio
import re
import shutil
from pathlib import Path

import asyncpg
import pytest

from daybook.migrations import migrate as migrations
from daybook.migrations.migrate import MigrationError, migrate
from runtime import database
from runtime.sql import ROOT, queries
from tests.integration import fixtures

PARTS = (
    *("auditing", "bank_statements", "benchmarks", "command_side", "daybook", "events"),
    *("projections", "query_side", "sealing", "web"),
)
# Every folder that has SQL, whatever moves.
ROOMS = sorted(
    {
        str(path.parent.parent.relative_to(ROOT))
        for part in PARTS
        for path in (ROOT / part).glob("**/sql/*.sql")
    }
)
NAMES = ("writer", "relay", "projector", "reader", "auditor", "repairer", "sealer", "matcher")
WRITER, RELAY, PROJECTOR, READER, AUDITOR, REPAIRER, SEALER, MATCHER = (
    f"daybook_{name}" for name in NAMES
)
VIEWS = (
    *("entries", "transactions", "mentions", "moments", "balances", "accounts", "standings"),
    *("books", "command_accounts", "command_standings", "command_books"),
)
EXTERNAL = ROOT / "bank_statements/sql/bank_statements.sql"
FOUR_WAY = ROOT / "auditing/sql/four_way.sql"
# The roles that run a folder's queries, except those in ROLES. None is the owner, who migrates.
ROOM_ROLES: dict[str, tuple[str | None, ...]] = {
    "auditing": (AUDITOR,),
    "bank_statements": (MATCHER,),
    "benchmarks": (None,),
    "command_side": (WRITER,),
    "command_side/writer": (WRITER,),
    "daybook/migrations": (None,),
    "events": (WRITER,),
    "projections": (PROJECTOR,),
    "query_side": (READER,),
    "sealing": (SEALER,),
    "web": (None,),
}
ROLES: dict[str, tuple[str | None, ...]] = {
    "head": (READER, AUDITOR, REPAIRER),
    "lock_head": (WRITER, REPAIRER),
    "read_after": (RELAY, PROJECTOR, READER, AUDITOR, REPAIRER),
    "read_mentioning": (AUDITOR, REPAIRER),
    "checkpoint": (WRITER, READER, AUDITOR, REPAIRER, MATCHER),
    "lock_checkpoint": (PROJECTOR, REPAIRER, None),
    "try_lock_checkpoint": (RELAY, SEALER),
    "move_checkpoint": (RELAY, PROJECTOR, AUDITOR, SEALER),
    **dict.fromkeys(("unsealed", "leaf_hashes", "put_tiles", "add_checkpoint"), (SEALER,)),
    "tiles": (SEALER, READER, AUDITOR, REPAIRER, None),
    "latest_checkpoint": (SEALER, READER, AUDITOR, REPAIRER, None),
    "secret": (READER, AUDITOR, REPAIRER, None),
    "read_at": (AUDITOR, REPAIRER),
    "stream": (READER,),
    **dict.fromkeys(
        ("checkpoints_after", "sealed_size", "log_bounds", "guards", "excessive_rights"),
        (AUDITOR,),
    ),
    "find": (WRITER, READER, AUDITOR),
    **dict.fromkeys(("read_of_ledger", "read_of_ledger_backwards"), (READER, AUDITOR)),
    "read_tail": (READER,),
    "principal": (WRITER, READER, AUDITOR),
    **dict.fromkeys(re.findall(r"-- name: (\w+)", EXTERNAL.read_text()), (MATCHER,)),
    # The four-way view asks as the auditor.
    **dict.fromkeys(("lines_summed", "unmatched_entries_summed"), (MATCHER, AUDITOR)),
    **dict.fromkeys(re.findall(r"-- name: (\w+)", FOUR_WAY.read_text()), (AUDITOR,)),
    **dict.fromkeys(
        (
            "entries_between",
            "account_entries_between",
            "transactions_between",
            "mentions_between",
            "account_mentions_between",
            "moments_between",
            "all_balances",
            "all_accounts",
            "all_standings",
            "all_books",
            "all_command_accounts",
            "accounts_stored_after",
            "all_command_standings",
            "all_command_books",
            "account_balance",
            "account_policy",
            "entries_as_text",
            "transactions_as_text",
            "plain_times",
            "balances_of_keys",
            "accounts_of_keys",
            "standings_of_keys",
            "ask_reconciliation",
            "record_reconciliation",
            "reconciliation_under_way",
            "queued_reconciliations",
            "try_take_reconciliation",
            "let_go_of_reconciliation",
            "reconciliation",
            "reconciliations",
            "history",
            "discrepancies",
            "counted_discrepancies",
            "order_discrepancies",
            "add_discrepancies",
            "update_reconciliation",
            "put_place",
            "place",
            "remove_place",
        ),
        (AUDITOR,),
    ),
    **{f"{verb}_{view}": (REPAIRER,) for verb in ("remove", "restore") for view in VIEWS},
    "touch_checkpoint": (REPAIRER, None),
    **dict.fromkeys(("touch_head", "record_repair", "record_repair_check"), (REPAIRER,)),
    "command_account": (AUDITOR, REPAIRER),
    "reconciliation_scope": (AUDITOR, REPAIRER),
    "repairs": (AUDITOR,),
    # A rebuild makes tables: it works as the owner of them.
    **dict.fromkeys(
        (
            "lock_rebuild",
            "create_statements",
            "build_with_memory",
            "index_statements",
            "comparison_statements",
            "swap_statements",
            "open_snapshots",
            "limit_lock_wait",
            "record_rebuild",
        ),
        (None,),
    ),
}
# Several statements, executed by every migration.
SCRIPTS = {"create_migrations"}


async def test_migrating_again_changes_nothing(
    admin: database.Connection, postgres_server: str
) -> None:
    """The first run applies every file in order, the second none."""
    async with fixtures.database_made(admin, None) as name:
        url = fixtures.beside(postgres_server, name)
        assert await migrate(url) == sorted(path.stem for path in migrations.FOLDER.glob("*.sql"))
        assert await migrate(url) == []
        assert await fixtures.checkpoint(url, "projector") == 0


async def test_two_migrating_processes_take_turns(
    admin: database.Connection, postgres_server: str
) -> None:
    """Of several at once one applies everything, the others find it done."""
    async with fixtures.database_made(admin, None) as name:
        url = fixtures.beside(postgres_server, name)
        applied = await asyncio.gather(*(migrate(url) for _ in range(4)))
        everything = sorted(path.stem for path in migrations.FOLDER.glob("*.sql"))
        assert sorted(applied) == [[], [], [], everything]


async def test_databases_of_one_cluster_may_migrate_at_once(
    admin: database.Connection, postgres_server: str
) -> None:
    """The roles are shared by the cluster; making them again disturbs nobody."""
    async with (
        fixtures.database_made(admin, None) as one,
        fixtures.database_made(admin, None) as two,
        fixtures.database_made(admin, None) as three,
    ):
        urls = [fixtures.beside(postgres_server, name) for name in (one, two, three)]
        applied = await asyncio.gather(*(migrate(url) for url in urls))
        assert all(names == applied[0] != [] for names in applied)


async def test_a_file_changed_after_it_was_applied_is_refused(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, and what comes after it is not applied."""
    folder = _copied(tmp_path, monkeypatch)
    changed = folder / "0002_log.sql"
    changed.write_text(changed.read_text() + "\n-- A comment is a change, too.\n")
    (folder / "9999_later.sql").write_text("CREATE TABLE read.later (x int);")
    with pytest.raises(MigrationError, match=r"0002_log\.sql"):
        await migrate(database_url)
    async with fixtures.connected(database_url) as connection:
        assert await connection.fetchval("SELECT to_regclass('read.later')") is None


async def test_a_token_from_before_keeps_its_one_tenant(
    admin: database.Connection,
    postgres_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0005 makes a set of one of it; afterwards no token can be for nobody."""
    folder = _copied(tmp_path, monkeypatch)
    for path in sorted(folder.glob("*.sql"))[4:]:
        path.unlink()
    async with fixtures.database_made(admin, None) as name:
        url = fixtures.beside(postgres_server, name)
        assert len(await migrate(url)) == 4
        async with fixtures.connected(url) as connection:
            await connection.execute(
                "INSERT INTO runtime.tokens (token_sha256, tenant, scopes, label) "
                "VALUES ('\\x00', 'acme', '{read}', 'from before')"
            )
            monkeypatch.undo()
            assert "0005_tokens_of_several_ledgers" in await migrate(url)
            assert await connection.fetchval("SELECT tenants FROM runtime.tokens") == ["acme"]
            for nobody in ([], [None]):
                with pytest.raises(asyncpg.CheckViolationError, match="tokens_tenants_named"):
                    await connection.execute("UPDATE runtime.tokens SET tenants = $1", nobody)


async def test_a_failing_migration_leaves_nothing_behind(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and record are one transaction; mended, the same file is applied."""
    folder = _copied(tmp_path, monkeypatch)
    broken = folder / "9999_broken.sql"
    broken.write_text("CREATE TABLE read.half (x int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database_url)
    async with fixtures.connected(database_url) as connection:
        assert await connection.fetchval("SELECT to_regclass('read.half')") is None
    broken.write_text("CREATE TABLE read.half (x int);")
    assert await migrate(database_url) == ["9999_broken"]


@pytest.mark.parametrize("room", ROOMS)
async def test_every_named_query_fits_the_schema_and_its_roles_rights(
    database_url: str, room: str
) -> None:
    """Each prepares, and its plan may be executed, as the role that uses it."""
    wrong: list[str] = []
    for name, text in queries(room).items():
        if name in SCRIPTS:
            continue
        for role in ROLES.get(name, ROOM_ROLES[room]):
            async with fixtures.connected(database_url, role) as connection:
                try:
                    await connection.prepare(text)
                    # Rights are checked when a plan is opened, not when it is prepared.
                    await connection.execute(f"EXPLAIN (GENERIC_PLAN) {text}")
                except asyncpg.PostgresError as error:
                    wrong.append(f"{name} as {role}: {error}")
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_every_named_query_is_called(room: str) -> None:
    """A query that no module names is dead."""
    python = "\n".join(path.read_text() for part in PARTS for path in (ROOT / part).rglob("*.py"))
    called = set(re.findall(r'"(\w+)"', python))
    assert set(queries(room)) <= called


def _copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, folder)
    monkeypatch.setattr(migrations, "FOLDER", folder)
    return folder
