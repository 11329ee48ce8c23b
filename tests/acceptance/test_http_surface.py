"""The design's HTTP table, route by route: a client that was written for it works unchanged."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from daybook.embedded.up import Service
from tests.acceptance.driver import (
    API,
    READABLE,
    SUBMIT,
    UNKNOWN_ID,
    Database,
    Ledger,
    Number,
    Route,
    client,
    exact,
    flush_cache,
    head_position,
    new_key,
    paused,
    problem,
    routes,
)

RESULT = {
    "id",
    "kind",
    "source_account_id",
    "destination_account_id",
    "amount",
    "amount_minor",
    "currency",
    "status",
    "postings",
    "description",
    "reference",
    "metadata",
    "rate",
    "refund_of",
    "effective_at",
    "position",
    "created_at",
}
COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")


def moment(text: str) -> datetime:
    """Return a time that must name its offset."""
    at = datetime.fromisoformat(text)
    assert at.utcoffset() == timedelta(0)
    return at


# --- submitting and polling ---------------------------------------------------------------------


async def test_submission_is_accepted_in_exactly_the_promised_shape(ledger: Ledger) -> None:
    """202 with the five fields, and the position of the event beside them."""
    answer = await ledger.submit("order-1", amount=b"100.00")
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["Daybook-Position"]) > 0
    assert "Idempotent-Replayed" not in answer.headers
    body = answer.json()
    assert set(body) == {"status", "idempotencyKey", "messageId", "pollUrl", "expiresAt"}
    assert body["status"] == "ACCEPTED"
    assert body["idempotencyKey"] == "order-1"
    assert str(UUID(body["messageId"])) == body["messageId"]
    assert body["pollUrl"] == f"{API}/transactions/status/order-1"
    expires = moment(body["expiresAt"])
    assert timedelta(hours=23) < expires - datetime.now(UTC) < timedelta(hours=25)


async def test_accepted_is_durable_before_the_answer(ledger: Ledger, database: Database) -> None:
    """When 202 arrives, the event is in the log, at the position that the answer names."""
    answer = await ledger.submit("order-1")
    position = int(answer.headers["Daybook-Position"])
    row = await database.fetchrow(
        "SELECT originator_id, topic FROM events.daybook_events WHERE notification_id = $1",
        position,
    )
    assert row is not None
    assert (str(row["originator_id"]), row["topic"]) == (
        answer.json()["messageId"],
        "transfer.posted",
    )


@pytest.mark.parametrize("places", ["body", "header", "body and header"])
async def test_key_is_taken_from_the_body_or_the_header(ledger: Ledger, places: str) -> None:
    """Either place will do, and both may say the same."""
    key = new_key()
    headers = {"Idempotency-Key": key} if "header" in places else {}
    answer = await ledger.submit(key if "body" in places else None, headers=headers)
    assert answer.status_code == 202
    assert answer.json()["idempotencyKey"] == key


async def test_duplicate_gets_the_same_answer_and_says_so(
    ledger: Ledger, database: Database
) -> None:
    """A second submission changes nothing but the header that calls it a replay."""
    first = await ledger.submit("once")
    position = await head_position(database)
    for _ in range(3):
        again = await ledger.submit("once")
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Daybook-Position"] == first.headers["Daybook-Position"]
    assert await head_position(database) == position


async def test_duplicate_is_found_without_the_cache(
    ledger: Ledger, database: Database, service: Service
) -> None:
    """An emptied Valkey makes a duplicate slower, and nothing else."""
    first = await ledger.submit("once")
    position = await head_position(database)
    await flush_cache(service)
    again = await ledger.submit("once")
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await head_position(database) == position


@pytest.mark.parametrize(
    "other",
    [
        {"amount": b"100.01"},
        {"destination": "another"},
        {"source": "external:usd2"},
        {"currency": "EUR"},
        {"description": "another"},
        {"metadata": {"n": 1}},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_key_with_another_command_is_refused(
    ledger: Ledger, database: Database, other: dict[str, Any]
) -> None:
    """Every part of the command counts; the refusal is not in the log, as the key is taken."""
    await ledger.posted("once")
    position = await head_position(database)
    problem(await ledger.submit("once", **other), 422, "idempotency_key_reused")
    assert await head_position(database) == position


async def test_equal_amounts_written_differently_are_the_same_command(ledger: Ledger) -> None:
    """100, 100.00, "100.00" and 1e2 are one amount; a default currency may be left out."""
    first = await ledger.submit("once", amount=b"100.00")
    for amount in (b"100", b'"100.0"', b"1e2"):
        again = await ledger.submit("once", amount=amount, currency="USD")
        assert (again.status_code, again.json()) == (202, first.json())


async def test_poll_of_an_unknown_key_is_404(ledger: Ledger) -> None:
    """Never submitted."""
    answer = await ledger.http.get(f"{API}/transactions/status/never")
    problem(answer, 404, "transaction_not_found")


async def test_poll_is_processing_until_projected(ledger: Ledger, service: Service) -> None:
    """202 PROCESSING in exactly two fields while the projector stands still, then the result."""
    with paused(service.pids()["project"]):
        accepted = await ledger.submit("order-1", amount=b"100.00")
        answer = await ledger.http.get(accepted.json()["pollUrl"])
        assert answer.status_code == 202
        assert answer.json() == {"status": "PROCESSING", "idempotencyKey": "order-1"}
        shown, written = (int(a.headers["Daybook-Position"]) for a in (answer, accepted))
        assert shown < written
        await ledger.get(f"/transactions/{accepted.json()['messageId']}", 404)
    await ledger.readable_at(accepted.headers["Daybook-Position"])
    polled = await ledger.get("/transactions/status/order-1")
    assert set(polled) == {"status", "idempotencyKey", "result"}
    assert (polled["status"], polled["idempotencyKey"]) == ("COMPLETED", "order-1")
    result = polled["result"]
    assert set(result) == RESULT
    assert isinstance(result["amount"], Number)
    assert result.pop("effective_at") == result["created_at"]
    assert moment(result.pop("created_at")) <= datetime.now(UTC)
    moved = {
        "source_account_id": "external:usd",
        "destination_account_id": "wallet",
        "amount": "100.00",
        "amount_minor": "10000",
        "currency": "USD",
    }
    assert result == {
        "id": accepted.json()["messageId"],
        "kind": "transfer",
        **moved,
        "postings": [moved],
        "status": "COMPLETED",
        "description": None,
        "reference": None,
        "metadata": None,
        "rate": None,
        "refund_of": None,
        "position": int(accepted.headers["Daybook-Position"]),
    }


async def test_refused_transfer_polls_as_failed(ledger: Ledger) -> None:
    """The result names the code, and what was asked for."""
    answer = await ledger.submit("poor", source="empty", amount=b"5")
    refused = problem(answer, 422, "insufficient_funds")
    assert refused["pollUrl"] == f"{API}/transactions/status/poor"
    await ledger.readable_at(answer.headers["Daybook-Position"])
    polled = await ledger.get("/transactions/status/poor")
    assert set(polled) == {"status", "idempotencyKey", "result"}
    assert polled["status"] == "FAILED"
    result = polled["result"]
    assert set(result) == RESULT | {"code", "detail"}
    assert (result["status"], result["code"]) == ("FAILED", "insufficient_funds")
    assert result["detail"] == refused["detail"]
    assert (result["source_account_id"], result["destination_account_id"]) == ("empty", "wallet")
    assert (result["amount"], result["amount_minor"]) == ("5.00", "500")


async def test_waited_answer_is_what_the_poll_gives(ledger: Ledger) -> None:
    """The 200 of `Prefer: wait` and a later poll are the same, field by field."""
    waited = await ledger.submit(
        "k", headers=READABLE, description="Lunch", metadata={"b": 1, "a": None, "c": True}
    )
    assert waited.status_code == 200
    assert exact(waited) == await ledger.get("/transactions/status/k")


@pytest.mark.parametrize(
    "key",
    [
        "plain",
        "a/b",
        "a//b",
        "a/",
        "/a",
        "a/../b",
        "..a",
        "a%2Fb",
        "?x=1#y",
        "+&=;",
        '"\\<>{}|^`',
        "x" * 255,
    ],
)
async def test_poll_url_leads_to_this_very_submission(ledger: Ledger, key: str) -> None:
    """Whatever visible characters a key has, its poll URL finds it, and nothing else."""
    if key == "a//b":
        await ledger.posted("a/b", amount=b"1")
    answer = await ledger.submit(key, amount=b"2")
    if answer.status_code == 400:  # A key that cannot be polled may be refused beforehand.
        problem(answer, 400, "idempotency_key_invalid")
        return
    await ledger.readable_at(answer.headers["Daybook-Position"])
    polled = await ledger.http.get(answer.json()["pollUrl"])
    assert polled.status_code == 200, polled.text
    assert polled.json()["idempotencyKey"] == key
    assert polled.json()["result"]["id"] == answer.json()["messageId"]


# --- amounts ------------------------------------------------------------------------------------

AMOUNTS = [
    ("USD", b"0.1", "0.10", "10"),
    ("USD", b"100.00", "100.00", "10000"),
    ("USD", b'"100.00"', "100.00", "10000"),
    ("USD", b"1e2", "100.00", "10000"),
    ("USD", b"1E+2", "100.00", "10000"),
    ("USD", b'"1e2"', "100.00", "10000"),
    ("USD", b"12.5e-1", "1.25", "125"),
    ("USD", b" \n 1.50 \n ", "1.50", "150"),
    ("USD", b"0.01", "0.01", "1"),
    ("USD", b"1.0000000000", "1.00", "100"),
    ("USD", b"9007199254740993.01", "9007199254740993.01", "900719925474099301"),
    ("USD", b"0.29", "0.29", "29"),
    (
        "USD",
        b"1234567890123456789012345678.91",
        "1234567890123456789012345678.91",
        "123456789012345678901234567891",
    ),
    ("USD", b"9" * 36 + b".99", "9" * 36 + ".99", "9" * 38),
    ("USD", b"1e35", "1" + "0" * 35 + ".00", "1" + "0" * 37),
    ("JPY", b"5", 5, "5"),
    ("JPY", b"1e3", 1000, "1000"),
    ("KWD", b"1.005", "1.005", "1005"),
    ("BTC", b"0.00000001", "0.00000001", "1"),
    ("ETH", b"1.000000000000000001", "1.000000000000000001", "1000000000000000001"),
]


@pytest.mark.parametrize("currency, sent, unit, minor", AMOUNTS)
async def test_amount_goes_in_and_out_exactly(
    ledger: Ledger, currency: str, sent: bytes, unit: object, minor: str
) -> None:
    """As a number or a string, of any size: the same digits come out everywhere, twice."""
    result = await ledger.posted(
        "k", source="external:x", destination="w", amount=sent, currency=currency
    )
    assert (result["amount"], result["amount_minor"]) == (unit, minor)
    assert isinstance(result["amount"], Number | int)
    polled = await ledger.get("/transactions/status/k")
    assert (polled["result"]["amount"], polled["result"]["amount_minor"]) == (unit, minor)
    balance = await ledger.get("/accounts/w/balance")
    assert (balance["balance"], balance["balance_minor"]) == (unit, minor)
    (entry,) = (await ledger.get("/accounts/w/ledger"))["items"]
    assert (entry["amount"], entry["amount_minor"]) == (unit, minor)
    assert (entry["balance"], entry["balance_minor"]) == (unit, minor)


@pytest.mark.parametrize(
    "currency, zero",
    [
        ("USD", "0.00"),
        ("KWD", "0.000"),
        ("BTC", "0.00000000"),
    ],
)
async def test_nothing_is_written_with_the_currencys_decimals(
    ledger: Ledger, currency: str, zero: str
) -> None:
    """A zero is a number as people write it, not 0E-8."""
    await ledger.fund("w", "1", currency)
    assert (await ledger.get("/accounts/w/balance"))["debits_posted"] == zero


# --- transactions -------------------------------------------------------------------------------


async def test_transaction_is_found_by_its_id(ledger: Ledger) -> None:
    """The same as the poll's result; unknown and malformed ids are 404."""
    result = await ledger.posted("k", description="Lunch", metadata={"table": 4})
    assert await ledger.get(f"/transactions/{result['id']}") == result | {"related": []}
    for unknown in (UNKNOWN_ID, "not-a-uuid"):
        answer = await ledger.http.get(f"{API}/transactions/{unknown}")
        problem(answer, 404, "transaction_not_found")


async def test_transactions_page_newest_first_each_once(ledger: Ledger) -> None:
    """Pages of two, by cursor, show every transaction once, also when new ones come meanwhile."""
    ids = [(await ledger.posted(amount=b"1"))["id"] for _ in range(5)]
    page = await ledger.get("/transactions?limit=2")
    assert set(page) == {"items", "next", "previous"}
    assert [set(item) for item in page["items"]] == [RESULT, RESULT]
    await ledger.posted(amount=b"1")
    seen = [item["id"] for item in page["items"]]
    while page["next"] is not None:
        page = await ledger.get("/transactions", params={"limit": 2, "cursor": page["next"]})
        seen += [item["id"] for item in page["items"]]
    assert seen == ids[::-1]


@pytest.mark.parametrize("path", ["/transactions", "/entries", "/accounts/wallet/ledger"])
@pytest.mark.parametrize(
    "query, code",
    [
        ("limit=0", "limit_invalid"),
        ("limit=501", "limit_invalid"),
        ("limit=-1", "limit_invalid"),
        ("limit=ten", "limit_invalid"),
        ("limit=", "limit_invalid"),
        ("limit=%00", "limit_invalid"),
        ("limit=0000000019999", "limit_invalid"),
        ("limit=000000001" + "9" * 30, "limit_invalid"),
        ("cursor=", "cursor_invalid"),
        ("cursor=nonsense", "cursor_invalid"),
        ("cursor=%C3%A9", "cursor_invalid"),
        ("cursor=WzEsMiwzXQ", "cursor_invalid"),
        ("lmit=1", "parameter_unknown"),
        ("limit=1&limit=2", "parameter_repeated"),
        ("kind=none", "kind_unknown"),
        ("cursor=Wy0xXQ", "cursor_invalid"),
    ],
)
async def test_bad_paging_is_a_problem(ledger: Ledger, path: str, query: str, code: str) -> None:
    """Page sizes are bounded, and cursors are ours; nothing else reaches the database."""
    await ledger.fund("wallet")
    problem(await ledger.http.get(f"{API}{path}?{query}"), 400, code)


async def test_refund_gives_back_all_or_part(ledger: Ledger) -> None:
    """A part, then what is left; the original says how much was given back."""
    original = await ledger.posted(amount=b"100.00")
    path = f"{SUBMIT}/{original['id']}/refund"
    part = await ledger.http.post(path, json={"idempotencyKey": "r1", "amount": "30.00"})
    assert part.status_code == 202
    assert set(part.json()) == {"status", "idempotencyKey", "messageId", "pollUrl", "expiresAt"}
    rest = await ledger.http.post(path, headers={"Idempotency-Key": "r2", **READABLE})
    assert rest.status_code == 200
    result = exact(rest)["result"]
    assert set(result) == RESULT
    assert (result["kind"], result["refund_of"]) == ("refund", original["id"])
    assert (result["source_account_id"], result["destination_account_id"]) == (
        "wallet",
        "external:usd",
    )
    assert (result["amount"], result["amount_minor"]) == ("70.00", "7000")
    shown = await ledger.get(f"/transactions/{original['id']}")
    assert (shown["refunded"], shown["refunded_minor"]) == ("100.00", "10000")
    assert (await ledger.get("/accounts/wallet/balance"))["balance_minor"] == "0"
    polled = await ledger.get("/transactions/status/r1")
    assert (polled["status"], polled["result"]["amount"]) == ("COMPLETED", "30.00")


async def test_refund_is_replayed_like_any_command(ledger: Ledger, database: Database) -> None:
    """Same key, same refund: one effect. Same key, other amount: refused."""
    original = await ledger.posted(amount=b"100.00")
    path = f"{SUBMIT}/{original['id']}/refund"
    body = {"idempotencyKey": "r", "amount": 40}
    first = await ledger.http.post(path, json=body)
    position = await head_position(database)
    again = await ledger.http.post(path, json=body)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    problem(await ledger.http.post(path, json=body | {"amount": 41}), 422, "idempotency_key_reused")
    assert await head_position(database) == position


async def test_partial_refund_is_in_the_originals_currency(ledger: Ledger) -> None:
    """Whoever gives back 40 of 100 EUR means EUR, whatever the default currency is."""
    original = await ledger.posted(source="external:eur", amount=b"100.00", currency="EUR")
    body = {"idempotencyKey": "r", "amount": 40}
    answer = await ledger.http.post(f"{SUBMIT}/{original['id']}/refund", json=body)
    assert answer.status_code == 202, answer.text


async def test_double_entry_is_shown_and_verified(ledger: Ledger) -> None:
    """One debit, one credit, equal sums."""
    result = await ledger.posted(amount=b"12.34")
    assert await ledger.post(f"/transactions/{result['id']}/verify-double-entry") == {
        "transaction_id": result["id"],
        "balanced": True,
        "totals": [
            {
                "kind": "posted",
                "currency": "USD",
                "debits_minor": "1234",
                "credits_minor": "1234",
            }
        ],
        "entries": [
            {
                "account_id": account_id,
                "kind": "posted",
                "side": side,
                "amount_minor": "1234",
                "currency": "USD",
            }
            for account_id, side in (("external:usd", "debit"), ("wallet", "credit"))
        ],
    }
    answer = await ledger.http.post(f"{SUBMIT}/{UNKNOWN_ID}/verify-double-entry")
    problem(answer, 404, "transaction_not_found")


async def test_refused_transaction_is_balanced_with_no_entries(ledger: Ledger) -> None:
    """Nothing moved, and that is right."""
    refused = problem(await ledger.submit("k", source="empty"), 422, "insufficient_funds")
    await ledger.posted()
    verified = await ledger.post(f"/transactions/{refused['transactionId']}/verify-double-entry")
    assert (verified["balanced"], verified["totals"], verified["entries"]) == (True, [], [])


async def test_missing_entry_is_not_balanced(ledger: Ledger, database: Database) -> None:
    """Verification reads the entries themselves: it notices when one of them is not right."""
    result = await ledger.posted(amount=b"12.34")
    change = "UPDATE read.entries SET amount = amount + $1 WHERE ledger = $2 AND side = 'credit'"
    await database.execute(change, 1, ledger.name)
    try:
        shown = await ledger.post(f"/transactions/{result['id']}/verify-double-entry")
    finally:
        await database.execute(change, -1, ledger.name)
    assert shown["balanced"] is False


# --- accounts -----------------------------------------------------------------------------------


async def test_balance_has_the_promised_fields(ledger: Ledger) -> None:
    """Four counters, balance and available, each in units and in minor units."""
    await ledger.fund("wallet", "100.00")
    result = await ledger.posted(source="wallet", destination="shop", amount=b"30.50")
    shown = await ledger.get("/accounts/wallet/balance")
    amounts = ("balance", "available", *COUNTERS)
    minor = {f"{name}_minor" for name in amounts}
    assert set(shown) == {"account_id", "currency", "position", "as_of", *amounts, *minor}
    assert (shown["account_id"], shown["currency"]) == ("wallet", "USD")
    assert [shown[name] for name in amounts] == [
        "69.50",
        "69.50",
        "30.50",
        "100.00",
        "0.00",
        "0.00",
    ]
    assert [shown[f"{name}_minor"] for name in amounts] == [
        "6950", "6950", "3050", "10000", "0", "0"
    ]  # fmt: skip
    assert all(isinstance(shown[name], Number) for name in amounts)
    assert shown["position"] == result["position"]
    assert shown["as_of"] == result["created_at"]


async def test_balance_is_signed_by_the_normal_side(ledger: Ledger) -> None:
    """Credit-normal accounts go down when they pay; a bank account is debit-normal."""
    await ledger.posted(source="bank:main", destination="wallet", amount=b"10")
    assert (await ledger.get("/accounts/bank:main/balance"))["balance"] == "10.00"
    assert (await ledger.get("/accounts/wallet/balance"))["balance"] == "10.00"
    await ledger.posted(source="external:usd", destination="wallet", amount=b"5")
    assert (await ledger.get("/accounts/external:usd/balance"))["balance"] == "-5.00"


async def test_ledger_shows_each_entry_with_the_balance_after_it(ledger: Ledger) -> None:
    """Newest first, running balances, paged by cursor."""
    first = await ledger.posted(destination="wallet", amount=b"100")
    second = await ledger.posted(source="wallet", destination="shop", amount=b"30")
    page = await ledger.get("/accounts/wallet/ledger?limit=1")
    (newest,) = page["items"]
    assert newest.pop("effective_at") == newest["recorded_at"]
    assert moment(newest.pop("recorded_at")) <= datetime.now(UTC)
    assert newest == {
        "account_id": "wallet",
        "position": second["position"],
        "line": newest["line"],
        "transaction_id": second["id"],
        "kind": "posted",
        "side": "debit",
        "amount": "30.00",
        "amount_minor": "3000",
        "currency": "USD",
        "balance": "70.00",
        "balance_minor": "7000",
        "available": "70.00",
        "available_minor": "7000",
    }
    page = await ledger.get("/accounts/wallet/ledger", params={"cursor": page["next"]})
    (oldest,) = page["items"]
    assert page["next"] is None
    assert (oldest["transaction_id"], oldest["side"], oldest["balance"]) == (
        first["id"],
        "credit",
        "100.00",
    )


async def test_audit_trail_shows_every_event_of_an_account(ledger: Ledger) -> None:
    """Opening, transfers, refusals and changes of policy, newest first, as they were recorded."""
    await ledger.posted("in", destination="wallet", amount=b"10")
    problem(await ledger.submit("out", source="wallet", amount=b"99"), 400, "same_account")
    problem(
        await ledger.submit("out", source="wallet", destination="shop", amount=b"99"),
        422,
        "insufficient_funds",
    )
    changed = await ledger.http.patch(f"{API}/accounts/wallet", json={"status": "frozen"})
    assert changed.status_code == 200
    await ledger.readable_at(changed.headers["Daybook-Position"])
    trail = await ledger.get("/accounts/wallet/audit-trail?limit=3")
    items = trail["items"]
    assert trail["next"] is not None
    rest = await ledger.get("/accounts/wallet/audit-trail", params={"cursor": trail["next"]})
    items += rest["items"]
    assert rest["next"] is None
    assert [item["type"] for item in items] == [
        "account.changed",
        "transfer.rejected",
        "transfer.posted",
        "account.opened",
    ]
    assert [set(item) for item in items] == [
        {"position", "stream_id", "version", "type", "recorded_at", "data"}
    ] * 4
    assert [item["position"] for item in items] == sorted(
        (item["position"] for item in items), reverse=True
    )
    assert items[0]["data"]["status"] == "frozen"
    assert items[1]["data"]["code"] == "insufficient_funds"
    assert items[2]["data"]["key"] == "in"


async def test_account_that_nobody_used_is_404(ledger: Ledger) -> None:
    """Every view of an account says so in the same way."""
    for view in ("", "/balance", "/ledger", "/audit-trail", "/reconciliation-difference"):
        answer = await ledger.http.get(f"{API}/accounts/nobody{view}")
        problem(answer, 404, "account_not_found")
    answer = await ledger.http.post(f"{API}/accounts/nobody/reconcile", json={})
    problem(answer, 404, "account_not_found")


@pytest.mark.parametrize("route", [r for r in routes() if "{account_id}" in r.path], ids=str)
@pytest.mark.parametrize("account_id", ["a%00b", "%00", "a%20b", "%C3%A9", "%FF", "a%22b"])
async def test_impossible_account_id_in_a_path_is_the_clients_mistake(
    ledger: Ledger, database: Database, route: Route, account_id: str
) -> None:
    """No account can have such an id: 400 or 404, or an empty history, and never a 500."""
    position = await head_position(database)
    path = API + route.path.format(account_id=account_id)
    body: dict[str, str] | None = None if route.method == "GET" else {}
    answer = await ledger.http.request(route.method, path, json=body)
    if path.endswith("/reconciliation-history") and answer.status_code == 200:
        assert answer.json() == {"items": [], "next": None}
    else:
        assert answer.status_code in (400, 404, 422), answer.text
        problem(answer, answer.status_code, answer.json()["code"])
    assert await head_position(database) == position


# --- reconciliation -----------------------------------------------------------------------------

SUMMARY = {
    "reconciliationId",
    "account_id",
    "startDate",
    "endDate",
    "status",
    "currency",
    "expected_balance",
    "actual_balance",
    "difference",
    "difference_minor",
    "expected_counters",
    "actual_counters",
    "eventsRead",
    "entriesCompared",
    "discrepancyCount",
    "discrepancies",
    "position",
    "timestamp",
}


async def test_reconciliation_of_a_clean_account_is_clean_and_kept(ledger: Ledger) -> None:
    """The result says what was compared, and stands in the history."""
    await ledger.fund("wallet", "100.00")
    await ledger.posted(source="wallet", destination="shop", amount=b"1")
    today = datetime.now(UTC).date()
    period = {"startDate": f"{today - timedelta(days=1)}", "endDate": f"{today}"}
    nothing: dict[str, Any] = {"items": [], "next": None}
    assert (await ledger.get("/accounts/wallet/reconciliation-history")) == nothing
    report = await ledger.post("/accounts/wallet/reconcile", period)
    assert set(report) == SUMMARY
    assert (report["status"], report["discrepancyCount"], report["discrepancies"]) == (
        "CLEAN",
        0,
        [],
    )
    assert (report["expected_balance"], report["actual_balance"]) == ("99.00", "99.00")
    assert (report["difference"], report["difference_minor"]) == ("0.00", "0")
    assert (report["entriesCompared"], report["account_id"]) == (2, "wallet")
    assert moment(report["startDate"]).date() == today - timedelta(days=1)
    assert moment(report["endDate"]).date() == today + timedelta(days=1)
    (kept,) = (await ledger.get("/accounts/wallet/reconciliation-history"))["items"]
    assert set(kept) <= SUMMARY
    assert {name: report[name] for name in kept} == kept


async def test_reconciliation_compares_the_entries_of_the_period_only(ledger: Ledger) -> None:
    """Yesterday had no entries; the balance is still compared."""
    await ledger.fund("wallet")
    yesterday = f"{datetime.now(UTC).date() - timedelta(days=1)}"
    period = {"startDate": yesterday, "endDate": yesterday}
    report = await ledger.post("/accounts/wallet/reconcile", period)
    assert (report["entriesCompared"], report["status"]) == (0, "CLEAN")


async def test_corrupted_balance_is_found_and_explained(ledger: Ledger, database: Database) -> None:
    """A row that the log does not justify is named, with what was expected and what was found."""
    await ledger.fund("wallet", "100.00")
    change = (
        "UPDATE read.balances SET credits_posted = credits_posted + $1 "
        "WHERE ledger = $2 AND account_id = 'wallet'"
    )
    await database.execute(change, 7, ledger.name)
    try:
        difference = await ledger.get("/accounts/wallet/reconciliation-difference")
        report = await ledger.post("/accounts/wallet/reconcile")
    finally:
        await database.execute(change, -7, ledger.name)
    for found in (difference, report):
        assert set(found) == SUMMARY
        assert (found["status"], found["discrepancyCount"]) == ("DISCREPANCIES", 1)
        assert (found["expected_balance"], found["actual_balance"]) == ("100.00", "100.07")
        assert (found["difference"], found["difference_minor"]) == ("-0.07", "-7")
        (discrepancy,) = found["discrepancies"]
        assert discrepancy["kind"] == "balance_drift"
        assert discrepancy["account_id"] == "wallet"
        assert "10000" in discrepancy["expected"]
        assert "10007" in discrepancy["actual"]
    # Only what was asked for by POST is kept.
    history = (await ledger.get("/accounts/wallet/reconciliation-history"))["items"]
    assert [kept["reconciliationId"] for kept in history] == [report["reconciliationId"]]


@pytest.mark.parametrize(
    "period, code",
    [
        ({"startDate": "yesterday"}, "period_invalid"),
        ({"startDate": "2026-02-30"}, "period_invalid"),
        ({"startDate": "2026-02-01", "endDate": "2026-01-01"}, "period_invalid"),
        ({"endDate": "9999-12-31"}, "period_invalid"),
        ({"startDate": "0001-01-01T00:00:00+14:00"}, "period_invalid"),
        ({"endDate": "9999-12-31T23:59:59-14:00"}, "period_invalid"),
        ({"startDate": 2026}, "body_invalid"),
        ({"start": "2026-01-01"}, "body_invalid"),
    ],
)
async def test_impossible_period_is_a_problem(
    ledger: Ledger, period: dict[str, Any], code: str
) -> None:
    """A period is two dates or times, in order, or one, or none."""
    await ledger.fund("wallet")
    answer = await ledger.http.post(f"{API}/accounts/wallet/reconcile", json=period)
    problem(answer, 400, code)


# --- the rest -----------------------------------------------------------------------------------


async def test_queue_stats_have_the_promised_fields(ledger: Ledger, service: Service) -> None:
    """What SQS says of the queue, with types that a client can use."""
    body = await ledger.get("/queue/stats")
    assert moment(body.pop("timestamp")) <= datetime.now(UTC)
    assert {name: type(value) for name, value in body.items()} == {
        "queueUrl": str,
        "messageCount": int,
        "inFlightCount": int,
        "visibilityTimeout": int,
        "isFifo": bool,
        "contentDeduplication": bool,
    }
    assert body["queueUrl"] == service.queue_url
    assert body["isFifo"] is True


async def test_cache_stats_have_the_promised_fields(ledger: Ledger) -> None:
    """What Valkey says of itself, with types that a client can use."""
    await ledger.posted()
    await ledger.submit(new_key())
    body = await ledger.get("/cache/stats")
    assert moment(body.pop("timestamp")) <= datetime.now(UTC)
    assert {name: type(value) for name, value in body.items()} == {
        "connected": bool,
        "totalKeys": int,
        "prefix": str,
        "defaultTtl": int,
        "memoryUsage": str,
    }
    assert (body["connected"], body["defaultTtl"]) == (True, 86_400)
    assert body["totalKeys"] >= 1


@pytest.mark.parametrize("prefix", ["", API])
async def test_health_and_readiness_need_no_token(service: Service, prefix: str) -> None:
    """Probes have no tokens; ready names each component."""
    async with client(service.url) as http:
        health = await http.get(f"{prefix}/health")
        ready = await http.get(f"{prefix}/ready")
    assert (health.status_code, health.json()["status"]) == (200, "OK")
    assert (ready.status_code, ready.json()) == (
        200,
        {
            "status": "READY",
            "components": {"database": "ready", "cache": "ready", "queue": "ready"},
        },
    )


# --- the whole table ----------------------------------------------------------------------------


def test_every_route_of_the_design_is_there() -> None:
    """Whatever else there is, the design's table is served."""
    wanted = {
        ("POST", "/transactions"),
        ("GET", "/transactions"),
        ("GET", "/transactions/status/{}"),
        ("GET", "/transactions/{}"),
        ("POST", "/transactions/{}/refund"),
        ("POST", "/transactions/{}/verify-double-entry"),
        ("GET", "/accounts/{}/balance"),
        ("GET", "/accounts/{}/ledger"),
        ("GET", "/accounts/{}/audit-trail"),
        ("GET", "/accounts/{}/reconciliation-history"),
        ("GET", "/accounts/{}/reconciliation-difference"),
        ("POST", "/accounts/{}/reconcile"),
        ("GET", "/queue/stats"),
        ("GET", "/cache/stats"),
        ("GET", "/health"),
        ("GET", "/ready"),
    }
    assert wanted <= {(method, re.sub(r"{\w+}", "{}", path)) for method, path in routes()}
