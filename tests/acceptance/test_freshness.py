"""A reader knows how fresh an answer is, and can wait, within a bound, for its own write."""

import asyncio
import time

import httpx
import pytest

from daybook.embedded.up import Service
from tests.acceptance.driver import (
    API,
    READABLE,
    Database,
    Ledger,
    exact,
    head_position,
    new_key,
    paused,
    problem,
)
from tests.patience import patient_s

WRITES = 50
SLACK_S = 2.0
VIEWS = [
    "/transactions",
    "/transactions/status/first",
    "/accounts/wallet",
    "/accounts/wallet/balance",
    "/accounts/wallet/ledger",
    "/accounts/wallet/audit-trail",
]
DIFFERENCE = "/accounts/wallet/reconciliation-difference"
HISTORY = "/accounts/wallet/reconciliation-history"


@pytest.mark.parametrize("view", [*VIEWS, DIFFERENCE, HISTORY])
async def test_every_view_says_what_position_it_is_true_of(ledger: Ledger, view: str) -> None:
    """`Daybook-Position` is at least the position of every row in the answer."""
    result = await ledger.posted("first")
    answer = await ledger.http.get(f"{API}{view}")
    assert answer.status_code == 200
    assert int(answer.headers["Daybook-Position"]) >= result["position"]


@pytest.mark.parametrize(
    "view",
    [*VIEWS, DIFFERENCE, HISTORY],
)
async def test_every_view_waits_for_a_position(ledger: Ledger, service: Service, view: str) -> None:
    """If the position is not reached in time, 503 with `Retry-After` comes soon after the wait."""
    await ledger.posted("first")
    with paused(service.pids()["project"]):
        position = (await ledger.submit("second")).headers["Daybook-Position"]
        asked = time.monotonic()
        headers = {"Daybook-Min-Position": position, "Prefer": "wait=1"}
        answer = await ledger.http.get(f"{API}{view}", headers=headers)
        took_s = time.monotonic() - asked
    problem(answer, 503, "position_not_reached")
    assert int(answer.headers["Retry-After"]) >= 1
    assert 1.0 <= took_s < 1.0 + patient_s(SLACK_S)


async def test_own_write_is_read_with_the_position_it_got(ledger: Ledger) -> None:
    """Fifty times a transfer is submitted, and the balance read afterwards includes it."""
    for count in range(1, WRITES + 1):
        written = await ledger.submit(f"k{count}", amount=b"1.00")
        position = written.headers["Daybook-Position"]
        headers = {"Daybook-Min-Position": position, "Prefer": "wait=10"}
        read = await ledger.http.get(f"{API}/accounts/wallet/balance", headers=headers)
        assert read.status_code == 200
        assert int(read.headers["Daybook-Position"]) >= int(position)
        assert exact(read)["balance"] == f"{count}.00"


async def test_wait_ends_as_soon_as_the_position_is_there(ledger: Ledger, service: Service) -> None:
    """A waiting request is answered when the projector arrives, not when its time is over."""
    await ledger.posted("first", amount=b"1")
    with paused(service.pids()["project"]):
        written = await ledger.submit("second", amount=b"1")
        headers = {"Daybook-Min-Position": written.headers["Daybook-Position"], **READABLE}
        waiting = asyncio.create_task(
            ledger.http.get(f"{API}/accounts/wallet/balance", headers=headers)
        )
        await asyncio.sleep(0.5)
        assert not waiting.done()
    resumed = time.monotonic()
    answer: httpx.Response = await waiting
    assert (answer.status_code, exact(answer)["balance"]) == (200, "2.00")
    assert time.monotonic() - resumed < patient_s(5.0)


async def test_without_a_preference_the_wait_is_short(ledger: Ledger, database: Database) -> None:
    """A request for a position beyond the log waits for about a second."""
    headers = {"Daybook-Min-Position": str(await head_position(database) + 1_000)}
    asked = time.monotonic()
    problem(await ledger.http.get(f"{API}/transactions", headers=headers), 503,
            "position_not_reached")  # fmt: skip
    assert time.monotonic() - asked < 1.0 + patient_s(SLACK_S)


@pytest.mark.parametrize("position", ["-1", "one", "1.0", "", "9" * 20, "0" * 5_000 + "x", "٣"])
async def test_impossible_position_is_a_problem(ledger: Ledger, position: str) -> None:
    """A position is a whole number that a log can have."""
    headers = {b"Daybook-Min-Position": position.encode()}
    answer = await ledger.http.get(f"{API}/transactions", headers=headers)
    problem(answer, 400, "min_position_invalid")


async def test_position_of_very_many_zeros_is_no_crash(ledger: Ledger) -> None:
    """Whatever it means, it is not our fault."""
    headers = {"Daybook-Min-Position": "0" * 5_000}
    answer = await ledger.http.get(f"{API}/transactions", headers=headers)
    assert answer.status_code in (200, 400), answer.text


async def test_position_zero_is_always_there(ledger: Ledger) -> None:
    """Asking for nothing is answered at once."""
    await ledger.get("/transactions", headers={"Daybook-Min-Position": "0", "Prefer": "wait=0"})


async def test_submission_that_waits_is_answered_with_the_result(ledger: Ledger) -> None:
    """200 comes once the result is readable."""
    answer = await ledger.submit("k", headers=READABLE)
    assert answer.status_code == 200
    body = exact(answer)
    assert (body["status"], body["result"]["status"]) == ("COMPLETED", "COMPLETED")
    assert await ledger.get("/transactions/status/k") == body


async def test_submission_whose_wait_is_over_is_accepted(ledger: Ledger, service: Service) -> None:
    """202 comes after the wait if the transfer is durable and not yet readable."""
    with paused(service.pids()["project"]):
        asked = time.monotonic()
        answer = await ledger.submit("k", headers={"Prefer": "wait=1"})
        took_s = time.monotonic() - asked
    assert (answer.status_code, answer.json()["status"]) == (202, "ACCEPTED")
    assert 1.0 <= took_s < 1.0 + patient_s(SLACK_S)


async def test_preference_is_found_among_others(ledger: Ledger) -> None:
    """`Prefer` is a list (RFC 7240)."""
    headers = {"Prefer": "respond-async, wait=20"}
    assert (await ledger.submit(new_key(), headers=headers)).status_code == 200


async def test_duplicate_that_waits_is_answered_with_the_result_too(ledger: Ledger) -> None:
    """A repeated request may wait for its result like the first one."""
    await ledger.submit("k")
    answer = await ledger.submit("k", headers=READABLE)
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    assert answer.headers["Idempotent-Replayed"] == "true"


async def test_many_waiters_are_answered_together(ledger: Ledger) -> None:
    """Each of forty waiting submissions is answered with its own result."""
    answers = await asyncio.gather(
        *(ledger.submit(f"k{n}", amount=b"1", headers=READABLE) for n in range(40))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["idempotencyKey"] for answer in answers] == [
        f"k{number}" for number in range(40)
    ]
    assert (await ledger.get("/accounts/wallet/balance"))["balance"] == "40.00"
