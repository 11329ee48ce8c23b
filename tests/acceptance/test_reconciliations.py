"""Reconciliations over HTTP: asked for, waited for, read, and nobody else's."""

import csv
import io
from typing import Any

from daybook.embedded.up import Service
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import API, UNKNOWN_ID, Database, Ledger, client, problem, until

SPOIL = """
    UPDATE read.balances SET debits_pending = debits_pending + $1
    WHERE ledger = $2 AND account_id = 'wallet'
"""


async def _ended(ledger: Ledger, reconciliation_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def looked() -> bool:
        found.update(await ledger.get(f"/reconciliations/{reconciliation_id}"))
        return found["status"] not in {"QUEUED", "RUNNING"}

    await until(looked, "the reconciliation ends")
    return found


async def _asked(ledger: Ledger, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = await ledger.http.post(f"{API}/reconciliations", json=body or {})
    assert answer.status_code == 202, answer.text
    asked: dict[str, Any] = answer.json()
    return await _ended(ledger, asked["reconciliationId"])


async def test_a_ledger_is_reconciled_behind_the_scenes(
    ledger: Ledger, open_ledger: OpenLedger, database: Database
) -> None:
    """Clean, then not: by kind and account, as JSON and CSV, a page at a time; and only its own."""
    await ledger.fund("wallet", "100.00")
    await ledger.posted(source="wallet", destination="shop", amount=b"1")
    other = await open_ledger()
    clean = await _asked(ledger)
    assert (clean["status"], clean["eventsRead"], clean["entriesCompared"]) == ("CLEAN", 5, 4)
    assert clean["progress"]["etaSeconds"] == 0
    await database.execute(SPOIL, 7, ledger.name)
    try:
        spoilt = await _asked(ledger)
        alone = await _asked(ledger, {"account_id": "shop"})
        others = await _asked(other)
    finally:
        await database.execute(SPOIL, -7, ledger.name)
    assert (spoilt["status"], spoilt["kinds"]) == ("DISCREPANCIES", {"balance_drift": 1})
    assert (alone["status"], alone["account_id"]) == ("CLEAN", "shop")
    assert (others["status"], others["eventsRead"], others["kinds"]) == ("CLEAN", 0, {})
    path = f"/reconciliations/{spoilt['reconciliationId']}"
    (drift,) = (await ledger.get(f"{path}/discrepancies"))["items"]
    assert (drift["view"], drift["account_id"]) == ("read.balances", "wallet")
    for query, count in (("kind=balance_drift", 1), ("kind=missing_entry", 0), ("account_id=x", 0)):
        assert len((await ledger.get(f"{path}/discrepancies?{query}"))["items"]) == count
    answer = await ledger.http.get(f"{API}{path}/discrepancies", headers={"Accept": "text/csv"})
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["id"], row["explanation"]) == (str(drift["id"]), drift["explanation"])
    first = await ledger.get("/reconciliations?limit=2")
    rest = await ledger.get(f"/reconciliations?limit=2&cursor={first['next']}")
    listed = [each["reconciliationId"] for each in first["items"] + rest["items"]]
    assert listed == [each["reconciliationId"] for each in (alone, spoilt, clean)]
    assert rest["next"] is None
    for theirs in (path, f"{path}/discrepancies"):
        problem(await other.http.get(API + theirs), 404, "reconciliation_not_found")


async def test_an_account_that_is_not_there_fails_and_says_so(ledger: Ledger) -> None:
    """The next one can be asked for."""
    failed = await _asked(ledger, {"account_id": "nobody"})
    assert failed["status"] == "FAILED"
    assert "nobody" in failed["failure"]
    assert (await _asked(ledger))["status"] == "CLEAN"


async def test_the_continuous_one_shows_a_ledgers_own(
    ledger: Ledger, open_ledger: OpenLedger, database: Database
) -> None:
    """Found within seconds, in the ledger that it is of, and in no other."""
    await ledger.fund("wallet", "100.00")
    # Nobody moves the account any more: its turn comes.
    await database.execute(SPOIL, 7, ledger.name)
    try:

        async def found() -> bool:
            return bool((await ledger.get("/reconciliations/continuous"))["kinds"])

        await until(found, "the auditor finds it")
    finally:
        await database.execute(SPOIL, -7, ledger.name)
    items = (await ledger.get("/reconciliations/continuous/discrepancies"))["items"]
    assert {each["ledger"] for each in items} == {ledger.name}
    other = await open_ledger()
    assert (await other.get("/reconciliations/continuous"))["discrepancyCount"] == 0
    assert (await other.get("/reconciliations/continuous/discrepancies"))["items"] == []


async def test_what_is_asked_wrongly_is_a_problem(ledger: Ledger, service: Service) -> None:
    """In the same shape as everywhere."""
    for path, status, code in (
        (f"/reconciliations/{UNKNOWN_ID}", 404, "reconciliation_not_found"),
        ("/reconciliations/none", 404, "reconciliation_not_found"),
        ("/reconciliations?limit=0", 400, "limit_invalid"),
        ("/reconciliations?cursor=x", 400, "cursor_invalid"),
        ("/reconciliations?kind=x", 400, "parameter_unknown"),
        ("/reconciliations?limit=1&limit=1", 400, "parameter_repeated"),
        ("/reconciliations/continuous/discrepancies?kind=x", 400, "kind_unknown"),
        ("/reconciliations/continuous/discrepancies?account_id=%00", 400, "control_character"),
    ):
        problem(await ledger.http.get(API + path), status, code)
    for body, code in (
        ({"startDate": "2026-01-01"}, "period_invalid"),
        ({"account_id": 7}, "body_invalid"),
        ({"account_id": "a", "startDate": "2026-02-01", "endDate": "2026-01-01"}, "period_invalid"),
    ):
        problem(await ledger.http.post(f"{API}/reconciliations", json=body), 400, code)
    async with client(service.url) as http:
        problem(await http.post(f"{API}/reconciliations"), 401, "token_missing")
