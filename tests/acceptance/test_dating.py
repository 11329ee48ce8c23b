"""Dates through HTTP: back-dated, in closed books, scheduled for later, cancelled or not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.acceptance.command_driver import (
    about,
    accepted,
    balance,
    change,
    follow,
    followed,
    sleep_until,
    soon,
    stands,
    stream,
    transaction,
)
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import API, Database, Ledger, problem

RACERS = 8
PAYS = {"source": "wallet", "destination": "shop"}
JANUARY = "2026-01-15T12:00:00+00:00"


@pytest.fixture
async def keeper(open_ledger: OpenLedger) -> Ledger:
    """Open a fresh ledger as somebody who may close its books."""
    return await open_ledger(("admin",))


async def close(ledger: Ledger, before: str, **query: Any) -> httpx.Response:  # noqa: ANN401
    """Close a ledger's books before a moment."""
    body = {"closed_before": before}
    return await ledger.http.post(f"{API}/books/close", json=body, params=query)


# --- dated back ---------------------------------------------------------------------------------


async def test_transfer_may_be_dated_back(ledger: Ledger) -> None:
    """It counts from its own date, and was not known before it was recorded."""
    now = await transaction(ledger, await accepted(ledger, destination="wallet", amount=b"1.00"))
    assert now["effective_at"] == now["created_at"]
    dated = await accepted(ledger, destination="wallet", amount=b"5.00", effective_at=JANUARY)
    shown = (await transaction(ledger, dated))["effective_at"]
    assert datetime.fromisoformat(shown) == datetime.fromisoformat(JANUARY)
    path = "/accounts/wallet/balance"
    assert (await ledger.get(f"{path}?effective_at=2026-01-14"))["balance_minor"] == "0"
    assert (await ledger.get(f"{path}?effective_at=2026-01-15"))["balance_minor"] == "500"
    assert (await ledger.get(f"{path}?position={now['position']}"))["balance_minor"] == "100"
    assert (await ledger.get(path))["balance_minor"] == "600"


async def test_future_date_is_refused(ledger: Ledger) -> None:
    """That is what `due_at` is for."""
    answer = await ledger.submit("k", effective_at=soon(60))
    problem(answer, 422, "effective_at_in_future")


async def test_refund_and_capture_may_be_dated_back(ledger: Ledger) -> None:
    """As transfers may."""
    original = await accepted(ledger, destination="wallet", amount=b"5.00")
    refund = await followed(ledger, "refund", original, effective_at=JANUARY)
    shown = (await transaction(ledger, refund))["effective_at"]
    assert datetime.fromisoformat(shown) == datetime.fromisoformat(JANUARY)
    late = await follow(ledger, "refund", original, {"effective_at": soon(60)})
    problem(late, 422, "effective_at_in_future")


@pytest.mark.parametrize(
    "fields",
    [
        {"pending": True, "due_at": "2100-01-01"},
        {"pending": True, "effective_at": "2026-01-01"},
        {"due_at": "2100-01-01", "effective_at": "2026-01-01"},
        {"expires_at": "2100-01-01"},
        {"due_at": "2100-01-01", "conditions": [{"account_id": "wallet", "balance_min": 0}]},
    ],
)
async def test_times_that_exclude_each_other(ledger: Ledger, fields: dict[str, Any]) -> None:
    """A transaction is pending, or due later, or posted now."""
    problem(await ledger.submit("k", **fields), 400, "timing_ambiguous")


# --- closed books -------------------------------------------------------------------------------


async def test_closing_needs_an_admin(ledger: Ledger) -> None:
    """Writing is not enough."""
    problem(await close(ledger, "2026-01-01"), 403, "scope_missing")


async def test_nothing_is_dated_into_closed_books(keeper: Ledger) -> None:
    """Transfers, captures and refunds alike; the first moment after them is open."""
    hold = await accepted(keeper, destination="wallet", amount=b"5.00", pending=True)
    original = await accepted(keeper, destination="wallet", amount=b"5.00", effective_at=JANUARY)
    closed = await close(keeper, "2026-02-01")
    assert closed.status_code == 200, closed.text
    answer = await keeper.submit("k", effective_at=JANUARY)
    problem(answer, 422, "period_closed")
    last = {"effective_at": "2026-01-31T23:59:59.999999+00:00"}
    problem(await follow(keeper, "capture", hold, last), 422, "period_closed")
    problem(await follow(keeper, "refund", original, last), 422, "period_closed")
    # What is posted now concerns no closed period, even about what is in one.
    await followed(keeper, "refund", original, effective_at="2026-02-01")
    await followed(keeper, "capture", hold)


async def test_closing_goes_forward_only(keeper: Ledger) -> None:
    """Again is nothing, back is refused, and the future is not over."""
    first = await close(keeper, "2026-02-01")
    again = await close(keeper, "2026-02-01T00:00:00+00:00")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["closed_before"] == again.json()["closed_before"]
    problem(await close(keeper, "2026-01-31"), 422, "closing_backwards")
    problem(await close(keeper, soon(60)), 422, "closing_in_future")
    assert (await close(keeper, "2026-03-01")).status_code == 200
    problem(await keeper.submit("k", effective_at="2026-02-15"), 422, "period_closed")


async def test_books_are_one_ledgers(keeper: Ledger, ledger: Ledger) -> None:
    """Nobody else's are closed with them."""
    assert (await close(keeper, "2026-02-01")).status_code == 200
    await ledger.posted(effective_at=JANUARY)


@pytest.mark.parametrize("before", ["", "soon", "2026-13-01", "9999-12-31T23:59:59-14:00"])
async def test_closing_needs_a_moment(keeper: Ledger, before: str) -> None:
    """A date or a time."""
    problem(await close(keeper, before), 400, "period_invalid")


# --- later --------------------------------------------------------------------------------------


async def test_scheduled_transfer_is_executed_when_due(ledger: Ledger, database: Database) -> None:
    """It reserves nothing, and is posted at its time."""
    await ledger.fund("wallet", "100.00")
    due_at = soon(0.8)
    scheduled = await accepted(ledger, **PAYS, amount=b"100.00", due_at=due_at)
    shown = await transaction(ledger, scheduled)
    assert shown["status"] == "SCHEDULED"
    assert datetime.fromisoformat(shown["due_at"]) == datetime.fromisoformat(due_at)
    assert (await balance(ledger, "wallet"))["available"] == "10000"
    await stands(ledger, scheduled, "COMPLETED")
    assert (await balance(ledger, "shop"))["balance"] == "10000"
    assert await stream(database, scheduled) == ["transfer.scheduled", "transfer.posted"]
    late = datetime.now(UTC) - datetime.fromisoformat(due_at)
    assert timedelta(0) <= late < timedelta(seconds=10)


@pytest.mark.parametrize(
    "policy, code",
    [
        (None, "insufficient_funds"),
        ({"status": "frozen"}, "account_frozen"),
        ({"status": "closed"}, "account_closed"),
    ],
)
async def test_scheduled_transfer_is_decided_when_due(
    ledger: Ledger, database: Database, policy: dict[str, str] | None, code: str
) -> None:
    """Funds and accounts are looked at then; a refusal is final, and says why."""
    opened = await ledger.http.post(f"{API}/accounts", json={"account_id": "wallet"})
    assert opened.status_code == 201
    scheduled = await accepted(ledger, **PAYS, amount=b"100.00", due_at=soon(0.5))
    if policy is not None:
        assert (await change(ledger, "wallet", **policy)).status_code == 200
    await stands(ledger, scheduled, "FAILED")
    assert (await transaction(ledger, scheduled))["code"] == code
    assert await stream(database, scheduled) == ["transfer.scheduled", "transfer.rejected"]
    problem(await follow(ledger, "cancel", scheduled), 422, "schedule_executed")


async def test_scheduled_transfer_to_the_past_is_refused(ledger: Ledger) -> None:
    """Its time has gone."""
    problem(await ledger.submit("k", due_at=soon(-1)), 422, "due_at_passed")


async def test_cancelled_transfer_never_happens(ledger: Ledger, database: Database) -> None:
    """Nor can it be cancelled twice."""
    due_at = soon(0.6)
    scheduled = await accepted(ledger, amount=b"100.00", due_at=due_at)
    cancellation = await followed(ledger, "cancel", scheduled)
    assert (await transaction(ledger, scheduled))["status"] == "CANCELLED"
    shown = await transaction(ledger, cancellation)
    assert (shown["kind"], shown["scheduled_id"]) == ("cancellation", scheduled)
    problem(await follow(ledger, "cancel", scheduled), 422, "schedule_cancelled")
    await sleep_until(due_at, 1.0)
    assert await stream(database, scheduled) == ["transfer.scheduled"]


async def test_what_was_not_scheduled_cannot_be_cancelled(ledger: Ledger) -> None:
    """A transfer is done when it is answered."""
    posted = await ledger.posted()
    problem(await follow(ledger, "cancel", posted["id"]), 422, "transaction_not_scheduled")


async def test_cancellation_and_execution_race_and_one_wins(
    ledger: Ledger, database: Database
) -> None:
    """Eight cancel each of eight transfers about when it is due: it is one or the other."""
    due_at = soon(1.2)
    ids = [await accepted(ledger, amount=b"1.00", due_at=due_at) for _ in range(RACERS)]

    async def cancel(scheduled: str, late_s: float) -> httpx.Response:
        await sleep_until(due_at, late_s)
        return await follow(ledger, "cancel", scheduled, headers={})

    answers = await asyncio.gather(
        *(
            cancel(scheduled, 0.02 * number + 0.09 * place - 0.1)
            for place, scheduled in enumerate(ids)
            for number in range(RACERS)
        )
    )
    executed = 0
    for place, scheduled in enumerate(ids):
        codes = [
            None if answer.status_code == 202 else answer.json()["code"]
            for answer in answers[place * RACERS : (place + 1) * RACERS]
        ]
        if None in codes:
            assert codes.count(None) == 1
            assert set(codes) == {None, "schedule_cancelled"}
            await stands(ledger, scheduled, "CANCELLED")
            assert await stream(database, scheduled) == ["transfer.scheduled"]
            assert await about(database, ledger, scheduled) == ["transfer.cancelled"]
        else:
            executed += 1
            assert set(codes) == {"schedule_executed"}
            await stands(ledger, scheduled, "COMPLETED")
            assert await about(database, ledger, scheduled) == []
    if executed:
        assert (await balance(ledger, "wallet"))["balance"] == str(100 * executed)
