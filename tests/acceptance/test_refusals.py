"""Every business refusal through HTTP: 422 with its stable code, in the log, the same for ever."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from command_side.domain.rejections import Code
from tests.acceptance.driver import (
    API,
    READABLE,
    SUBMIT,
    UNKNOWN_ID,
    Database,
    Ledger,
    head_position,
    outcomes,
    problem,
)

Arrange = Callable[[Ledger], Awaitable[str]]


class Refused(NamedTuple):
    """A case: what was there before (its result may fill the path), and what is asked for."""

    code: Code
    name: str
    arrange: Arrange
    ask: dict[str, Any] | None = None  # None: a refund of what `arrange` returned,
    refund: dict[str, Any] | None = None  # with this body.


async def nothing(_: Ledger) -> str:
    """Arrange nothing."""
    return UNKNOWN_ID


async def funded(ledger: Ledger) -> str:
    """100 USD in the wallet."""
    await ledger.fund("wallet", "100.00")
    return ""


async def change(ledger: Ledger, account_id: str, **policy: str) -> None:
    """Change an account's policy, and wait until it can be read."""
    answer = await ledger.http.patch(f"{API}/accounts/{account_id}", json=policy)
    assert answer.status_code == 200, answer.text
    await ledger.readable_at(answer.headers["Daybook-Position"])


def with_status(account_id: str, status: str) -> Arrange:
    """Give an account a status after it was opened; a closed one is empty."""

    async def arrange(ledger: Ledger) -> str:
        await funded(ledger)
        opened = await ledger.http.post(f"{API}/accounts", json={"account_id": "shop"})
        assert opened.status_code == 201
        if (account_id, status) == ("wallet", "closed"):
            await ledger.posted(source="wallet", destination="elsewhere", amount=b"100")
        await change(ledger, account_id, status=status)
        return ""

    return arrange


async def overdrawable(ledger: Ledger) -> str:
    """Let the wallet go 20 below its 100."""
    await funded(ledger)
    await change(ledger, "wallet", overdraft="20.00")
    return ""


async def refused_before(ledger: Ledger) -> str:
    """Refuse a transfer, and return its id."""
    answer = await ledger.submit("before", source="empty")
    transaction_id: str = problem(answer, 422, "insufficient_funds")["transactionId"]
    return transaction_id


async def posted_before(ledger: Ledger) -> str:
    """100 USD from the wallet to the shop; return the transfer's id."""
    await funded(ledger)
    result = await ledger.posted(source="wallet", destination="shop", amount=b"100")
    return str(result["id"])


async def refunded_before(ledger: Ledger) -> str:
    """Refund a transfer in part, and return the refund's id."""
    original = await posted_before(ledger)
    answer = await ledger.http.post(
        f"{SUBMIT}/{original}/refund", json={"idempotencyKey": "before"}, headers=READABLE
    )
    assert answer.status_code == 200
    return str(answer.json()["result"]["id"])


async def partly_refunded(ledger: Ledger) -> str:
    """Refund 60 of 100."""
    original = await posted_before(ledger)
    answer = await ledger.http.post(
        f"{SUBMIT}/{original}/refund", json={"idempotencyKey": "before", "amount": "60.00"}
    )
    assert answer.status_code == 202
    return original


async def spent(ledger: Ledger) -> str:
    """Let the shop spend what it got."""
    original = await posted_before(ledger)
    await ledger.posted(source="shop", destination="elsewhere", amount=b"1")
    return original


def refund_while(status: str) -> Arrange:
    """Change the payer's account after it paid."""

    async def arrange(ledger: Ledger) -> str:
        original = await posted_before(ledger)
        await change(ledger, "wallet", status=status)
        return original

    return arrange


PAY = {"source": "wallet", "destination": "shop", "amount": b"10"}
KEYED = [
    # In the order of precedence.
    Refused(Code.TRANSACTION_NOT_FOUND, "refund of nothing", nothing, refund={}),
    Refused(Code.TRANSACTION_NOT_FOUND, "the same with an amount", nothing, refund={"amount": 1}),
    Refused(Code.TRANSACTION_NOT_REFUNDABLE, "refund of a refusal", refused_before, refund={}),
    Refused(Code.TRANSACTION_NOT_REFUNDABLE, "refund of a refund", refunded_before, refund={}),
    Refused(Code.ACCOUNT_NOT_FOUND, "source not opened by use", nothing,
            {"source": "credit-line:1"}),
    Refused(Code.ACCOUNT_NOT_FOUND, "destination not opened by use", nothing,
            {"destination": "credit-line:1"}),
    Refused(Code.CURRENCY_MISMATCH, "source in USD", funded, PAY | {"currency": "EUR"}),
    Refused(Code.CURRENCY_MISMATCH, "destination in USD", funded,
            {"source": "external:eur", "currency": "EUR"}),
    Refused(Code.CURRENCY_MISMATCH, "before funds", funded,
            PAY | {"currency": "EUR", "amount": b"1000"}),
    Refused(Code.CURRENCY_MISMATCH, "refund in another currency", posted_before,
            refund={"amount": 1, "currency": "EUR"}),
    Refused(Code.CURRENCY_MISMATCH, "before closed", with_status("wallet", "closed"),
            PAY | {"currency": "EUR"}),
    Refused(Code.ACCOUNT_CLOSED, "source", with_status("wallet", "closed"), PAY),
    Refused(Code.ACCOUNT_CLOSED, "destination", with_status("shop", "closed"), PAY),
    Refused(Code.ACCOUNT_CLOSED, "before funds", with_status("shop", "closed"),
            PAY | {"amount": b"1000"}),
    Refused(Code.ACCOUNT_CLOSED, "refund to a closed payer", refund_while("closed"), refund={}),
    Refused(Code.ACCOUNT_FROZEN, "source", with_status("wallet", "frozen"), PAY),
    Refused(Code.ACCOUNT_FROZEN, "destination", with_status("shop", "frozen"), PAY),
    Refused(Code.ACCOUNT_FROZEN, "before funds", with_status("wallet", "frozen"),
            PAY | {"amount": b"1000"}),
    Refused(Code.ACCOUNT_FROZEN, "refund to a frozen payer", refund_while("frozen"), refund={}),
    Refused(Code.AMOUNT_OVER_LIMIT, "into a capped account", nothing,
            {"destination": "capped:1", "amount": b"500.01"}),
    Refused(Code.AMOUNT_OVER_LIMIT, "before funds", nothing,
            {"source": "capped:1", "amount": b"500.01"}),
    Refused(Code.REFUND_EXCEEDS_ORIGINAL, "more than all", posted_before,
            refund={"amount": "100.01"}),
    Refused(Code.REFUND_EXCEEDS_ORIGINAL, "more than is left", partly_refunded,
            refund={"amount": "40.01"}),
    Refused(Code.INSUFFICIENT_FUNDS, "from nothing", nothing, {"source": "empty"}),
    Refused(Code.INSUFFICIENT_FUNDS, "a cent too much", funded, PAY | {"amount": b"100.01"}),
    Refused(Code.INSUFFICIENT_FUNDS, "beyond the overdraft", overdrawable,
            PAY | {"amount": b"120.01"}),
    Refused(Code.INSUFFICIENT_FUNDS, "into a debit-normal account", funded,
            {"source": "empty", "destination": "bank:1", "amount": b"1"}),
    Refused(Code.INSUFFICIENT_FUNDS, "refund of what was spent", spent, refund={}),
]  # fmt: skip


async def ask(ledger: Ledger, case: Refused, arranged: str, key: str = "k") -> httpx.Response:
    """Ask for what is refused."""
    if case.refund is None:
        return await ledger.submit(key, **(case.ask or {}))
    body = case.refund | {"idempotencyKey": key}
    return await ledger.http.post(f"{SUBMIT}/{arranged}/refund", json=body)


@pytest.mark.parametrize("case", KEYED, ids=lambda case: f"{case.code}: {case.name}")
async def test_refusal(ledger: Ledger, database: Database, case: Refused) -> None:
    """422 with the code, one event in the log, FAILED when polled, and the same for a retry."""
    arranged = await case.arrange(ledger)
    before = await head_position(database)
    answer = await ask(ledger, case, arranged)
    refused = problem(answer, 422, case.code)
    assert refused["idempotencyKey"] == "k"
    assert "Idempotent-Replayed" not in answer.headers
    # One event, and nothing else: a refused transfer opens no account.
    assert await head_position(database) == before + 1
    position = int(answer.headers["Daybook-Position"])
    (event,) = [row for row in await outcomes(database, ledger.name) if row["key"] == "k"]
    assert (event["topic"], event["position"]) == ("transfer.rejected", position)
    assert str(event["id"]) == refused["transactionId"]

    await ledger.readable_at(str(position))
    answer_polled = await ledger.http.get(refused["pollUrl"])
    assert answer_polled.status_code == 200
    polled = answer_polled.json()
    assert (polled["status"], polled["result"]["code"]) == ("FAILED", case.code)
    assert polled["result"]["detail"] == refused["detail"]
    assert polled["result"]["id"] == refused["transactionId"]

    again = await ask(ledger, case, arranged)
    assert (again.status_code, again.json()) == (422, refused)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Daybook-Position"] == str(position)
    assert await head_position(database) == position


async def test_refusal_stays_even_when_its_reason_is_gone(ledger: Ledger) -> None:
    """The key was decided; money that comes later does not change it, a new key does."""
    refused = problem(await ledger.submit("k", source="wallet", destination="shop"), 422,
                      "insufficient_funds")  # fmt: skip
    await ledger.fund("wallet", "1000.00")
    again = await ledger.submit("k", source="wallet", destination="shop")
    assert problem(again, 422, "insufficient_funds") == refused
    assert (await ledger.submit("new", source="wallet", destination="shop")).status_code == 202


@pytest.mark.parametrize("overdraft, amount", [("none", b"100"), ("20.00", b"120")])
async def test_funds_may_be_used_to_the_last_cent(
    ledger: Ledger, overdraft: str, amount: bytes
) -> None:
    """The limit itself is allowed."""
    await funded(ledger)
    await change(ledger, "wallet", overdraft=overdraft)
    await ledger.posted(source="wallet", destination="shop", amount=amount)


async def test_unlimited_overdraft_has_no_limit(ledger: Ledger) -> None:
    """As the policy says."""
    await funded(ledger)
    await change(ledger, "wallet", overdraft="unlimited")
    result = await ledger.posted(source="wallet", destination="shop", amount=b"9" * 36)
    assert result["amount_minor"] == "9" * 36 + "00"


async def test_overdraft_limit_comes_back_as_it_may_be_sent(ledger: Ledger) -> None:
    """What the API says of a policy, it accepts as a policy: also for no overdraft at all."""
    for overdraft in ("none", "20.00", "unlimited"):
        body = {"account_id": f"account-{overdraft}", "overdraft": overdraft}
        opened = await ledger.http.post(f"{API}/accounts", json=body)
        assert opened.status_code == 201
        shown = opened.json()["overdraft"]
        again = await ledger.http.post(f"{API}/accounts", json=body | {"overdraft": shown})
        assert again.status_code == 200, again.text


async def test_amount_at_the_limit_is_taken(ledger: Ledger) -> None:
    """The limit of a class is the largest amount that is allowed."""
    await ledger.posted(destination="capped:1", amount=b"500.00")


async def test_frozen_account_thaws(ledger: Ledger) -> None:
    """Frozen is for now."""
    await with_status("wallet", "frozen")(ledger)
    await change(ledger, "wallet", status="open")
    await ledger.posted(**PAY)


ACCOUNTS = [
    (Code.ACCOUNT_EXISTS, "POST", "", {"account_id": "wallet", "currency": "EUR"}),
    (Code.ACCOUNT_EXISTS, "POST", "", {"account_id": "wallet", "overdraft": "5.00"}),
    (Code.ACCOUNT_NOT_FOUND, "PATCH", "/nobody", {"status": "frozen"}),
    (Code.CURRENCY_MISMATCH, "PATCH", "/wallet", {"overdraft": "5.00", "currency": "EUR"}),
    (Code.ACCOUNT_NOT_EMPTY, "PATCH", "/wallet", {"status": "closed"}),
    (Code.ACCOUNT_CLOSED, "PATCH", "/shut", {"status": "open"}),
]


@pytest.mark.parametrize("code, method, path, body", ACCOUNTS)
async def test_refusal_of_an_account_command(
    ledger: Ledger, database: Database, code: Code, method: str, path: str, body: dict[str, str]
) -> None:
    """Commands about accounts have no key, so their refusals leave no event."""
    await funded(ledger)
    opened = await ledger.http.post(f"{API}/accounts", json={"account_id": "shut"})
    assert opened.status_code == 201
    await change(ledger, "shut", status="closed")
    position = await head_position(database)
    answer = await ledger.http.request(method, f"{API}/accounts{path}", json=body)
    problem(answer, 422, code)
    assert await head_position(database) == position


def test_every_refusal_has_a_case() -> None:
    """A new code cannot be forgotten here, and the tables keep the order of precedence."""
    codes = [case.code for case in KEYED]
    here = {*codes, *(row[0] for row in ACCOUNTS)}
    elsewhere = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert {code for code in Code if code not in here and f'"{code}"' not in elsewhere} == set()
    order = list(Code)
    assert codes == sorted(codes, key=order.index)
