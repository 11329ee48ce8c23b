"""Repair over HTTP and on the command line, and a rebuild of the running service."""

import asyncio
import json

import pytest

from daybook.embedded.up import Service
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import (
    API,
    SCOPES,
    UNKNOWN_ID,
    Database,
    Ledger,
    environment,
    problem,
    run,
)

REPAIRING = (*SCOPES, "repair")
DRIFT = (
    "UPDATE read.balances SET credits_posted = credits_posted + $1"
    " WHERE ledger = $2 AND account_id = 'wallet'"
)
WALLET = {"account_id": "wallet"}


async def spoilt(ledger: Ledger, database: Database) -> None:
    """Put money into a wallet, and a wrong number beside it."""
    await ledger.fund("wallet", "100.00")
    await database.execute(DRIFT, 7, ledger.name)


async def test_a_plan_changes_nothing_and_its_repair_is_kept(
    open_ledger: OpenLedger, database: Database
) -> None:
    """Before and after, who, why, and the second look; read again, it is the same."""
    ledger = await open_ledger(REPAIRING)
    await spoilt(ledger, database)
    plan = await ledger.post("/repairs", WALLET)
    assert (plan["status"], plan["rowCount"], plan["obstacles"]) == ("PLANNED", 1, [])
    (change,) = plan["changes"]
    assert (change["action"], change["table"]) == ("update", "read.balances")
    assert change["before"]["credits_posted"] == "10007"
    assert change["after"]["credits_posted"] == "10000"
    assert (await ledger.get("/accounts/wallet/balance"))["credits_posted_minor"] == "10007"
    report = await ledger.post("/accounts/wallet/reconcile")
    named = {"reconciliationId": report["reconciliationId"], "kind": "balance_drift"}
    assert (await ledger.post("/repairs", named))["plan"] == plan["plan"]
    done = await ledger.post(
        "/repairs", WALLET | {"apply": True, "reason": "ticket 1", "plan": plan["plan"]}
    )
    assert (done["status"], done["reason"], done["changes"]) == (
        "APPLIED",
        "ticket 1",
        plan["changes"],
    )
    assert done["verification"]["remaining"] == 0
    assert (await ledger.get("/accounts/wallet/balance"))["credits_posted_minor"] == "10000"
    (kept,) = (await ledger.get("/repairs"))["items"]
    assert kept == await ledger.get(f"/repairs/{done['repairId']}")
    assert kept == done
    again = await ledger.post("/repairs", WALLET | {"apply": True, "reason": "ticket 2"})
    assert (again["status"], again["changes"]) == ("CLEAN", [])


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({}, 400, "repair_ambiguous"),
        (WALLET | {"reconciliationId": UNKNOWN_ID}, 400, "repair_ambiguous"),
        (WALLET | {"apply": True}, 400, "reason_missing"),
        (WALLET | {"apply": True, "reason": " "}, 400, "reason_missing"),
        (WALLET | {"kind": "nothing"}, 400, "body_invalid"),
        ({"account_id": "nobody"}, 404, "account_not_found"),
        ({"reconciliationId": UNKNOWN_ID}, 404, "reconciliation_not_found"),
        (WALLET | {"apply": True, "reason": "x", "plan": "another"}, 409, "plan_stale"),
    ],
)
async def test_an_impossible_repair_is_refused(
    open_ledger: OpenLedger, body: dict[str, object], status: int, code: str
) -> None:
    """And nothing is written."""
    ledger = await open_ledger(REPAIRING)
    await ledger.fund("wallet", "100.00")
    answer = await ledger.http.post(f"{API}/repairs", json=body)
    problem(answer, status, code)
    assert await ledger.get("/repairs") == {"items": []}


async def test_another_ledgers_rows_are_neither_seen_nor_mended(
    open_ledger: OpenLedger, database: Database
) -> None:
    """Not by the account's name, not by the reconciliation, not by the repair's id."""
    theirs, mine = await open_ledger(REPAIRING), await open_ledger(REPAIRING)
    await spoilt(theirs, database)
    await mine.fund("wallet", "1.00")
    report = await theirs.post("/accounts/wallet/reconcile")
    assert (await mine.post("/repairs", WALLET))["status"] == "CLEAN"
    named = {"reconciliationId": report["reconciliationId"], "apply": True, "reason": "x"}
    answer = await mine.http.post(f"{API}/repairs", json=named)
    problem(answer, 404, "reconciliation_not_found")
    done = await theirs.post("/repairs", named)
    answer = await mine.http.get(f"{API}/repairs/{done['repairId']}")
    problem(answer, 404, "repair_not_found")
    assert await mine.get("/repairs") == {"items": []}


async def test_the_command_line_plans_and_applies(
    service: Service, ledger: Ledger, database: Database
) -> None:
    """Exit code 1 while something differs, 0 when it is mended; who did it is kept."""
    await spoilt(ledger, database)
    env = environment(service)
    one = ("repair", "--ledger", ledger.name, "--account", "wallet")
    planned = await run(*one, env=env)
    assert planned.code == 1
    assert f"UPDATE read.balances ({ledger.name}, wallet): balance_drift" in planned.out
    assert "10007  →  10000" in planned.out
    plan = json.loads((await run(*one, "--json", env=env)).out)
    apply = ("--apply", "--reason", "ticket 3", "--by", "Ada", "--plan", plan["fingerprint"])
    done = await run(*one, *apply, env=env)
    assert done.code == 0
    assert "1 rows corrected by Ada: ticket 3" in done.out
    clean = await run(*one, env=env)
    assert (clean.code, clean.out) == (0, "clean: nothing to repair\n")
    (kept,) = (await ledger.get("/repairs"))["items"]
    assert (kept["appliedBy"], kept["reason"]) == ("Ada", "ticket 3")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--apply",),
        ("--reconciliation", UNKNOWN_ID),
        ("--apply", "--reason", "x", "--plan", "another"),
    ],
)
async def test_an_impossible_repair_is_one_clear_line(
    service: Service, arguments: tuple[str, ...]
) -> None:
    """Exit code 2."""
    finished = await run("repair", *arguments, env=environment(service))
    assert (finished.code, finished.out) == (2, "")
    assert "Traceback" not in finished.err


async def test_a_rebuild_under_the_running_service_is_felt_by_nobody(
    service: Service, ledger: Ledger, database: Database
) -> None:
    """Submissions and reads go on while all read models are replaced; a wrong row is gone."""
    await spoilt(ledger, database)
    await ledger.fund("payer", "1000.00")
    ended = asyncio.Event()

    async def submitting() -> int:
        count = 0
        while not ended.is_set():
            await ledger.posted(source="payer", destination="shop", amount=b"0.01")
            assert "items" in await ledger.get("/accounts/payer/ledger")
            count += 1
        return count

    busy = asyncio.create_task(submitting())
    compared = await run("rebuild", "--compare-only", "--json", env=environment(service))
    built = await run("rebuild", "--by", "Ada", "--json", env=environment(service))
    ended.set()
    count = await busy
    assert count > 0
    for finished, swapped in ((compared, False), (built, True)):
        assert finished.code == 1, finished.err
        report = json.loads(finished.out)
        assert report["swapped"] is swapped
        assert "read.balances" in {table["table"] for table in report["differences"]}
    shown = await ledger.get("/accounts/wallet/balance")
    assert shown["credits_posted_minor"] == "10000"
    spent = await ledger.get("/accounts/payer/balance")
    assert spent["debits_posted_minor"] == str(count)
    rebuilt = await database.fetchval("SELECT rebuilt_by FROM read.rebuilds LIMIT 1")
    assert rebuilt == "Ada"
