"""The answers of the read routes over HTTP, for a log with every type of event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar.testing import AsyncTestClient

from command_side.domain.commands import (
    Capture,
    Command,
    Hold,
    Part,
    Refund,
    Schedule,
    Settle,
    Transfer,
)
from daybook.processes.serve import application
from daybook.processes.side import ServedSide
from events.types import Rate, Stage, transaction_id
from tests.integration import fixtures
from tests.integration.fixtures import START, several, transfer
from web import tokens

TOKEN = "a-token-for-tests"
EXCHANGED = several(
    ("alice", "exchange:USD", 1_000, "USD"), ("exchange:EUR", "alice:eur", 920, "EUR")
)
STATUSES = {
    "split": "COMPLETED",
    "split-back": "COMPLETED",
    "too-much": "FAILED",
    "hold-open": "PENDING",
    "hold-part": "PENDING",
    "hold-whole": "CAPTURED",
    "hold-void": "VOIDED",
    "hold-expiring": "EXPIRED",
    "later-bob": "COMPLETED",
    "later-pauper": "FAILED",
    "later-carol": "CANCELLED",
    "later-still": "SCHEDULED",
    "hold-used": "EXPIRED",
    "never-mind": "COMPLETED",
}


class Reader:
    """A client of the ledger `demo` with a rich log."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, status: int = 200) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON of an answer."""
        answer = await self.http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def verified(self, transaction: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the answer of a verification."""
        answer = await self.http.post(
            f"/api/v1/transactions/{transaction}/verify-double-entry",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def transaction(self, key: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the transaction with this key."""
        return await self.get(f"/transactions/{_id(key)}")


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[Reader]:
    """Serve the query side alone, without cache and queue."""
    await fixtures.rich_log(database_url)
    more: list[Command] = [
        Transfer(
            ledger="demo", key="x", postings=EXCHANGED, rate=Rate("USD", "EUR", "0.92"), metadata={}
        ),
        Refund(ledger="demo", key="x-back", about=transaction_id("demo", "x")),
        Hold(
            ledger="demo",
            key="hold-late",
            postings=several(("bob", "alice", 5, "USD")),
            expires_at=START + timedelta(days=3),
        ),
        Schedule(
            ledger="demo",
            key="later-still",
            postings=several(("bob", "alice", 5, "USD")),
            due_at=START + timedelta(days=3),
        ),
        Hold(
            ledger="demo",
            key="hold-used",
            postings=several(("bob", "alice", 5, "USD"), ("bob", "alice", 2, "USD")),
            expires_at=START + timedelta(hours=6),
        ),
        Capture(
            ledger="demo",
            key="cap-used",
            about=transaction_id("demo", "hold-used"),
            parts=(Part(0, 3), Part(1, 2)),
        ),
        transfer("settle", "world", "bob", 3, "other"),
    ]
    await fixtures.written(database_url, more, now=lambda _: START + timedelta(hours=5))
    expired: list[Command] = [Settle(about=transaction_id("demo", "hold-used"))]
    await fixtures.written(database_url, expired, now=lambda _: START + timedelta(hours=7))
    await fixtures.project(database_url)
    async with _served(database_url) as client:
        yield Reader(client)


@asynccontextmanager
async def _served(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with fixtures.connected(database_url) as connection:
        await tokens.add_token(connection, TOKEN, {"demo"}, ["read"], "tests")
    async with AsyncTestClient(
        application(fixtures.settings(database_url), ServedSide.QUERY)
    ) as client:
        yield client


async def test_polling_says_whether_it_was_accepted_and_the_result_how_it_stands(
    reader: Reader,
) -> None:
    """A hold and a schedule are COMPLETED submissions; refused when due is FAILED."""
    for key, status in STATUSES.items():
        polled = await reader.get(f"/transactions/status/{key}")
        assert polled["status"] == ("FAILED" if status == "FAILED" else "COMPLETED"), key
        assert polled["result"]["status"] == status, key
        transaction = await reader.transaction(key)
        transaction.pop("related")
        assert polled["result"] == transaction
    refused = (await reader.transaction("later-pauper"))["code"]
    assert refused in ("account_not_found", "insufficient_funds")


async def test_what_a_transaction_is_about_has_the_api_s_name(reader: Reader) -> None:
    """The transactions that refer to it are listed with it, newest first."""
    for key, name, about in (
        ("split-back", "refund_of", "split"),
        ("cap-2", "hold_id", "hold-whole"),
        ("void-1", "hold_id", "hold-void"),
        ("never-mind", "scheduled_id", "later-carol"),
    ):
        transaction = await reader.transaction(key)
        assert transaction[name] == _id(about)
        names = {"refund_of", "hold_id", "scheduled_id"}
        assert [each for each in names if transaction.get(each)] == [name]
        assert _id(key) in [other["id"] for other in (await reader.transaction(about))["related"]]
    related = (await reader.transaction("hold-whole"))["related"]
    assert [other["id"] for other in related] == [_id(key) for key in ("cap-4", "cap-3", "cap-2")]
    assert [other["status"] for other in related] == ["FAILED", "COMPLETED", "COMPLETED"]
    assert {other["kind"] for other in related} == {"capture"}


async def test_postings_say_what_was_refunded_or_captured_of_each(reader: Reader) -> None:
    """A follow-up's posting says which line it is about."""
    split = await reader.transaction("split")
    assert [posting.get("refunded_minor") for posting in split["postings"]] == [None, None, "200"]
    assert (split["amount_minor"], split["refunded_minor"]) == ("1500", "200")
    assert (split["source_account_id"], split["destination_account_id"]) == (None, None)
    assert "line" not in split["postings"][0]
    (back,) = (await reader.transaction("split-back"))["postings"]
    assert (back["line"], back["amount_minor"], back["source_account_id"]) == (2, "200", "bob")

    hold = await reader.transaction("hold-part")
    assert [posting.get("captured_minor") for posting in hold["postings"]] == ["300", None]
    assert (hold["captured_minor"], hold["status"]) == ("300", "PENDING")
    assert hold["changed_position"] == (await reader.transaction("cap-1"))["position"]
    assert "changed_at" not in await reader.transaction("hold-open")
    assert [p["line"] for p in (await reader.transaction("void-1"))["postings"]] == [0, 1]


async def test_several_currencies_have_totals(reader: Reader) -> None:
    """The amount beside the currency is that currency's; `totals` has all of them."""
    exchange = await reader.transaction("x")
    assert (exchange["currency"], exchange["amount_minor"]) == ("USD", "1000")
    assert exchange["refunded_minor"] == "1000"
    assert [
        (total["currency"], total["amount_minor"], total["refunded_minor"])
        for total in exchange["totals"]
    ] == [("USD", "1000", "1000"), ("EUR", "920", "920")]
    assert exchange["rate"] == {"sold": "USD", "bought": "EUR", "rate": "0.92"}
    assert exchange["metadata"] == {}
    assert "totals" not in await reader.transaction("split")


async def test_times_are_those_that_were_asked_for(reader: Reader) -> None:
    """The times when it expires, when it is due, and when it takes effect."""
    hold = await reader.transaction("hold-late")
    assert hold["expires_at"] == "2026-02-02T22:00:00Z"
    assert "expires_at" not in await reader.transaction("hold-open")
    assert (await reader.transaction("later-bob"))["due_at"] == "2026-01-31T00:00:00Z"
    late = await reader.transaction("late")
    assert late["effective_at"] == "2026-01-10T22:00:00Z" != late["created_at"]
    assert hold["effective_at"] == hold["created_at"]


async def test_every_transaction_verifies(reader: Reader) -> None:
    """For every kind, currency and state of a transaction."""
    page = await reader.get("/transactions?limit=500")
    assert {item["status"] for item in page["items"]} == set(Stage)
    for item in page["items"]:
        verified = await reader.verified(item["id"])
        assert verified["balanced"], (item, verified)
        assert {entry["currency"] for entry in verified["entries"]} == {
            total["currency"] for total in verified["totals"]
        }
        listed = await reader.get(f"/entries?kind=all&transaction_id={item['id']}&order=asc")
        assert [
            (entry["account_id"], entry["kind"], entry["side"], entry["amount_minor"])
            for entry in listed["items"]
        ] == [
            (entry["account_id"], entry["kind"], entry["side"], entry["amount_minor"])
            for entry in verified["entries"]
        ]
    kinds = [e["kind"] for e in (await reader.verified(_id("hold-expiring")))["entries"]]
    assert kinds == ["held"] * 4 + ["released"] * 4
    used = (await reader.verified(_id("hold-used")))["entries"]
    assert [entry["amount_minor"] for entry in used if entry["kind"] == "released"] == ["2", "2"]
    assert len((await reader.verified(_id("later-bob")))["entries"]) == 2
    assert len((await reader.verified(_id("x")))["totals"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE read.entries SET amount = amount + 1 WHERE position = {0} AND line = 2",
        "UPDATE read.entries SET currency = 'JPY' WHERE position = {0} AND line = 1",
        "UPDATE read.entries SET kind = 'held' WHERE position = {0}",
        "UPDATE read.entries SET amount = 2 * amount WHERE position = {0}",
        "DELETE FROM read.entries WHERE position = {0}",
    ],
)
async def test_a_wrong_entry_is_not_balanced(
    reader: Reader, database_url: str, change: str
) -> None:
    """One side, a currency, a kind, both sides, all of them."""
    position = (await reader.transaction("split"))["position"]
    await fixtures.execute(database_url, change.format(position))
    assert not (await reader.verified(_id("split")))["balanced"]


async def test_an_account_has_its_policy_and_its_balance_in_the_list(reader: Reader) -> None:
    """The list is ordered by id; an item says what the two routes of one account say."""
    page = await reader.get("/accounts")
    ids = [item["account_id"] for item in page["items"]]
    assert ids == sorted(ids)
    assert {"alice", "alice:eur", "carol", "exchange:EUR"} <= set(ids)
    for item in page["items"]:
        policy = await reader.get(f"/accounts/{item['account_id']}")
        balance = await reader.get(f"/accounts/{item['account_id']}/balance")
        assert item == {**policy, **{name: item[name] for name in item if name not in policy}}
        assert balance["balance_minor"] == item["balance_minor"]
        assert balance["debits_pending_minor"] == item["debits_pending_minor"]
    carol = await reader.get("/accounts/carol")
    assert (carol["type"], carol["version"], carol["metadata"]) == ("liability", 4, {"tier": "b"})


async def test_the_ledger_shows_what_is_held_only_if_asked(reader: Reader) -> None:
    """`kind` says which entries; `available` is what is not held."""
    posted = (await reader.get("/accounts/bob/ledger?limit=500"))["items"]
    assert {entry["kind"] for entry in posted} == {"posted"}
    held = (await reader.get("/accounts/bob/ledger?kind=held"))["items"]
    assert {entry["kind"] for entry in held} == {"held"}
    assert _id("hold-late") in [entry["transaction_id"] for entry in held]
    every = (await reader.get("/accounts/bob/ledger?kind=all&limit=500"))["items"]
    assert {entry["kind"] for entry in every} == {"posted", "held", "released"}
    balance = await reader.get("/accounts/bob/balance")
    for name in ("balance_minor", "available_minor"):
        assert every[0][name] == balance[name]
    assert balance["balance_minor"] != balance["available_minor"]


async def test_the_audit_trail_has_every_event_of_an_account(reader: Reader) -> None:
    """Events that moved it, that name it, and of its own stream; refusals and expiries included."""
    page = await reader.get("/accounts/bob/audit-trail?limit=500")
    assert page["next"] is None
    positions = [item["position"] for item in page["items"]]
    assert positions == sorted(positions, reverse=True)
    assert {item["type"] for item in page["items"]} >= {
        *("account.opened", "account.changed", "transfer.posted", "transfer.rejected"),
        *("transfer.scheduled", "hold.placed", "hold.voided", "hold.expired"),
    }
    carol = await reader.get("/accounts/carol/audit-trail?limit=500&order=asc")
    assert "transfer.cancelled" in {item["type"] for item in carol["items"]}


async def test_lists_refuse_what_they_do_not_know(reader: Reader) -> None:
    """On every list, with the parameter's name; an unknown account is still not found."""
    for path in ("/transactions", "/entries", "/accounts", "/accounts/bob/ledger"):
        problem = await reader.get(f"{path}?nonsense=1", 400)
        assert (problem["code"], problem["field"]) == ("parameter_unknown", "nonsense")
    other = (await reader.get("/entries?limit=1"))["next"]
    for path in ("/transactions", "/accounts", "/accounts/bob/ledger", "/accounts/bob/audit-trail"):
        assert (await reader.get(f"{path}?cursor={other}", 400))["code"] == "cursor_invalid"
    for path in ("", "/ledger", "/audit-trail"):
        assert (await reader.get(f"/accounts/nobody{path}", 404))["code"] == "account_not_found"
    assert (await reader.get("/entries?account=nobody"))["items"] == []


async def test_another_ledger_s_transactions_are_not_there(reader: Reader) -> None:
    """Neither by id nor by any filter."""
    other = str(transaction_id("other", "split"))
    assert (await reader.get(f"/transactions/{other}", 404))["code"] == "transaction_not_found"
    assert (await reader.get(f"/transactions/{other}?x=1", 400))["code"] == "parameter_unknown"
    for query in (f"transactions?about={other}", f"entries?kind=all&transaction_id={other}"):
        assert (await reader.get(f"/{query}"))["items"] == []
    assert (await reader.get("/transactions?text=settle"))["items"] == []


def _id(key: str) -> str:
    return str(transaction_id("demo", key))
