"""What a client may rule out: versions and bounds; and what an account itself rules out."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.acceptance.command_driver import (
    accepted,
    balance,
    change,
    follow,
    followed,
    held,
    soon,
    stands,
    transaction,
)
from tests.acceptance.driver import API, Database, Ledger, head_position, problem

RACERS = 16
PAYS = {"source": "wallet", "destination": "shop"}
FROZEN = {  # What each status lets in and out.
    "frozen_in": (False, True),
    "frozen_out": (True, False),
    "frozen": (False, False),
}


async def version(ledger: Ledger, account_id: str) -> int:
    """Return the version of an account's policy, changing nothing."""
    answer = await change(ledger, account_id, status="open")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


def where(account_id: str = "wallet", **condition: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a transaction's conditions."""
    return {"conditions": [{"account_id": account_id, **condition}]}


# --- conditions ---------------------------------------------------------------------------------


async def test_expected_version_holds_until_the_policy_changes(ledger: Ledger) -> None:
    """Payments do not count; another policy does: 409, and kept for the key."""
    await ledger.fund("wallet", "100.00")
    seen = await version(ledger, "wallet")
    await ledger.posted(**PAYS, amount=b"1", **where(expected_version=seen))
    await ledger.posted(**PAYS, amount=b"1", **where(expected_version=seen))
    assert (await change(ledger, "wallet", overdraft="5.00")).status_code == 200
    answer = await ledger.submit("k", **PAYS, amount=b"1", **where(expected_version=seen))
    refused = problem(answer, 409, "version_conflict")
    again = await ledger.submit("k", **PAYS, amount=b"1", **where(expected_version=seen))
    assert problem(again, 409, "version_conflict") == refused
    assert again.headers["Idempotent-Replayed"] == "true"
    await ledger.posted(**PAYS, amount=b"1", **where(expected_version=seen + 1))


@pytest.mark.parametrize(
    "bounds, amount, code",
    [
        ({"balance_min": "40.00"}, b"60.00", None),
        ({"balance_min": "40.00"}, b"60.01", "balance_below_minimum"),
        ({"balance_max": "40.00"}, b"60.00", None),
        ({"balance_max": "40.00"}, b"59.99", "balance_above_maximum"),
        ({"balance_min": 0, "balance_max": 0}, b"100.00", None),
        ({"balance_min": 0, "balance_max": "-0"}, b"99.99", "balance_above_maximum"),
        ({"balance_min": "-5.00"}, b"100.00", None),
        ({"balance_max": "-0.01"}, b"100.00", "balance_above_maximum"),
    ],
)
async def test_balance_must_be_within_bounds_afterwards(
    ledger: Ledger, bounds: dict[str, Any], amount: bytes, code: str | None
) -> None:
    """The bounds themselves are allowed."""
    await ledger.fund("wallet", "100.00")
    answer = await ledger.submit("k", **PAYS, amount=amount, **where(**bounds))
    if code is None:
        assert answer.status_code == 202, answer.text
    else:
        problem(answer, 422, code)


async def test_bounds_of_a_hold_look_at_what_is_posted(ledger: Ledger) -> None:
    """A hold posts nothing yet."""
    await ledger.fund("wallet", "200.00")
    await held(ledger, **where(balance_min="200.00"))
    bound = where(balance_max="199.99")
    answer = await ledger.submit("k", **PAYS, amount=b"1.00", pending=True, **bound)
    problem(answer, 422, "balance_above_maximum")


async def test_condition_about_an_account_without_a_posting(ledger: Ledger) -> None:
    """It could mean nothing."""
    answer = await ledger.submit("k", **where("nobody", balance_min=0))
    problem(answer, 400, "condition_account_unknown")


async def test_compare_and_set_lets_one_win(ledger: Ledger) -> None:
    """16 that each saw the same balance: the first one moves it, for all others it has moved."""
    await ledger.fund("wallet", "100.00")
    seen = where(balance_min="99.00", balance_max="99.00")
    answers = await asyncio.gather(
        *(ledger.submit(f"k{n}", **PAYS, amount=b"1.00", **seen) for n in range(RACERS))
    )
    codes = Counter(answer.json().get("code") for answer in answers)
    assert codes == {None: 1, "balance_below_minimum": RACERS - 1}


# --- policies -----------------------------------------------------------------------------------


async def test_change_of_an_outdated_policy_is_refused(ledger: Ledger, database: Database) -> None:
    """409 with the version that it has, and no event."""
    await ledger.fund("wallet")
    seen = await version(ledger, "wallet")
    first = await change(ledger, "wallet", overdraft="5.00", expected_version=seen)
    assert (first.status_code, first.json()["version"]) == (200, seen + 1)
    position = await head_position(database)
    again = await change(ledger, "wallet", overdraft="6.00", expected_version=seen)
    problem(again, 409, "version_conflict")
    assert await head_position(database) == position


async def test_changes_at_once_of_one_version_let_one_win(ledger: Ledger) -> None:
    """Nobody overwrites what they did not see."""
    await ledger.fund("wallet")
    seen = await version(ledger, "wallet")
    answers = await asyncio.gather(
        *(
            change(ledger, "wallet", metadata={"n": number}, expected_version=seen)
            for number in range(RACERS)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: RACERS - 1}


@pytest.mark.parametrize("status", FROZEN)
async def test_frozen_account_stops_its_own_directions(ledger: Ledger, status: str) -> None:
    """In, out, or both; transfers and holds alike."""
    await ledger.fund("wallet", "100.00")
    assert (await change(ledger, "wallet", status=status)).status_code == 200
    allowed = FROZEN[status]
    for (source, destination), free in zip(
        (("external:usd", "wallet"), ("wallet", "shop")), allowed, strict=True
    ):
        for pending in (False, True):
            answer = await ledger.submit(
                f"{source}-{pending}",
                source=source,
                destination=destination,
                amount=b"1.00",
                pending=pending,
            )
            if free:
                assert answer.status_code == 202, answer.text
            else:
                problem(answer, 422, "account_frozen")


async def test_hold_on_an_account_that_was_frozen(ledger: Ledger) -> None:
    """It cannot be captured; it can be voided, and it expires."""
    await ledger.fund("wallet", "200.00")
    hold, brief = await held(ledger), await held(ledger, expires_at=soon(0.7))
    assert (await change(ledger, "wallet", status="frozen")).status_code == 200
    problem(await follow(ledger, "capture", hold), 422, "account_frozen")
    await followed(ledger, "void", hold)
    await stands(ledger, brief, "EXPIRED")
    assert (await balance(ledger, "wallet"))["available"] == "20000"


@pytest.mark.parametrize("account_id", ["wallet", "shop"])
async def test_account_is_closed_only_with_nothing_held(ledger: Ledger, account_id: str) -> None:
    """At zero, on either side of a hold; and then for good."""
    await ledger.fund("wallet", "100.00")
    assert (await change(ledger, "wallet", overdraft="100.00")).status_code == 200
    hold = await held(ledger)
    await accepted(ledger, source="wallet", destination="elsewhere", amount=b"100.00")
    problem(await change(ledger, account_id, status="closed"), 422, "account_not_empty")
    await followed(ledger, "void", hold)
    assert (await change(ledger, account_id, status="closed")).status_code == 200
    problem(await change(ledger, account_id, status="open"), 422, "account_closed")
    answer = await ledger.submit("k", destination=account_id)
    problem(answer, 422, "account_closed")


async def test_change_shows_in_the_account(ledger: Ledger) -> None:
    """What was answered is what can be read."""
    await ledger.fund("wallet")
    answer = await change(ledger, "wallet", status="frozen_in", metadata={"tier": 2})
    await ledger.readable_at(answer.headers["Daybook-Position"])
    read = await ledger.get("/accounts/wallet")
    answered = answer.json()
    for name in ("account_id", "class", "type", "currency", "overdraft", "status", "metadata",
                 "version"):  # fmt: skip
        assert read[name] == answered[name]


# --- references and metadata --------------------------------------------------------------------


async def test_reference_and_metadata_come_back(ledger: Ledger) -> None:
    """Of a transfer and of what follows it, to their limits."""
    attached = {
        "reference": "r" * 255,
        "description": "d" * 500,
        "metadata": {f"k{number}": number for number in range(50)},
    }
    original = await accepted(ledger, **attached)
    refund = await followed(ledger, "refund", original, **attached)
    for each in (original, refund):
        shown = await transaction(ledger, each)
        assert {name: shown[name] for name in attached} == attached


@pytest.mark.parametrize(
    "attached, code",
    [
        ({"reference": ""}, "reference_invalid"),
        ({"reference": "r" * 256}, "reference_invalid"),
        ({"reference": "a\u0000b"}, "control_character"),
        ({"description": "d" * 501}, "description_too_long"),
        ({"metadata": {f"k{number}": 1 for number in range(51)}}, "metadata_too_large"),
        ({"metadata": {"k": "v" * 4096}}, "metadata_too_large"),
        ({"metadata": {"k": "\u0007"}}, "control_character"),
        ({"metadata": {"k": {"nested": 1}}}, "body_invalid"),
        ({"metadata": {"k": 1.5}}, "body_invalid"),
    ],
)
async def test_too_much_is_refused_everywhere(
    ledger: Ledger, database: Database, attached: dict[str, Any], code: str
) -> None:
    """For a transfer, a hold, a schedule and every follow-up; nothing is appended."""
    original = await accepted(ledger)
    position = await head_position(database)
    for more in ({}, {"pending": True}, {"due_at": soon(60)}):
        problem(await ledger.submit("k", **more, **attached), 400, code)
    for verb in ("refund", "capture", "void", "cancel"):
        problem(await follow(ledger, verb, original, attached), 400, code)
    assert await head_position(database) == position


async def test_account_metadata_has_the_same_limits(ledger: Ledger) -> None:
    """When it is opened, and when it is changed."""
    await ledger.fund("wallet")
    large = {"metadata": {"k": "v" * 4096}}
    opened = await ledger.http.post(f"{API}/accounts", json={"account_id": "new", **large})
    problem(opened, 400, "metadata_too_large")
    problem(await change(ledger, "wallet", **large), 400, "metadata_too_large")
