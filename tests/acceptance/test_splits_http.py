"""Splits and exchanges through HTTP: several accounts a side, at a rate, shown as made."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from tests.acceptance.command_driver import balance, transaction
from tests.acceptance.driver import SUBMIT, Database, Ledger, head_position, problem

LARGEST = "9" * 36 + ".99"


async def split(ledger: Ledger, **fields: Any) -> str:  # noqa: ANN401
    """Submit a split, and return its id once it is readable."""
    body = {"transaction": fields, "idempotencyKey": "split"}
    answer = await ledger.http.post(SUBMIT, json=body, headers={"Prefer": "wait=20"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result"]["id"])


async def test_percentages_round_to_the_whole(ledger: Ledger) -> None:
    """A third each of 100.00: the cent that is left over goes to the largest fraction."""
    thirds = [{"account_id": f"p{n}", "percentage": p} for n, p in enumerate(
        ("33.33", "33.33", "33.34"))]  # fmt: skip
    await split(ledger, source_account_id="external:usd", destinations=thirds, amount="0.10")
    got = [int((await balance(ledger, f"p{n}"))["balance"]) for n in range(3)]
    assert (sum(got), sorted(got)) == (10, [3, 3, 4])


async def test_many_to_many_adds_up(ledger: Ledger) -> None:
    """Amount, percentage and what remains, on both sides."""
    made = await split(
        ledger,
        sources=[
            {"account_id": "external:a", "amount": "10.00"},
            {"account_id": "external:b", "remaining": True},
        ],
        destinations=[
            {"account_id": "fees", "percentage": 2.5},
            {"account_id": "tax", "amount": "5.00"},
            {"account_id": "shop", "remaining": True},
        ],
        amount="99.99",
    )
    found = {name: (await balance(ledger, name))["balance"] for name in ("fees", "tax", "shop")}
    assert found == {"fees": "249", "tax": "500", "shop": "9250"}
    assert (await balance(ledger, "external:a"))["balance"] == "-1000"
    postings = (await transaction(ledger, made))["postings"]
    assert sum(int(posting["amount_minor"]) for posting in postings) == 9999


async def test_largest_amount_is_split_exactly(ledger: Ledger) -> None:
    """38 digits, not one lost."""
    halves = [{"account_id": "a", "percentage": 50}, {"account_id": "b", "percentage": "50.0"}]
    await split(ledger, source_account_id="external:x", destinations=halves, amount=LARGEST)
    got = [int((await balance(ledger, each))["balance"]) for each in "ab"]
    assert sum(got) == 10**38 - 1
    assert abs(got[0] - got[1]) == 1


@pytest.mark.parametrize(
    "shares, code",
    [
        ([("a", {"percentage": 99.99})], "split_incomplete"),
        ([("a", {"percentage": 100}), ("b", {"percentage": 0.01})], "split_incomplete"),
        ([("a", {"amount": "99.99"})], "split_incomplete"),
        ([("a", {"amount": "100.00"}), ("b", {"remaining": True})], "split_exceeded"),
        ([("a", {"remaining": True}), ("b", {"remaining": True})], "split_ambiguous"),
        ([("a", {"percentage": 50, "amount": 1})], "split_ambiguous"),
        ([("a", {})], "split_ambiguous"),
        ([("a", {"percentage": 0}), ("b", {"remaining": True})], "amount_not_positive"),
        ([("external:usd", {"remaining": True})], "same_account"),
        ([], "too_many_postings"),
        ([(f"a{n}", {"percentage": 1}) for n in range(101)], "too_many_postings"),
    ],
)
async def test_split_that_is_none(
    ledger: Ledger, database: Database, shares: list[tuple[str, Any]], code: str
) -> None:
    """It says why, and nothing is appended."""
    fields = {
        "source_account_id": "external:usd",
        "destinations": [{"account_id": name, **share} for name, share in shares],
        "amount": "100.00",
    }
    position = await head_position(database)
    answer = await ledger.http.post(SUBMIT, json={"transaction": fields, "idempotencyKey": "k"})
    problem(answer, 400, code)
    assert await head_position(database) == position


@pytest.mark.parametrize(
    "amount, rate, bought",
    [("100.00", "0.9", 9000), ("0.01", "150", 150), ("0.05", "0.5", 2), ("0.15", "0.5", 8)],
)
async def test_exchange_goes_through_an_account_of_each_currency(
    ledger: Ledger, amount: str, rate: str, bought: int
) -> None:
    """Rounded half to even; the rate is kept, and each currency stays balanced."""
    await ledger.fund("wallet", "100.00")
    made = await split(
        ledger,
        source_account_id="wallet",
        destination_account_id="wallet-eur",
        amount=amount,
        exchange={"currency": "EUR", "rate": msgspec.json.decode(rate)},
    )
    sold = int(Fraction(amount) * 100)
    assert (await balance(ledger, "wallet"))["balance"] == str(10_000 - sold)
    assert (await balance(ledger, "wallet-eur"))["balance"] == str(bought)
    assert (await balance(ledger, "exchange:USD"))["balance"] == str(sold)
    assert (await balance(ledger, "exchange:EUR"))["balance"] == str(-bought)
    shown = await transaction(ledger, made)
    assert {name: str(text) for name, text in shown["rate"].items()} == {
        "sold": "USD",
        "bought": "EUR",
        "rate": rate,
    }
    assert [posting["currency"] for posting in shown["postings"]] == ["USD", "EUR"]


@pytest.mark.parametrize(
    "exchange, code",
    [
        ({"currency": "USD", "rate": 1}, "exchange_same_currency"),
        ({"currency": "EUR", "rate": 0}, "amount_not_positive"),
        ({"currency": "EUR", "rate": -1}, "amount_not_positive"),
        ({"currency": "EUR", "rate": "0.000000000000000001"}, "exchange_too_small"),
        ({"currency": "EUR", "rate": "0.0000000000000000001"}, "amount_too_precise"),
        ({"currency": "ETH", "rate": "99999999999999999999"}, "amount_too_large"),
    ],
)
async def test_exchange_that_is_none(ledger: Ledger, exchange: dict[str, Any], code: str) -> None:
    """It says why."""
    answer = await ledger.submit("k", exchange=exchange)
    problem(answer, 400, code)
