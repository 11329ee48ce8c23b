"""Refunds through HTTP: all, part by part, line by line, of what moved money; never too much."""

import asyncio
from collections import Counter

import pytest

from tests.acceptance.command_driver import (
    accepted,
    balance,
    follow,
    followed,
    held,
    soon,
    stands,
    transaction,
)
from tests.acceptance.driver import Ledger, problem

REFUNDERS = 32
PAYS = {"source": "wallet", "destination": "shop"}


async def paid(ledger: Ledger) -> str:
    """100 USD from the wallet to the shop; return the transfer's id."""
    await ledger.fund("wallet", "100.00")
    return await accepted(ledger, **PAYS, amount=b"100.00")


async def split(ledger: Ledger) -> str:
    """60 USD from the wallet to the shop and 40 to the fees, in one transaction."""
    await ledger.fund("wallet", "100.00")
    postings = [
        {"source_account_id": "wallet", "destination_account_id": shop, "amount": amount}
        for shop, amount in (("shop", "60.00"), ("fees", "40.00"))
    ]
    body = {"transaction": {"postings": postings}, "idempotencyKey": "split"}
    answer = await ledger.post("/transactions", body, 202)
    return str(answer["messageId"])


async def test_refunds_add_up_to_the_original(ledger: Ledger) -> None:
    """A part, another one, what is left; the original shows the sum, and then nothing is left."""
    original = await paid(ledger)
    assert "refunded" not in await transaction(ledger, original)
    first = await followed(ledger, "refund", original, amount="30.00")
    assert (await transaction(ledger, original))["refunded_minor"] == "3000"
    await followed(ledger, "refund", original, amount="0.01")
    assert (await transaction(ledger, original))["refunded_minor"] == "3001"
    rest = await followed(ledger, "refund", original)
    shown = await transaction(ledger, original)
    assert (shown["refunded_minor"], shown["status"]) == ("10000", "COMPLETED")
    assert (await transaction(ledger, rest))["amount_minor"] == "6999"
    assert (await transaction(ledger, first))["refund_of"] == original
    assert (await balance(ledger, "wallet"))["balance"] == "10000"
    for body in ({}, {"amount": "0.01"}):
        problem(await follow(ledger, "refund", original, body), 422, "refund_exceeds_original")


async def test_several_postings_are_refunded_line_by_line(ledger: Ledger) -> None:
    """Each line has its own rest; without lines everything that is left goes back."""
    original = await split(ledger)
    problem(await follow(ledger, "refund", original, {"amount": "1.00"}), 400, "line_missing")
    await followed(ledger, "refund", original, postings=[{"line": 1, "amount": "15.00"}])
    over = [{"line": 0, "amount": "1.00"}, {"line": 1, "amount": "25.01"}]
    answer = await follow(ledger, "refund", original, {"postings": over})
    problem(answer, 422, "refund_exceeds_original")
    assert (await balance(ledger, "wallet"))["balance"] == "1500"
    await followed(ledger, "refund", original)
    assert (await balance(ledger, "wallet"))["balance"] == "10000"
    assert (await balance(ledger, "fees"))["balance"] == "0"


@pytest.mark.parametrize("line", [2, 32_767])
async def test_line_that_is_not_there_is_refused(ledger: Ledger, line: int) -> None:
    """There is nothing to give back of it."""
    original = await split(ledger)
    answer = await follow(ledger, "refund", original, {"postings": [{"line": line, "amount": 1}]})
    problem(answer, 422, "refund_exceeds_original")


@pytest.mark.parametrize(
    "postings",
    [
        [],
        [{"line": -1, "amount": 1}],
        [{"line": 32_768, "amount": 1}],
        [{"line": 0, "amount": 1}, {"line": 0, "amount": 1}],
    ],
)
async def test_lines_must_be_named_once(ledger: Ledger, postings: list[dict[str, int]]) -> None:
    """Anything else is a mistake."""
    original = await split(ledger)
    problem(await follow(ledger, "refund", original, {"postings": postings}), 400, "line_invalid")


async def test_captures_are_refunded_and_holds_are_not(ledger: Ledger) -> None:
    """What moved money is the capture."""
    await ledger.fund("wallet", "100.00")
    hold = await held(ledger)
    capture = await followed(ledger, "capture", hold, amount="40.00")
    problem(await follow(ledger, "refund", hold), 422, "transaction_not_refundable")
    await followed(ledger, "refund", capture, amount="15.00")
    problem(
        await follow(ledger, "refund", capture, {"amount": "25.01"}), 422, "refund_exceeds_original"
    )
    await followed(ledger, "refund", capture)
    assert (await transaction(ledger, capture))["refunded_minor"] == "4000"
    wallet = await balance(ledger, "wallet")
    # What was given back is not held again.
    assert (wallet["balance"], wallet["available"]) == ("10000", "4000")


async def test_scheduled_transfer_is_refunded_once_it_was_executed(ledger: Ledger) -> None:
    """Before, there is nothing to give back."""
    await ledger.fund("wallet", "100.00")
    scheduled = await accepted(ledger, **PAYS, amount=b"100.00", due_at=soon(0.7))
    problem(await follow(ledger, "refund", scheduled), 422, "transaction_not_refundable")
    await stands(ledger, scheduled, "COMPLETED")
    await followed(ledger, "refund", scheduled, amount="60.00")
    await followed(ledger, "refund", scheduled)
    assert (await transaction(ledger, scheduled))["refunded_minor"] == "10000"


async def test_void_and_cancellation_are_not_refundable(ledger: Ledger) -> None:
    """They moved nothing."""
    await ledger.fund("wallet", "100.00")
    void = await followed(ledger, "void", await held(ledger))
    scheduled = await accepted(ledger, **PAYS, amount=b"1", due_at=soon(60))
    cancellation = await followed(ledger, "cancel", scheduled)
    for moved_nothing in (void, scheduled, cancellation):
        answer = await follow(ledger, "refund", moved_nothing)
        problem(answer, 422, "transaction_not_refundable")


async def test_exchange_is_refunded_in_both_currencies(ledger: Ledger) -> None:
    """Line by line, at what it was, whatever the rate is by now."""
    await ledger.fund("wallet", "100.00")
    exchange = {"currency": "EUR", "rate": "0.9"}
    sides = {"source": "wallet", "destination": "wallet-eur"}
    original = await accepted(ledger, **sides, amount=b"100.00", exchange=exchange)
    await followed(ledger, "refund", original)
    assert (await balance(ledger, "wallet"))["balance"] == "10000"
    assert (await balance(ledger, "wallet-eur"))["balance"] == "0"


async def test_refunds_at_once_never_exceed(ledger: Ledger) -> None:
    """32 of a tenth each: ten get it, and no cent more."""
    original = await paid(ledger)
    answers = await asyncio.gather(
        *(follow(ledger, "refund", original, {"amount": "10.00"}) for _ in range(REFUNDERS))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 10, 422: REFUNDERS - 10}
    for answer in answers:
        if answer.status_code == 422:
            problem(answer, 422, "refund_exceeds_original")
    assert (await transaction(ledger, original))["refunded_minor"] == "10000"
    assert (await balance(ledger, "wallet"))["balance"] == "10000"


async def test_refunds_of_all_at_once_let_one_win(ledger: Ledger) -> None:
    """Without an amount each wants everything."""
    original = await paid(ledger)
    answers = await asyncio.gather(*(follow(ledger, "refund", original) for _ in range(REFUNDERS)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 422: REFUNDERS - 1}
    assert (await balance(ledger, "shop"))["balance"] == "0"
