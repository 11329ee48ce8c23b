"""The command `daybook`: what it prints, changes and leaves behind, and its exit codes."""

import asyncio
import csv
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from daybook.embedded.up import Service, read_run
from tests.acceptance.driver import (
    API,
    ROOT,
    Database,
    Ledger,
    client,
    environment,
    is_ready,
    projected,
    run,
    started,
    until,
)
from tests.patience import patient_s

SUBCOMMANDS = {
    "up",
    "demo",
    "drill",
    "serve",
    "relay",
    "project",
    "audit",
    "reconcile",
    "replay",
    "repair",
    "rebuild",
    "explain",
    "migrate",
    "token",
    "seal",
    "seal-key",
    "seal-export",
    "verify",
    "statements",
}
ACCOUNT = ("--ledger", "demo", "--account", "account-123")
SLOW_TO_IMPORT = {"aiobotocore", "asyncpg", "litestar", "rich", "uvloop"}
NEEDS_A_DATABASE = [
    ("migrate",),
    ("token", "shop"),
    ("reconcile",),
    ("audit",),
    ("replay",),
    ("repair",),
    ("rebuild",),
    ("explain", "account-123", "--ledger", "demo"),
    ("statements", "show", "x", "--ledger", "demo"),
    ("serve", "all"),
    ("relay",),
    ("project",),
]

TOO_MANY_DECIMALS = """
defaults.currency = "USD"
currencies.USD.decimals = 40
classes = [{name = "a", pattern = "*", normal_side = "credit"}]
"""


@pytest.fixture
def env(service: Service, schema_file: Path) -> dict[str, str]:
    """Return the environment variables of an operator of the service."""
    return environment(service, DAYBOOK_SCHEMA_FILE=str(schema_file))


async def json_of(*arguments: str, env: dict[str, str], code: int = 0) -> Any:  # noqa: ANN401
    """Run a command with --json and return the one JSON object that it prints."""
    finished = await run(*arguments, "--json", env=env)
    assert finished.code == code, finished.out + finished.err
    assert finished.out.count("\n") == 1
    return json.loads(finished.out)


async def refused(*arguments: str, env: dict[str, str], cwd: Path | None = None) -> str:
    """Run a command that must fail, and return its one line of explanation."""
    finished = await run(*arguments, env=env, **({"cwd": cwd} if cwd else {}))
    assert finished.code == 2, finished.out + finished.err
    assert finished.out == ""
    assert "Traceback" not in finished.err
    assert finished.err.count("\n") == 1, finished.err
    return finished.err


async def test_help_names_every_command() -> None:
    """The help lists each command with one line."""
    finished = await run("--help", env=environment(None))
    assert (finished.code, finished.err) == (0, "")
    listed = {
        line.split()[0] for line in finished.out.partition("Commands:")[2].splitlines() if line
    }
    assert listed >= SUBCOMMANDS


def test_the_command_line_itself_imports_no_server_no_driver_and_no_aws() -> None:
    """They take most of a second to import; each command imports only what it needs."""
    code = f"import sys, daybook.cli.main; print(*{SLOW_TO_IMPORT} & sys.modules.keys())"
    command = [sys.executable, "-c", code]
    imported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert imported.stdout.split() == []


@pytest.mark.parametrize("arguments", NEEDS_A_DATABASE, ids=" ".join)
async def test_missing_database_url_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    """The exit code is 2, and the line names the variable."""
    assert "DAYBOOK_DATABASE_URL" in await refused(*arguments, env=environment(None))


@pytest.mark.parametrize("arguments", [("reconcile",), ("token", "shop"), ("serve", "all")])
async def test_absent_database_is_one_clear_line(
    env: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """The exit code is 2, and the line holds no address and no password."""
    url = f"postgresql://someone:hunter2@/nothing?host={tmp_path}"
    message = await refused(*arguments, env=env | {"DAYBOOK_DATABASE_URL": url})
    assert "database" in message
    assert "hunter2" not in message


async def test_unreadable_variable_is_one_clear_line(env: dict[str, str]) -> None:
    """A malformed number is found at the start."""
    message = await refused("reconcile", env=env | {"DAYBOOK_BATCH_COMMANDS_MAX": "many"})
    assert "batch_commands_max" in message.lower()


@pytest.mark.parametrize("text, key", [
    ("[defaults]\ncurrency = 1", "defaults.currency"),
    ("nonsense", "not TOML"),
    (TOO_MANY_DECIMALS, "currencies.USD.decimals"),
])  # fmt: skip
async def test_bad_schema_is_one_line_that_names_the_key(
    env: dict[str, str], tmp_path: Path, text: str, key: str
) -> None:
    """The accounting schema is checked when the program starts."""
    path = tmp_path / "schema.toml"
    path.write_text(text)
    assert key in await refused("serve", "all", env=env | {"DAYBOOK_SCHEMA_FILE": str(path)})


async def test_token_works_for_its_ledger_and_scopes(
    env: dict[str, str], service: Service, database: Database
) -> None:
    """The token allows its scopes and nothing else, and only its digest is stored."""
    made = await json_of("token", "cli-ledger", "--scope", "read", env=env)
    assert set(made) == {"token", "ledgers", "scopes"}
    assert (made["ledgers"], made["scopes"]) == (["cli-ledger"], ["read"])
    async with client(service.url, made["token"]) as http:
        assert (await http.get(f"{API}/transactions")).status_code == 200
        assert (await http.post(f"{API}/transactions", json={})).status_code == 403
    kept = await database.fetch("SELECT tenants, token_sha256 FROM runtime.tokens")
    assert ["cli-ledger"] in [row["tenants"] for row in kept]
    assert made["token"].encode() not in {row["token_sha256"] for row in kept}


async def test_token_of_several_ledgers_works_in_each(
    env: dict[str, str], service: Service
) -> None:
    """Ledgers are named once or twice, as argument or as option."""
    arguments = ("token", "cli-a", "--ledger", "cli-b", "--ledger", "cli-a")
    made = await json_of(*arguments, env=env)
    assert made["ledgers"] == ["cli-a", "cli-b"]
    async with client(service.url, made["token"]) as http:
        for name, status in (("cli-a", 200), ("cli-b", 200), ("cli-c", 403)):
            answer = await http.get(f"{API}/transactions", headers={"Daybook-Ledger": name})
            assert answer.status_code == status, answer.text


async def test_revoked_token_opens_nothing(env: dict[str, str], service: Service) -> None:
    """A process without the token in its memory refuses it; revoking it again is no error."""
    made = await json_of("token", "--ledger", "cli-ledger", "--label", "old backend", env=env)
    for _ in range(2):
        revoked = await json_of("token", "--revoke", made["token"], env=env)
        assert revoked == {"revoked": True, "label": "old backend"}
    async with client(service.url, made["token"]) as http:
        assert (await http.get(f"{API}/transactions")).status_code == 401


@pytest.mark.parametrize("arguments, code", [
    ((), "ledger_missing"),
    (("Bad Ledger",), "ledger_invalid"),
    (("shop", "--ledger", "a|b"), "ledger_invalid"),
    (("shop", "--scope", "everything"), "scope_unknown"),
    (("--revoke", "no-such-token"), "token_unknown"),
    (("shop", "--revoke", "no-such-token"), "ledger_unexpected"),
])  # fmt: skip
async def test_bad_token_is_refused(
    env: dict[str, str], arguments: tuple[str, ...], code: str
) -> None:
    """Names of ledgers and scopes are checked before anything is stored."""
    assert code in await refused("token", *arguments, env=env)


async def test_migrate_again_changes_nothing(env: dict[str, str]) -> None:
    """A migrated database needs no migration."""
    assert await json_of("migrate", env=env) == {"applied": []}


async def test_migrate_makes_a_new_database_usable(
    env: dict[str, str], service: Service, database: Database
) -> None:
    """An empty database is migrated, and its reconciliation is clean."""
    await database.execute("CREATE DATABASE cli_migrate")
    try:
        url = service.database_url.replace("/daybook?", "/cli_migrate?")
        assert url != service.database_url
        fresh = env | {"DAYBOOK_DATABASE_URL": url}
        assert len((await json_of("migrate", env=fresh))["applied"]) > 0
        report = await json_of("reconcile", env=fresh)
        assert (report["events_read"], report["discrepancy_count"]) == (0, 0)
    finally:
        await database.execute("DROP DATABASE cli_migrate WITH (FORCE)")


async def test_reconcile_everything_is_clean(
    env: dict[str, str], ledger: Ledger, database: Database
) -> None:
    """The exit code is 0, after all that the other tests did to this service."""
    await ledger.fund("wallet")
    await until(lambda: projected(database), "the projector catches up")
    position = await database.fetchval("SELECT position FROM events.head")
    report = await json_of("reconcile", env=env)
    assert (report["discrepancy_count"], report["discrepancies"]) == (0, [])
    assert report["position"] == report["events_read"] == position
    finished = await run("reconcile", env=env)
    assert (finished.code, finished.out.splitlines()[-1]) == (0, "clean")


async def test_reconcile_one_account_and_period(env: dict[str, str], ledger: Ledger) -> None:
    """Only the account's entries in the period are compared; its history shows the report."""
    await ledger.fund("wallet", "100.00")
    await ledger.posted(source="wallet", destination="shop", amount=b"1")
    one = ("reconcile", "--ledger", ledger.name, "--account", "wallet")
    today = f"{datetime.now(UTC).date()}"
    report = await json_of(*one, "--start", today, "--end", today, env=env)
    assert (report["entries_compared"], report["discrepancy_count"]) == (2, 0)
    history = await ledger.get("/accounts/wallet/reconciliation-history")
    assert [kept["reconciliationId"] for kept in history["items"]] == [report["reconciliation_id"]]
    before = await json_of(*one, "--end", "2020-01-01", env=env)
    assert (before["entries_compared"], before["discrepancy_count"]) == (0, 0)


@pytest.mark.parametrize("arguments", [
    ("--account", "wallet"),
    ("--ledger", "demo", "--start", "2026-01-01"),
    ("--resume", "00000000-0000-4000-8000-000000000000"),
    ("--resume", "00000000-0000-4000-8000-000000000000", "--ledger", "demo"),
    ("--ledger", "demo", "--account", "nobody"),
    (*ACCOUNT, "--start", "yesterday"),
    (*ACCOUNT, "--start", "2026-02-01", "--end", "2026-01-01"),
])  # fmt: skip
async def test_impossible_reconciliation_is_refused(
    env: dict[str, str], arguments: tuple[str, ...]
) -> None:
    """A report about nothing would look clean."""
    await refused("reconcile", *arguments, env=env)


async def test_a_bank_s_file_is_imported_once_and_shown(
    env: dict[str, str], ledger: Ledger, tmp_path: Path
) -> None:
    """The exit code is 1 while something differs, then 0, and 2 for an unreadable file."""
    paid = await ledger.posted("inv-1", source="bank:main", destination="wallet", amount=b"9.50")
    file = tmp_path / "bank.csv"
    day = paid["created_at"][:10]
    file.write_text(f"Day;Sum;Ref\n{day};9,50;INV-1\n{day};-2,00;fee\n")
    where = ("--ledger", ledger.name)
    columns = ("date=Day", "amount=Sum", "reference=Ref", "delimiter=;", "decimal=,")
    mapped = [part for column in columns for part in ("--map", column)]
    arguments = ("statements", "import", str(file), *where, "--account", "bank:main")
    report = await json_of(*arguments, "--format", "csv", *mapped, env=env, code=1)
    again = await json_of(*arguments, "--format", "csv", *mapped, env=env, code=1)
    assert report == again
    assert report["statement"]["matches"] == {"proposed": 1, "accepted": 0, "rejected": 0}
    (difference,) = report["differences"]
    assert difference["kind"] == "unmatched_statement_line"
    await ledger.posted(source="wallet", destination="bank:main", amount=b"2.00")
    statement_id = report["statement"]["statement_id"]
    await ledger.post(f"/statements/{statement_id}/match")
    finished = await run("statements", "show", statement_id, *where, env=env)
    assert (finished.code, finished.out.splitlines()[-1]) == (0, "clean")
    assert "statement_not_found" in await refused(
        "statements", "show", statement_id, "--ledger", "demo", env=env
    )
    assert "mapping_invalid" in await refused(*arguments, "--format", "csv", env=env)
    assert "parameter_unknown" in await refused(
        *arguments, "--format", "mt940", "--term", "luck=5", env=env
    )
    assert "statement_unreadable" in await refused(*arguments, "--format", "mt940", env=env)


async def test_replay_prints_a_trial_balance_that_balances(
    env: dict[str, str], ledger: Ledger, database: Database
) -> None:
    """Debits equal credits in each currency, now and at an earlier position."""
    first = await ledger.posted(destination="wallet", amount=b"100.00")
    await ledger.posted(source="wallet", destination="shop", amount=b"30.00")
    balance = await json_of("replay", "--ledger", ledger.name, env=env)
    assert {row["account_id"]: row["balance"] for row in balance["accounts"]} == {
        "external:usd": "-100.00",
        "shop": "30.00",
        "wallet": "70.00",
    }
    assert balance["totals"] == {"USD": {"debit": "130.00", "credit": "130.00"}}
    earlier = await json_of(
        "replay", "--ledger", ledger.name, "--until", str(first["position"]), env=env
    )
    assert earlier["position"] == first["position"]
    assert {row["account_id"]: row["balance"] for row in earlier["accounts"]} == {
        "external:usd": "-100.00",
        "wallet": "100.00",
    }
    whole = await run("replay", env=env)
    assert whole.code == 0
    assert ledger.name in whole.out


async def test_replay_and_explain_tell_one_accounts_history(
    env: dict[str, str], ledger: Ledger, tmp_path: Path
) -> None:
    """The story, the explanation and the difference agree, in every format and in a file."""
    first = await ledger.posted(destination="wallet", amount=b"100.00", description="one, two")
    await ledger.posted(source="wallet", destination="shop", amount=b"30.00")
    here = ("--ledger", ledger.name)
    story = await json_of("replay", "account", "wallet", *here, env=env)
    assert [step["change"] for step in story["steps"]] == ["0.00", "100.00", "-30.00"]
    assert (story["balance"], story["debits_posted"], story["currency"]) == (
        "70.00",
        "30.00",
        "USD",
    )
    made = await json_of("explain", "wallet", *here, "--limit", "1", env=env)
    assert [each["amount"] for each in made["contributions"]] == ["-30.00"]
    assert made["left_out"] == {"events": 1, "amount": "100.00"}
    assert (made["balance"], made["by_kind"]) == (
        "70.00",
        {"transfer": {"events": 2, "amount": "70.00"}},
    )
    at = str(first["position"])
    before = await json_of("explain", "wallet", *here, "--at", at, "--oldest-first", env=env)
    assert before["balance"] == "100.00"
    found = await json_of("replay", "diff", at, "2999-12-31", *here, env=env)
    changes = [(each["account_id"], each["balance_after"]) for each in found["accounts"]]
    assert changes == [("shop", "30.00"), ("wallet", "70.00")]
    assert found["event_count"] == len(found["events"]) == 2
    path = tmp_path / "story.csv"
    arguments = ("account", "wallet", *here, "--format", "csv", "--output", str(path))
    finished = await run("replay", *arguments, env=env)
    assert (finished.code, finished.out) == (0, "")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["change"] for row in rows] == ["0.00", "100.00", "-30.00"]
    assert rows[1]["sentence"].endswith("“one, two”.")
    assert list(tmp_path.iterdir()) == [path]
    lines = (await run("replay", "account", "wallet", *here, "--format", "ndjson", env=env)).out
    assert [json.loads(line) for line in lines.splitlines()] == story["steps"]


@pytest.mark.parametrize("arguments, code", [
    (("replay", "account"), "arguments_invalid"),
    (("replay", "--until", "yesterday"), "period_invalid"),
    (("replay", "account", "account-123"), "ledger_missing"),
    (("explain", "nobody", "--ledger", "demo"), "account_not_found"),
])  # fmt: skip
async def test_impossible_replay_is_refused(
    env: dict[str, str], arguments: tuple[str, ...], code: str
) -> None:
    """The one line names the problem's code."""
    assert code in await refused(*arguments, env=env)


async def test_demo_takes_every_step() -> None:
    """The exit code is 0 if each step was right; the JSON lists every step."""
    result = await json_of("demo", env=environment(None))
    assert result["ok"] is True
    assert result["problem"] == ""
    assert len(result["steps"]) >= 10


async def test_up_starts_serves_and_leaves_nothing(tmp_path: Path) -> None:
    """`daybook up` takes a free port, and after SIGTERM exits with 0 and leaves no process."""
    data = tmp_path / "data"
    arguments = ("up", "--port", "0", "--data", str(data))
    async with started(*arguments, env=environment(None)) as process:
        assert process.stdout is not None
        async with asyncio.timeout(patient_s(60)):
            line = (await process.stdout.readline()).decode()
        ours = read_run(data)
        assert ours is not None
        assert ours.url in line
        assert await is_ready(ours.url)
        family = psutil.Process(process.pid).children(recursive=True)
        assert {child.pid for child in family} >= set(ours.children.values())
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(patient_s(30)):
            out, err = await process.communicate()
        assert process.returncode == 0
    assert "Traceback" not in (out + err).decode()
    left = psutil.wait_procs(family, timeout=patient_s(1))[1]
    assert left == []
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await asyncpg.connect(ours.database_url)
