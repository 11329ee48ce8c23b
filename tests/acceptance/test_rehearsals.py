"""`?dry_run=true`: what would be decided, and the balances it would leave; nothing happens."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from tests.acceptance.command_driver import (
    BATCH,
    accepted,
    balance,
    batch,
    item,
    results,
)
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import (
    API,
    READABLE,
    SUBMIT,
    Database,
    Ledger,
    exact,
    head_position,
    problem,
    transfer,
)

PAYS = {"source": "wallet", "destination": "shop"}
REHEARSED = {"dry_run": "true"}


class Asked(NamedTuple):
    """A request, ready to be sent with or without `dry_run`."""

    path: str
    body: Any
    method: str = "POST"


class Case(NamedTuple):
    """What is asked of a ledger with 100 in the wallet, and the code if it is refused."""

    name: str
    arrange: Callable[[Ledger], Awaitable[Asked]]
    code: str | None = None


def submission(name: str, code: str | None = None, /, **fields: Any) -> Case:  # noqa: ANN401
    """Return a case of `POST /transactions`."""

    async def arrange(_: Ledger) -> Asked:
        body = {"transaction": transfer(**(PAYS | {"amount": "60.00"} | fields))}
        return Asked("/transactions", body | {"idempotencyKey": "k"})

    return Case(name, arrange, code)


def follow_up(
    verb: str,
    first: dict[str, Any],
    code: str | None = None,
    /,
    **body: Any,  # noqa: ANN401
) -> Case:
    """Return a case of something that is done to an earlier transaction."""

    async def arrange(ledger: Ledger) -> Asked:
        about = await accepted(ledger, **PAYS, amount="80.00", **first)
        return Asked(f"/transactions/{about}/{verb}", {"idempotencyKey": "k", **body})

    return Case(f"{verb} {code or ''}", arrange, code)


def other(name: str, asked: Asked, code: str | None = None) -> Case:
    """Return a case that needs nothing before."""

    async def arrange(_: Ledger) -> Asked:
        return asked

    return Case(name, arrange, code)


POSTINGS = [
    {"source_account_id": "wallet", "destination_account_id": shop, "amount": "30.00"}
    for shop in ("shop", "fees")
]
CASES = [
    submission("transfer"),
    submission("transfer refused", "insufficient_funds", amount="100.01"),
    submission("conflict", "version_conflict",
               conditions=[{"account_id": "wallet", "expected_version": 9}]),
    submission("hold", pending=True),
    submission("hold refused", "expires_at_passed", pending=True, expires_at="2020-01-01"),
    submission("schedule", due_at="2100-01-01"),
    submission("schedule refused", "due_at_passed", due_at="2020-01-01"),
    submission("dated", effective_at="2026-01-15"),
    submission("exchange", destination="wallet-eur", exchange={"currency": "EUR", "rate": "0.9"}),
    other("postings", Asked("/transactions", {"transaction": {"postings": POSTINGS},
                                              "idempotencyKey": "k"})),
    follow_up("refund", {}, amount="30.00"),
    follow_up("refund", {}, "refund_exceeds_original", amount="80.01"),
    follow_up("capture", {"pending": True}, amount="30.00"),
    follow_up("capture", {"pending": True}, "capture_exceeds_hold", amount="80.01"),
    follow_up("void", {"pending": True}),
    follow_up("void", {}, "transaction_not_a_hold"),
    follow_up("cancel", {"due_at": "2100-01-01"}),
    follow_up("cancel", {}, "transaction_not_scheduled"),
    other("open", Asked("/accounts", {"account_id": "new", "overdraft": "5.00"})),
    other("open refused", Asked("/accounts", {"account_id": "wallet", "currency": "EUR"}),
          "account_exists"),
    other("change", Asked("/accounts/wallet", {"status": "frozen"}, "PATCH")),
    other("change refused", Asked("/accounts/wallet", {"status": "closed"}, "PATCH"),
          "account_not_empty"),
    other("close", Asked("/books/close", {"closed_before": "2026-02-01"})),
    other("close refused", Asked("/books/close", {"closed_before": "2100-02-01"}),
          "closing_in_future"),
]  # fmt: skip


@pytest.fixture
async def ledger(open_ledger: OpenLedger) -> Ledger:
    """Open a fresh ledger with 100 in the wallet, for somebody who may do everything."""
    opened = await open_ledger(("admin",))
    await opened.fund("wallet", "100.00")
    return opened


async def send(ledger: Ledger, asked: Asked, query: dict[str, str]) -> httpx.Response:
    """Send a request."""
    return await ledger.http.request(
        asked.method, f"{API}{asked.path}", json=asked.body, params=query, headers=READABLE
    )


async def check_balances(ledger: Ledger, rehearsed: dict[str, Any]) -> None:
    """Compare the accounts that a rehearsal showed with what they are."""
    for account in rehearsed["accounts"]:
        found = await balance(ledger, account["account_id"])
        assert found == {name: account[f"{name}_minor"] for name in found}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_rehearsal_is_what_happens_then(
    ledger: Ledger, database: Database, case: Case
) -> None:
    """The same decision and the same balances as those of the real command after it."""
    asked = await case.arrange(ledger)
    position = await head_position(database)
    rehearsal = await send(ledger, asked, REHEARSED)
    assert await head_position(database) == position
    assert "Daybook-Position" not in rehearsal.headers
    real = await send(ledger, asked, {})
    if case.code is not None:
        status = 409 if case.code == "version_conflict" else 422
        expected = problem(real, status, case.code)
        refused = problem(rehearsal, status, case.code)
        assert refused["dryRun"] is True
        assert refused["detail"] == expected["detail"]
        return
    assert rehearsal.status_code == 200, rehearsal.text
    assert real.status_code in (200, 201), real.text
    body = exact(rehearsal)
    assert body["dryRun"] is True
    (result,) = body["results"]
    assert result["status"] == "ACCEPTED"
    if "Idempotent-Replayed" not in real.headers and "idempotencyKey" in asked.body:
        shown = exact(real)["result"]
        assert result["transaction"]["id"] == shown["id"]
        assert result["transaction"]["status"] == shown["status"]
    await ledger.readable_at(real.headers["Daybook-Position"])
    await check_balances(ledger, body)


@pytest.mark.parametrize("key_of", ["accepted", "refused"])
async def test_rehearsal_of_a_used_key_shows_the_replay(
    ledger: Ledger, database: Database, key_of: str
) -> None:
    """It would change nothing, and be answered as it was."""
    amount = b"10.00" if key_of == "accepted" else b"100.01"
    first = await ledger.submit("k", **PAYS, amount=amount)
    position = await head_position(database)
    body = {"transaction": transfer(**PAYS, amount=amount), "idempotencyKey": "k"}
    answer = await ledger.http.post(SUBMIT, content=msgspec.json.encode(body), params=REHEARSED)
    assert await head_position(database) == position
    if key_of == "refused":
        refused = problem(answer, 422, "insufficient_funds")
        assert refused["detail"] == first.json()["detail"]
        return
    (result,) = answer.json()["results"]
    assert (result["status"], result["replayed"]) == ("ACCEPTED", True)
    assert result["transaction"]["id"] == first.json()["messageId"]
    assert answer.json()["accounts"] == []


async def test_rehearsal_of_another_command_with_a_used_key(ledger: Ledger) -> None:
    """The key is taken."""
    await ledger.posted("k", **PAYS, amount=b"1.00")
    body = {"transaction": transfer(**PAYS, amount="2.00"), "idempotencyKey": "k"}
    answer = await ledger.http.post(SUBMIT, json=body, params=REHEARSED)
    problem(answer, 422, "idempotency_key_reused")


async def test_rehearsed_accounts_have_all_their_figures(ledger: Ledger) -> None:
    """The policy and the counters, also of an account that would only be opened by it."""
    body = {"transaction": transfer(**PAYS, amount="60.00"), "idempotencyKey": "k"}
    answer = exact(await ledger.http.post(SUBMIT, json=body, params=REHEARSED))
    accounts = {account["account_id"]: account for account in answer["accounts"]}
    assert set(accounts) == {"wallet", "shop"}
    assert accounts["wallet"]["balance"] == "40.00"
    assert (accounts["shop"]["balance_minor"], accounts["shop"]["class"]) == ("6000", "customer")
    problem(await ledger.http.get(f"{API}/accounts/shop"), 404, "account_not_found")


@pytest.mark.parametrize("mode", ["independent", "atomic"])
async def test_rehearsed_batch(ledger: Ledger, database: Database, mode: str) -> None:
    """Each item on top of those before it, as the real one after it."""
    items = [
        item(**PAYS, amount=b"60.00"),
        item(source="shop", destination="away", amount=b"60.00"),
    ]
    position = await head_position(database)
    answer = await batch(ledger, items, mode, dry_run=True)
    assert await head_position(database) == position
    body = exact(answer)
    decided = body["results"]
    real = results(await batch(ledger, items, mode))
    assert [each["status"] for each in decided] == [each["status"] for each in real]
    assert [each["transaction"]["id"] for each in decided] == [each["messageId"] for each in real]
    await check_balances(ledger, body)


async def test_rehearsed_independent_batch_shows_each_refusal(ledger: Ledger) -> None:
    """Refused or not readable, in its place, as the real one does."""
    items = [
        item(**PAYS, amount=b"60.00"),
        {"transaction": {}, "idempotencyKey": "k"},
        item(**PAYS, amount=b"60.00"),
        item(**PAYS, amount=b"40.00"),
    ]
    decided = (await batch(ledger, items, dry_run=True)).json()["results"]
    real = results(await batch(ledger, items))
    assert [(each["status"], each.get("code")) for each in decided] == [
        (each["status"], each.get("code")) for each in real
    ]


async def test_rehearsed_atomic_batch_names_the_first_refusal(
    ledger: Ledger, database: Database
) -> None:
    """By its index, and it would leave nothing."""
    items = [item(**PAYS, amount=b"60.00"), item(**PAYS, amount=b"60.00")]
    position = await head_position(database)
    refused = problem(await batch(ledger, items, "atomic", dry_run=True), 422, "insufficient_funds")
    assert (refused["index"], refused["dryRun"]) == (1, True)
    assert await head_position(database) == position


async def test_rehearsed_batch_of_one_and_of_none(ledger: Ledger) -> None:
    """Neither is a special case."""
    one = await batch(ledger, [item(**PAYS, amount=b"1.00")], dry_run=True)
    assert [each["status"] for each in one.json()["results"]] == ["ACCEPTED"]
    refused = await batch(ledger, [item(**PAYS, amount=b"100.01")], dry_run=True)
    assert [each["code"] for each in refused.json()["results"]] == ["insufficient_funds"]
    none = await batch(ledger, [], dry_run=True)
    assert (none.status_code, none.json()["results"]) == (200, [])


async def test_rehearsal_does_not_hold_money(ledger: Ledger) -> None:
    """Rehearsed as often as one likes, it still goes through."""
    body = {"transaction": transfer(**PAYS, amount="100.00"), "idempotencyKey": "k"}
    for _ in range(3):
        assert (await ledger.http.post(SUBMIT, json=body, params=REHEARSED)).status_code == 200
    assert (await ledger.http.post(SUBMIT, json=body)).status_code == 202


@pytest.mark.parametrize("path", [SUBMIT, BATCH, f"{API}/accounts", f"{API}/books/close"])
async def test_rehearsal_is_asked_for_plainly(
    ledger: Ledger, database: Database, path: str
) -> None:
    """What is neither true nor false is refused: nothing is posted by a typing error."""
    bodies = {
        SUBMIT: {"transaction": transfer(amount="1.00"), "idempotencyKey": "k"},
        BATCH: [item(amount="1.00")],
        f"{API}/accounts": {"account_id": "new"},
        f"{API}/books/close": {"closed_before": "2026-02-01"},
    }
    position = await head_position(database)
    for text in ("True", "1", "yes", ""):
        answer = await ledger.http.post(path, json=bodies[path], params={"dry_run": text})
        problem(answer, 400, "dry_run_invalid")
    assert await head_position(database) == position
