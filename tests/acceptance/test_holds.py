"""Holds through HTTP: reserve, then capture, void or let expire; whoever comes late is told why."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from daybook.embedded.up import Service
from tests.acceptance.command_driver import (
    about,
    balance,
    follow,
    followed,
    held,
    sleep_until,
    soon,
    stands,
    stream,
    transaction,
)
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import (
    UNKNOWN_ID,
    Database,
    Ledger,
    client,
    problem,
    second_api,
)

RACERS = 16
ENDED = {"captured": "hold_captured", "voided": "hold_voided", "expired": "hold_expired"}


@pytest.fixture(scope="module")
async def second_url(service: Service) -> AsyncIterator[str]:
    """Serve the API a second time."""
    async with second_api(service) as url:
        yield url


@pytest.fixture
async def twins(ledger: Ledger, second_url: str) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Return one ledger, with money, seen through either API process."""
    await ledger.fund("wallet", "1000.00")
    async with client(second_url, ledger.token) as http:
        yield ledger, Ledger(ledger.name, ledger.token, http)


async def counters(ledger: Ledger, account_id: str) -> tuple[str, str, str, str]:
    """Return balance, available, debits pending, credits pending."""
    found = await balance(ledger, account_id)
    return (
        found["balance"],
        found["available"],
        found["debits_pending"],
        found["credits_pending"],
    )


async def ended(ledger: Ledger, how: str) -> str:
    """End a hold of 100 one way, and return its id."""
    if how == "expired":
        hold = await held(ledger, expires_at=soon(0.3))
        await stands(ledger, hold, "EXPIRED")
        return hold
    hold = await held(ledger)
    await followed(ledger, "capture" if how == "captured" else "void", hold)
    return hold


# --- one after the other ------------------------------------------------------------------------


async def test_hold_reserves_and_moves_nothing(ledger: Ledger) -> None:
    """What is held leaves what is available, and not yet the balance, of the payer."""
    await ledger.fund("wallet", "250.00")
    hold = await held(ledger)
    assert (await transaction(ledger, hold))["status"] == "PENDING"
    assert await counters(ledger, "wallet") == ("25000", "15000", "10000", "0")
    assert await counters(ledger, "shop") == ("0", "0", "0", "10000")


async def test_what_is_held_cannot_be_spent_or_held_again(ledger: Ledger) -> None:
    """By nobody but the capture."""
    await ledger.fund("wallet", "150.00")
    await held(ledger)
    sides = {"source": "wallet", "destination": "elsewhere"}
    problem(await ledger.submit("t", **sides, amount=b"50.01"), 422, "insufficient_funds")
    again = await ledger.submit("h", **sides, amount=b"50.01", pending=True)
    problem(again, 422, "insufficient_funds")
    await ledger.posted(**sides, amount=b"50.00")


async def test_what_is_held_for_an_account_pays_for_nothing(ledger: Ledger) -> None:
    """It is not there yet."""
    await ledger.fund("wallet", "100.00")
    await held(ledger)
    answer = await ledger.submit("t", source="shop", destination="elsewhere", amount=b"0.01")
    problem(answer, 422, "insufficient_funds")


async def test_partial_captures_then_void_of_the_rest(ledger: Ledger, database: Database) -> None:
    """Each step moves the counters by its own amount, and names the hold."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger)
    first = await followed(ledger, "capture", hold, amount="30.00")
    assert await counters(ledger, "wallet") == ("7000", "0", "7000", "0")
    assert await counters(ledger, "shop") == ("3000", "3000", "0", "7000")
    await followed(ledger, "capture", hold, amount="20.00")
    assert await counters(ledger, "wallet") == ("5000", "0", "5000", "0")
    assert (await transaction(ledger, hold))["status"] == "PENDING"
    await followed(ledger, "void", hold)
    assert await counters(ledger, "wallet") == ("5000", "5000", "0", "0")
    assert await counters(ledger, "shop") == ("5000", "5000", "0", "0")
    assert (await transaction(ledger, hold))["status"] == "VOIDED"
    shown = await transaction(ledger, first)
    assert (shown["hold_id"], shown["kind"], shown["status"]) == (hold, "capture", "COMPLETED")
    assert await about(database, ledger, hold) == [
        *("transfer.posted", "transfer.posted", "hold.voided")
    ]


async def test_captures_up_to_the_last_cent_complete_a_hold(ledger: Ledger) -> None:
    """CAPTURED once nothing is held any more, and not before."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger)
    await followed(ledger, "capture", hold, amount="99.99")
    assert (await transaction(ledger, hold))["status"] == "PENDING"
    await followed(ledger, "capture", hold, amount="0.01")
    assert (await transaction(ledger, hold))["status"] == "CAPTURED"
    assert await counters(ledger, "wallet") == ("0", "0", "0", "0")


async def test_capture_of_what_is_left_needs_no_amount(ledger: Ledger) -> None:
    """Without one it takes all that is left."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger)
    await followed(ledger, "capture", hold, amount="1.00")
    rest = await followed(ledger, "capture", hold)
    assert (await transaction(ledger, rest))["amount_minor"] == "9900"


@pytest.mark.parametrize("amount", ["70.01", "100.00"])
async def test_capture_above_what_is_left_is_refused(ledger: Ledger, amount: str) -> None:
    """And takes nothing of it."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger)
    await followed(ledger, "capture", hold, amount="30.00")
    problem(await follow(ledger, "capture", hold, {"amount": amount}), 422, "capture_exceeds_hold")
    assert await counters(ledger, "wallet") == ("7000", "0", "7000", "0")


async def test_hold_of_several_postings_is_captured_line_by_line(ledger: Ledger) -> None:
    """Each line has its own rest; the hold is open as long as one has any."""
    await ledger.fund("wallet", "100.00")
    postings = [
        {"source_account_id": "wallet", "destination_account_id": shop, "amount": amount}
        for shop, amount in (("shop", "60.00"), ("fees", "40.00"))
    ]
    body = {"transaction": {"postings": postings, "pending": True}, "idempotencyKey": "h"}
    hold = (await ledger.post("/transactions", body, 202))["messageId"]
    without = await follow(ledger, "capture", hold, {"amount": "1.00"})
    problem(without, 400, "line_missing")
    await followed(ledger, "capture", hold, postings=[{"line": 1, "amount": "40.00"}])
    over = await follow(ledger, "capture", hold, {"postings": [{"line": 1, "amount": "0.01"}]})
    problem(over, 422, "capture_exceeds_hold")
    assert await counters(ledger, "wallet") == ("6000", "0", "6000", "0")
    assert await counters(ledger, "fees") == ("4000", "4000", "0", "0")
    await followed(ledger, "capture", hold)
    assert (await transaction(ledger, hold))["status"] == "CAPTURED"
    assert await counters(ledger, "shop") == ("6000", "6000", "0", "0")


async def test_hold_expires_by_itself(ledger: Ledger, database: Database) -> None:
    """At its time what is left of it is free again, without any client."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger, expires_at=soon(1.0))
    await followed(ledger, "capture", hold, amount="30.00")
    assert await counters(ledger, "wallet") == ("7000", "0", "7000", "0")
    await stands(ledger, hold, "EXPIRED")
    assert await counters(ledger, "wallet") == ("7000", "7000", "0", "0")
    assert await counters(ledger, "shop") == ("3000", "3000", "0", "0")
    assert await stream(database, hold) == ["hold.placed", "hold.expired"]


async def test_completed_hold_does_not_expire(ledger: Ledger, database: Database) -> None:
    """Its time finds nothing left."""
    await ledger.fund("wallet", "200.00")
    expires_at = soon(0.6)
    captured = await held(ledger, expires_at=expires_at)
    voided = await held(ledger, expires_at=expires_at)
    await followed(ledger, "capture", captured)
    await followed(ledger, "void", voided)
    await sleep_until(expires_at, 1.2)
    assert await stream(database, captured) == ["hold.placed"]
    assert await stream(database, voided) == ["hold.placed"]


@pytest.mark.parametrize("verb", ["capture", "void"])
@pytest.mark.parametrize("how", ENDED)
async def test_ended_hold_says_how_it_ended(ledger: Ledger, how: str, verb: str) -> None:
    """The code tells what the hold became, and the retry tells the same."""
    await ledger.fund("wallet", "100.00")
    hold = await ended(ledger, how)
    refused = await follow(ledger, verb, hold, key="late")
    document = problem(refused, 422, ENDED[how])
    again = await follow(ledger, verb, hold, key="late")
    assert problem(again, 422, ENDED[how]) == document
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await transaction(ledger, hold))["status"] == how.upper()


async def test_capture_from_the_moment_of_expiry_is_refused(ledger: Ledger) -> None:
    """Even before the sweeper came by."""
    await ledger.fund("wallet", "100.00")
    expires_at = soon(0.4)
    hold = await held(ledger, expires_at=expires_at)
    await sleep_until(expires_at, 0.001)
    problem(await follow(ledger, "capture", hold), 422, "hold_expired")


@pytest.mark.parametrize("verb", ["capture", "void"])
async def test_what_is_no_hold_cannot_be_captured_or_voided(ledger: Ledger, verb: str) -> None:
    """Nor what is not there."""
    posted = await ledger.posted()
    problem(await follow(ledger, verb, posted["id"]), 422, "transaction_not_a_hold")
    problem(await follow(ledger, verb, UNKNOWN_ID), 422, "transaction_not_found")


async def test_another_ledgers_hold_is_none(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """Its id is of no use to anybody else."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger)
    other = await open_ledger()
    for verb in ("capture", "void", "refund", "cancel"):
        problem(await follow(other, verb, hold), 422, "transaction_not_found")
    assert await counters(ledger, "wallet") == ("10000", "0", "10000", "0")


async def test_hold_that_would_be_over_already_is_refused(ledger: Ledger) -> None:
    """A time that has passed is a mistake."""
    await ledger.fund("wallet", "100.00")
    answer = await ledger.submit(
        "h", source="wallet", amount=b"1", destination="shop", pending=True, expires_at=soon(-1)
    )
    problem(answer, 422, "expires_at_passed")


async def test_retried_capture_happens_once(ledger: Ledger) -> None:
    """The same key, the same answer; another amount is another command."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger)
    first = await follow(ledger, "capture", hold, {"amount": "10.00"}, key="c")
    again = await follow(ledger, "capture", hold, {"amount": "10.00"}, key="c")
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await follow(ledger, "capture", hold, {"amount": "10.01"}, key="c")
    problem(other, 422, "idempotency_key_reused")
    assert await counters(ledger, "wallet") == ("9000", "0", "9000", "0")


# --- all at once --------------------------------------------------------------------------------


def code_of(answer: httpx.Response) -> str | None:
    """Return why an answer is a refusal; None, if it is none."""
    if answer.status_code == 202:
        return None
    assert answer.status_code == 422, answer.text
    return str(answer.json()["code"])


@pytest.mark.parametrize("early_s", [0.1, 0.01, -0.02])
async def test_capture_void_and_expiry_race_and_one_wins(
    twins: tuple[Ledger, Ledger], database: Database, early_s: float
) -> None:
    """16 at once over two processes, about when it expires: all losers are told who won."""
    expires_at = soon(0.7)
    hold = await held(twins[0], expires_at=expires_at)

    async def race(number: int) -> httpx.Response:
        await sleep_until(expires_at, (number - RACERS / 2) * 0.002 - early_s)
        verb = "capture" if number // 2 % 2 else "void"
        return await follow(twins[number % 2], verb, hold, key=f"race-{number}", headers={})

    answers = await asyncio.gather(*(race(number) for number in range(RACERS)))
    codes = [code_of(answer) for answer in answers]
    winners = [number for number, code in enumerate(codes) if code is None]
    assert len(winners) <= 1, codes
    await sleep_until(expires_at, 0.7)
    became = "expired" if not winners else "captured" if winners[0] // 2 % 2 else "voided"
    await stands(twins[0], hold, became.upper())
    assert {code for code in codes if code is not None} == {ENDED[became]}
    done = await stream(database, hold) + await about(database, twins[0], hold)
    assert (
        done
        == {
            "expired": ["hold.placed", "hold.expired"],
            "captured": ["hold.placed", "transfer.posted"],
            "voided": ["hold.placed", "hold.voided"],
        }[became]
    )
    spent = 10_000 if became == "captured" else 0
    left = str(100_000 - spent)
    assert await counters(twins[0], "wallet") == (left, left, "0", "0")

    for number, answer in enumerate(answers):
        verb = "capture" if number // 2 % 2 else "void"
        again = await follow(twins[1 - number % 2], verb, hold, key=f"race-{number}", headers={})
        assert (again.status_code, again.json()) == (answer.status_code, answer.json())
        assert again.headers["Idempotent-Replayed"] == "true"


async def test_captures_at_once_never_take_more_than_is_held(twins: tuple[Ledger, Ledger]) -> None:
    """16 of a tenth each: ten get it, the others come to a hold that is captured."""
    hold = await held(twins[0])
    answers = await asyncio.gather(
        *(
            follow(twins[number % 2], "capture", hold, {"amount": "10.00"}, headers={})
            for number in range(RACERS)
        )
    )
    codes = [code_of(answer) for answer in answers]
    assert codes.count(None) == 10
    assert codes.count("hold_captured") == RACERS - 10
    await stands(twins[0], hold, "CAPTURED")
    assert await counters(twins[0], "shop") == ("10000", "10000", "0", "0")
