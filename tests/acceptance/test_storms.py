"""Many requests at once through two API processes: one effect and one answer for each key."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from daybook.embedded.up import Service
from tests.acceptance.driver import (
    API,
    OUTCOMES,
    Database,
    Ledger,
    client,
    flush_cache,
    is_again,
    is_ready,
    new_key,
    opened_ledger,
    outcomes,
    paused,
    problem,
    projected,
    second_api,
    until,
)

pytestmark = pytest.mark.xdist_group("mortal")

SUBMITTERS = 64
WRITERS, WRITES = 16, 25
TAIL_PAGE = 64
FLUSH_EVERY_S = 0.003

Weather = Callable[[Service], AbstractAsyncContextManager[None]]


@pytest.fixture(scope="module")
async def urls(mortal: Service) -> AsyncIterator[tuple[str, str]]:
    """Run a second API process."""
    async with second_api(mortal) as url:
        yield (mortal.url, url)


@pytest.fixture
async def onlooker(mortal: Service) -> AsyncIterator[Database]:
    """Connect to the database as an observer."""
    connection = await asyncpg.connect(mortal.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def twins(mortal: Service, urls: tuple[str, str]) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Open one fresh ledger through each of the two API processes."""
    async with opened_ledger(mortal) as one, client(urls[1], one.token) as http:
        await asyncio.gather(one.fund("wallet", "1000000"), http.get(f"{API}/transactions"))
        yield one, Ledger(one.name, one.token, http)


async def storm(
    twins: tuple[Ledger, Ledger],
    keys: Sequence[str],
    **fields: Any,  # noqa: ANN401
) -> dict[str, list[httpx.Response]]:
    """Submit each key 64 times at once, alternately through both processes."""
    answers = await asyncio.gather(
        *(twins[number % 2].submit(key, **fields) for key in keys for number in range(SUBMITTERS))
    )
    return {
        key: answers[place * SUBMITTERS : (place + 1) * SUBMITTERS]
        for place, key in enumerate(keys)
    }


async def check_one_effect(
    onlooker: Database,
    ledger: Ledger,
    stormed: dict[str, list[httpx.Response]],
    status: int,
) -> None:
    """Every key is in the log once; its answers are equal, and all but one are replays."""
    in_log = Counter(row["key"] for row in await outcomes(onlooker, ledger.name))
    for key, answers in stormed.items():
        assert in_log[key] == 1
        assert {answer.status_code for answer in answers} == {status}, answers[0].text
        assert len({answer.content for answer in answers}) == 1
        assert len({answer.headers["Daybook-Position"] for answer in answers}) == 1
        firsts = [a for a in answers if a.headers.get("Idempotent-Replayed") != "true"]
        assert len(firsts) == 1


@asynccontextmanager
async def nothing_happens(_: Service) -> AsyncIterator[None]:
    """Do nothing to Valkey."""
    yield


@asynccontextmanager
async def flushed(service: Service) -> AsyncIterator[None]:
    """Empty Valkey repeatedly."""

    async def flushing() -> None:
        while True:
            await flush_cache(service)
            await asyncio.sleep(FLUSH_EVERY_S)

    task = asyncio.create_task(flushing())
    try:
        yield
    finally:
        task.cancel()
        ended = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError), ended


@asynccontextmanager
async def standing_still(service: Service) -> AsyncIterator[None]:
    """Let Valkey accept connections and never answer."""
    with paused(service.pids()["valkey"]):
        yield


@asynccontextmanager
async def killed(service: Service) -> AsyncIterator[None]:
    """Kill Valkey now and in the middle; the supervisor restarts it each time."""

    async def killing() -> None:
        await asyncio.sleep(0.05)
        first = service.pids()["valkey"]
        os.kill(first, signal.SIGKILL)
        await asyncio.sleep(0.4)
        await until(lambda: is_again(service, "valkey", first), "Valkey is started again")
        os.kill(service.pids()["valkey"], signal.SIGKILL)

    task = asyncio.create_task(killing())
    yield
    await task
    await until(lambda: is_ready(service.url), "Valkey is back")


@pytest.mark.parametrize("valkey", [nothing_happens, flushed, standing_still, killed])
async def test_one_key_has_one_effect_and_one_answer(
    mortal: Service, onlooker: Database, twins: tuple[Ledger, Ledger], valkey: Weather
) -> None:
    """64 clients submit each of 4 keys through two processes, whatever Valkey does."""
    keys = [new_key() for _ in range(4)]
    async with valkey(mortal):
        stormed = await storm(twins, keys, source="wallet", destination="shop", amount=b"1.00")
    await check_one_effect(onlooker, twins[0], stormed, 202)
    position = max(int(answers[0].headers["Daybook-Position"]) for answers in stormed.values())
    await twins[0].readable_at(str(position))
    balance = await twins[0].get("/accounts/shop/balance")
    assert balance["credits_posted_minor"] == "400"


@pytest.mark.parametrize("valkey", [nothing_happens, flushed])
async def test_one_refusal_is_refused_once(
    mortal: Service, onlooker: Database, twins: tuple[Ledger, Ledger], valkey: Weather
) -> None:
    """A refusal is an effect, too: one event, and the same 422 for every client."""
    async with valkey(mortal):
        stormed = await storm(twins, [new_key()], source="empty", destination="shop")
    await check_one_effect(onlooker, twins[0], stormed, 422)


async def test_one_key_for_two_commands_lets_one_win(
    onlooker: Database, twins: tuple[Ledger, Ledger]
) -> None:
    """Both processes decide at once: the first command is kept, all others are refused."""
    key = new_key()
    answers = await asyncio.gather(
        *(
            twins[number % 2].submit(key, amount=b"1" if number % 2 else b"2")
            for number in range(SUBMITTERS)
        )
    )
    (event,) = [row for row in await outcomes(onlooker, twins[0].name) if row["key"] == key]
    accepted = [answer for answer in answers if answer.status_code == 202]
    assert len(accepted) == SUBMITTERS // 2
    assert {answer.json()["messageId"] for answer in accepted} == {str(event["id"])}
    for answer in answers:
        if answer.status_code != 202:
            problem(answer, 422, "idempotency_key_reused")


async def test_the_last_money_is_spent_once(
    onlooker: Database, twins: tuple[Ledger, Ledger]
) -> None:
    """Two processes spend one balance with different keys: only covered transfers succeed."""
    await twins[0].fund("purse", "10.00")
    answers = await asyncio.gather(
        *(
            twins[number % 2].submit(new_key(), source="purse", amount=b"1.00")
            for number in range(SUBMITTERS)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {202: 10, 422: SUBMITTERS - 10}
    await until(lambda: projected(onlooker), "the projector catches up")
    assert (await twins[0].get("/accounts/purse/balance"))["balance"] == "0.00"


async def test_tail_of_the_log_skips_nothing_under_concurrent_writers(
    mortal: Service, onlooker: Database, twins: tuple[Ledger, Ledger]
) -> None:
    """A reader by position alone sees every event once, in order, while 16 writers append."""
    start = await onlooker.fetchval("SELECT position FROM events.head")
    seen: list[int] = []
    done = asyncio.Event()

    async def tail() -> None:
        position = start
        while True:
            last_round = done.is_set()
            rows = await onlooker.fetch(
                "SELECT notification_id FROM events.daybook_events "
                "WHERE notification_id > $1 ORDER BY notification_id LIMIT $2",
                position, TAIL_PAGE,
            )  # fmt: skip
            seen.extend(row["notification_id"] for row in rows)
            position = seen[-1] if seen else start
            if last_round and not rows:
                return
            await asyncio.sleep(0.002)

    async def write(number: int) -> list[tuple[str, httpx.Response]]:
        written: list[tuple[str, httpx.Response]] = []
        for _ in range(WRITES):
            key = new_key()
            # Every fifth is refused: refusals take positions, too.
            source = "external:usd" if len(written) % 5 else "empty"
            answer = await twins[number % 2].submit(key, source=source, amount=b"1")
            written.append((key, answer))
        return written

    async with AsyncExitStack() as stack:
        stack.callback(done.set)
        tailing = asyncio.create_task(tail())
        written = await asyncio.gather(*(write(number) for number in range(WRITERS)))
    await tailing

    head = await onlooker.fetchval("SELECT position FROM events.head")
    assert seen == list(range(start + 1, head + 1))
    answers = dict(pair for pairs in written for pair in pairs)
    assert len(answers) == WRITERS * WRITES
    assert {answer.status_code for answer in answers.values()} == {202, 422}
    in_log = {row["key"]: row["position"] for row in await onlooker.fetch(OUTCOMES, twins[0].name)}
    assert {key: in_log[key] for key in answers} == {
        key: int(answer.headers["Daybook-Position"]) for key, answer in answers.items()
    }
    keys = Counter(row["key"] for row in await outcomes(onlooker, twins[0].name))
    assert {keys[key] for key in answers} == {1}
