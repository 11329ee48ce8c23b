"""Many in one request: each alone, or all or none; and bounded, whatever is sent."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from daybook.embedded.up import Service
from daybook.settings import Settings
from tests.acceptance.command_driver import (
    BATCH,
    NDJSON,
    balance,
    batch,
    item,
    lines,
    results,
)
from tests.acceptance.driver import (
    READABLE,
    SUBMIT,
    Database,
    Ledger,
    head_position,
    outcomes,
    problem,
)

ITEMS_MAX = 10_000
BIG_BATCHES = 2
LINES_A_PIECE = 100
GROWTH_BYTES_MAX = 64 * 2**20
DEFAULTS = Settings(database_url="", cache_url="", queue_url="")
Item = dict[str, Any]
Send = Callable[[Ledger, Sequence[Item]], Awaitable[httpx.Response]]


async def as_json(ledger: Ledger, items: Sequence[Item]) -> httpx.Response:
    """Submit a JSON array."""
    return await batch(ledger, items)


async def as_lines(ledger: Ledger, items: Sequence[Item]) -> httpx.Response:
    """Submit one object a line."""
    return await ledger.http.post(BATCH, content=lines(items), headers={**NDJSON, **READABLE})


def mixed() -> list[Item]:
    """Return what is accepted, refused, accepted, and cannot be read."""
    return [
        item("in", destination="wallet", amount=b"10.00"),
        item("over", source="wallet", destination="shop", amount=b"10.01"),
        item("out", source="wallet", destination="shop", amount=b"10.00"),
        {"transaction": {"source_account_id": "a"}, "idempotencyKey": "unreadable"},
        item("in", destination="wallet", amount=b"10.00"),
        item("in", destination="wallet", amount=b"99.00"),
    ]


# --- each alone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [as_json, as_lines])
async def test_each_item_is_answered_in_its_place(ledger: Ledger, send: Send) -> None:
    """Accepted on top of those before it, refused, not readable, done before, or key misused."""
    found = results(await send(ledger, mixed()))
    assert [each["index"] for each in found] == list(range(6))
    assert [(each["status"], each.get("code")) for each in found] == [
        ("ACCEPTED", None),
        ("REFUSED", "insufficient_funds"),
        ("ACCEPTED", None),
        ("INVALID", "body_invalid"),
        ("ACCEPTED", None),
        ("REFUSED", "idempotency_key_reused"),
    ]
    assert [each.get("replayed", False) for each in found] == [False] * 4 + [True, False]
    assert found[4]["messageId"] == found[0]["messageId"]
    assert (await balance(ledger, "shop"))["balance"] == "1000"


@pytest.mark.parametrize("send", [as_json, as_lines])
async def test_retried_batch_changes_nothing(
    ledger: Ledger, database: Database, send: Send
) -> None:
    """Accepted ones are replayed where they stand, refused ones are refused again."""
    first = results(await send(ledger, mixed()))
    position = await head_position(database)
    again = results(await send(ledger, mixed()))
    assert await head_position(database) == position
    accepted = [each for each in again if each["status"] == "ACCEPTED"]
    assert all(each.pop("replayed") for each in accepted)
    first[4].pop("replayed")
    assert again == first


async def test_batch_and_single_submission_share_their_keys(ledger: Ledger) -> None:
    """A key means the same wherever it comes from."""
    await ledger.posted("k", amount=b"5.00")
    (found,) = results(await batch(ledger, [item("k", amount=b"5.00")]))
    assert found["replayed"] is True
    await batch(ledger, [item("b", amount=b"6.00")])
    single = await ledger.submit("b", amount=b"6.00")
    assert single.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("send", [as_json, as_lines])
async def test_ten_thousand_are_taken_in_order(ledger: Ledger, send: Send) -> None:
    """The largest batch, each on top of those before it."""
    items = [item(f"k{number}", amount=b"0.01") for number in range(ITEMS_MAX)]
    found = results(await send(ledger, items))
    assert [each["index"] for each in found] == list(range(ITEMS_MAX))
    assert [each["idempotencyKey"] for each in found] == [f"k{n}" for n in range(ITEMS_MAX)]
    positions = [each["position"] for each in found]
    assert positions == sorted(set(positions))
    assert (await balance(ledger, "wallet"))["balance"] == str(ITEMS_MAX)


@pytest.mark.parametrize("mode", ["independent", "atomic"])
async def test_one_more_than_ten_thousand_is_too_large(
    ledger: Ledger, database: Database, mode: str
) -> None:
    """As an array it is refused as a whole."""
    position = await head_position(database)
    items = [item(f"k{number}", amount=b"0.01") for number in range(ITEMS_MAX + 1)]
    problem(await batch(ledger, items, mode), 413, "batch_too_large")
    assert await head_position(database) == position


async def test_line_beyond_ten_thousand_is_too_large(ledger: Ledger) -> None:
    """What came before it was read as it came; a retry of fewer lines is safe."""
    items = [item(f"k{number}", amount=b"0.01") for number in range(ITEMS_MAX + 1)]
    problem(await as_lines(ledger, items), 413, "batch_too_large")
    found = results(await as_lines(ledger, items[:ITEMS_MAX]))
    assert Counter(each["status"] for each in found) == {"ACCEPTED": ITEMS_MAX}
    assert (await balance(ledger, "wallet"))["balance"] == str(ITEMS_MAX)


async def test_follow_up_of_a_batchs_item(ledger: Ledger) -> None:
    """An item is a transaction like any other: it can be refunded."""
    (found,) = results(await batch(ledger, [item(amount=b"5.00")]))
    answer = await ledger.http.post(
        f"{SUBMIT}/{found['messageId']}/refund", json={"idempotencyKey": "r"}
    )
    assert answer.status_code == 202


# --- all or none --------------------------------------------------------------------------------


def chain() -> list[Item]:
    """Return three that need each other: money comes in, and goes on twice."""
    return [
        item("in", destination="wallet", amount=b"10.00"),
        item("on", source="wallet", destination="shop", amount=b"10.00"),
        item("away", source="shop", destination="elsewhere", amount=b"4.00"),
    ]


async def test_atomic_batch_is_decided_as_a_whole(ledger: Ledger, database: Database) -> None:
    """Each sees what those before it did, and all are in the log side by side."""
    found = results(await batch(ledger, chain(), "atomic"))
    assert [each["status"] for each in found] == ["ACCEPTED"] * 3
    assert [row["key"] for row in await outcomes(database, ledger.name)] == ["in", "on", "away"]
    assert (await balance(ledger, "shop"))["balance"] == "600"


async def test_refused_atomic_batch_leaves_nothing(ledger: Ledger, database: Database) -> None:
    """The first refusal is named by its index and key, and nothing of the batch is in the log."""
    position = await head_position(database)
    items = [*chain(), item("over", source="shop", amount=b"6.01"), item("k", source="poor")]
    refused = problem(await batch(ledger, items, "atomic"), 422, "insufficient_funds")
    assert (refused["index"], refused["idempotencyKey"]) == (3, "over")
    assert await head_position(database) == position
    problem(await ledger.http.get("/api/v1/accounts/wallet/balance"), 404, "account_not_found")
    # Nothing was used up: mended, it goes through under the same keys.
    items[3] = item("over", source="shop", amount=b"6.00")
    found = results(await batch(ledger, items[:4], "atomic"))
    assert [each["status"] for each in found] == ["ACCEPTED"] * 4
    assert not any("replayed" in each for each in found)


async def test_unreadable_item_of_an_atomic_batch_is_named(
    ledger: Ledger, database: Database
) -> None:
    """By its index; nothing is decided."""
    position = await head_position(database)
    broken = {"transaction": {}, "idempotencyKey": "k"}
    answer = await batch(ledger, [*chain(), broken], "atomic")
    assert problem(answer, 400, "body_invalid")["index"] == 3
    assert await head_position(database) == position


async def test_retried_atomic_batch_is_replayed(ledger: Ledger, database: Database) -> None:
    """The same results again, and nothing new."""
    first = results(await batch(ledger, chain(), "atomic"))
    position = await head_position(database)
    again = results(await batch(ledger, chain(), "atomic"))
    assert await head_position(database) == position
    assert all(each.pop("replayed") for each in again)
    assert again == first


async def test_atomic_batch_takes_a_key_once(ledger: Ledger, database: Database) -> None:
    """The same command twice counts once; two commands of one key refuse the batch."""
    twice = [item("k", amount=b"1.00"), item("k", amount=b"1.00")]
    found = results(await batch(ledger, twice, "atomic"))
    assert [each.get("replayed", False) for each in found] == [False, True]
    assert (await balance(ledger, "wallet"))["balance"] == "100"
    position = await head_position(database)
    two = [item("j", amount=b"1.00"), item("j", amount=b"2.00")]
    answer = await batch(ledger, two, "atomic")
    assert problem(answer, 422, "idempotency_key_reused")["index"] == 1
    assert await head_position(database) == position


async def test_key_that_was_refused_before_refuses_an_atomic_batch(ledger: Ledger) -> None:
    """A refusal stays the answer for its key."""
    problem(await ledger.submit("k", source="wallet", destination="shop", amount=b"5"), 422,
            "insufficient_funds")  # fmt: skip
    items = [
        item(destination="wallet", amount=b"5"),
        item("k", source="wallet", destination="shop", amount=b"5"),
    ]
    answer = await batch(ledger, items, "atomic")
    assert problem(answer, 422, "insufficient_funds")["index"] == 1


async def test_ten_thousand_at_once(ledger: Ledger, database: Database) -> None:
    """The largest atomic batch is one commit; with one bad item at its end, it is nothing."""
    items = [item(f"k{number}", amount=b"0.01") for number in range(ITEMS_MAX - 1)]
    position = await head_position(database)
    bad = item("bad", source="poor", amount=b"0.01")
    refused = problem(await batch(ledger, [*items, bad], "atomic"), 422, "insufficient_funds")
    assert refused["index"] == ITEMS_MAX - 1
    assert await head_position(database) == position
    found = results(await batch(ledger, items, "atomic"))
    assert len({each["position"] for each in found}) == ITEMS_MAX - 1
    assert (await balance(ledger, "wallet"))["balance"] == str(ITEMS_MAX - 1)


async def test_atomic_batches_at_once_spend_the_money_of_one(ledger: Ledger) -> None:
    """Each takes all of it, in halves: one wins, and nobody gets a half."""
    await ledger.fund("wallet", "10.00")

    async def spend(number: int) -> httpx.Response:
        shop = f"shop-{number}"
        halves = [item(source="wallet", destination=shop, amount=b"5.00") for _ in range(2)]
        return await batch(ledger, halves, "atomic")

    answers = await asyncio.gather(*(spend(number) for number in range(8)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 422: 7}
    assert (await balance(ledger, "wallet"))["balance"] == "0"


# --- what is not a batch ------------------------------------------------------------------------


async def test_empty_batch(ledger: Ledger) -> None:
    """Nothing, each alone, is nothing; nothing, all or none, is a mistake."""
    assert results(await batch(ledger, [])) == []
    assert results(await as_lines(ledger, [])) == []
    problem(await batch(ledger, [], "atomic"), 400, "batch_empty")


@pytest.mark.parametrize(
    "query, content, code",
    [
        ("mode=both", b"[]", "mode_invalid"),
        ("mode=", b"[]", "mode_invalid"),
        ("dry_run=yes", b"[]", "dry_run_invalid"),
        ("", b"", "body_not_json"),
        ("", b"[", "body_not_json"),
        ("", b"[{}] x", "body_not_json"),
        ("", b"{}", "body_invalid"),
        ("", b"null", "body_invalid"),
    ],
)
async def test_body_that_is_no_batch(ledger: Ledger, query: str, content: bytes, code: str) -> None:
    """It says what is wrong."""
    problem(await ledger.http.post(f"{BATCH}?{query}", content=content), 400, code)


@pytest.mark.parametrize("broken", [b"{", b"null", b"[]", b"\xff", b'{"a": 1}'])
async def test_broken_line_does_not_touch_the_others(ledger: Ledger, broken: bytes) -> None:
    """It is answered in its place. Blank lines are none, and the last needs no end."""
    good = msgspec.json.encode(item("k"))
    content = b"\n" + broken + b"\r\n\n" + good
    answer = await ledger.http.post(BATCH, content=content, headers=NDJSON)
    found = results(answer, 202)
    assert [each["status"] for each in found] == ["INVALID", "ACCEPTED"]
    assert [each["index"] for each in found] == [0, 1]


@pytest.mark.parametrize("lines", [False, True])
async def test_a_repeated_member_is_refused_in_its_item_alone(ledger: Ledger, lines: bool) -> None:  # noqa: FBT001
    """The last of them would count, and the client may have meant the first."""
    good = msgspec.json.encode(item("k"))
    twice = good.replace(b'"amount":', b'"amount":1,"amount":', 1)
    assert twice != good
    content = twice + b"\n" + good if lines else b"[" + twice + b", " + good + b"]"
    headers = NDJSON if lines else {}
    found = results(await ledger.http.post(BATCH, content=content, headers=headers), 202)
    assert [each["status"] for each in found] == ["INVALID", "ACCEPTED"]
    assert found[0]["code"] == "member_repeated"


async def test_too_large_body_is_refused(ledger: Ledger) -> None:
    """A JSON body has a bound."""
    content = b"[" + b" " * DEFAULTS.batch_body_bytes_max + b"]"
    problem(await ledger.http.post(BATCH, content=content), 413, "body_too_large")


@pytest.mark.parametrize("mode", ["independent", "atomic"])
async def test_too_long_line_is_refused(ledger: Ledger, mode: str) -> None:
    """However it is cut into pieces on its way."""
    long = b'"' + b"x" * (3 * DEFAULTS.body_bytes_max) + b'"'
    answer = await ledger.http.post(f"{BATCH}?mode={mode}", content=long, headers=NDJSON)
    problem(answer, 413, "body_too_large")


async def test_too_long_item_of_an_array_is_answered_in_its_place(ledger: Ledger) -> None:
    """An array is read as a whole, so the others are not touched."""
    long = item("long", description="x" * DEFAULTS.body_bytes_max)
    found = results(await batch(ledger, [item("a"), long, item("b")]))
    assert [each["status"] for each in found] == ["ACCEPTED", "INVALID", "ACCEPTED"]
    assert found[1]["code"] == "body_too_large"


# --- memory -------------------------------------------------------------------------------------


def padded() -> Iterator[bytes]:
    """Yield a batch of 40 MB, mostly space, some lines at a time."""
    padding = b" " * 4_000 + b"\n"
    for _ in range(ITEMS_MAX // LINES_A_PIECE):
        piece = [msgspec.json.encode(item(amount=b"0.01")) for _ in range(LINES_A_PIECE)]
        yield padding.join([*piece, b""])


async def streamed(ledger: Ledger) -> httpx.Response:
    """Submit a big batch as it is made."""

    async def content() -> AsyncIterator[bytes]:
        for piece in padded():
            yield piece

    return await ledger.http.post(BATCH, content=content(), headers=NDJSON)


async def test_big_batches_do_not_grow_the_process(service: Service, ledger: Ledger) -> None:
    """40 MB of lines at a time need neither 40 MB, nor more from batch to batch."""
    api = psutil.Process(service.pids()["api"])
    results(await streamed(ledger), 202)
    before = api.memory_info().rss
    highest = before
    for _ in range(BIG_BATCHES):
        sending = asyncio.create_task(streamed(ledger))
        while not sending.done():
            highest = max(highest, api.memory_info().rss)
            await asyncio.sleep(0.02)
        results(await sending, 202)
    assert highest - before < GROWTH_BYTES_MAX
