"""A command's own answer and the read side's answer for it say the same."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from daybook.embedded import servers
from daybook.processes.serve import application
from daybook.processes.side import ServedSide
from daybook.settings import Settings
from projections.worker import Projector
from tests.integration import fixtures
from tests.integration.hostile_queue import GivenQueue
from tests.integration.requests import TLS, up
from tests.patience import patient_s
from web import tokens
from web.server import served

TOKEN = "a-token-for-tests"
WAIT = {"Prefer": "wait=20"}
TRANSFERS: list[dict[str, Any]] = [
    {"amount": 100.5},
    {"amount": "0.01", "description": "Grüße, 東京", "metadata": {"b": 1, "a": None, "c": True}},
    {"amount": "1e2", "currency": "JPY", "destination_account_id": "tokyo"},
    {"amount": "123456789012345678901234567890.12", "destination_account_id": "bank:big"},
    {"amount": "0.000000000000000001", "currency": "ETH", "destination_account_id": "ether"},
    {"amount": 1, "metadata": {"class_version": 2, "big": 10**30}},
    {"amount": 1, "metadata": {}, "description": ""},
]
KEYS = [
    "plain",
    "with/slash",
    "/leading",
    "trailing/",
    "two//slashes",
    "a?b=c#d",
    "per%cent%2F",
    "dots/../up",
    "~!@$&'()*+,;=:[]",
    "x" * 255,
]


async def test_waiting_for_the_result_gives_what_polling_gives(
    database_url: str, cache_url: str, queue_url: str
) -> None:
    """Whatever the transfer: the same JSON, to the last digit, and again when it is replayed."""
    async with _served(database_url, cache_url, queue_url) as client:
        for number, changes in enumerate(TRANSFERS):
            body = _body(f"k{number}", **changes)
            posted = await client.post("/transactions", content=json.dumps(body), headers=WAIT)
            assert posted.status_code == 200, posted.text
            polled = await client.get(f"/transactions/status/k{number}")
            assert polled.status_code == 200
            assert _exact(posted) == _exact(polled)
            again = await client.post("/transactions", content=json.dumps(body), headers=WAIT)
            assert again.headers["Idempotent-Replayed"] == "true"
            assert _exact(again) == _exact(polled)
            transaction = await client.get(f"/transactions/{_exact(polled)['result']['id']}")
            assert _exact(transaction) == _exact(polled)["result"] | {"related": []}


async def test_a_refund_s_answer_is_the_read_side_s(
    database_url: str, cache_url: str, queue_url: str
) -> None:
    """A refund is a transaction of its own, with the same shape."""
    async with _served(database_url, cache_url, queue_url) as client:
        posted = await client.post("/transactions", json=_body("k", amount=10), headers=WAIT)
        route = f"/transactions/{posted.json()['result']['id']}/refund"
        for key, amount in (("part", 4), ("rest", None)):
            body = {"idempotencyKey": key} | ({} if amount is None else {"amount": amount})
            refunded = await client.post(route, json=body, headers=WAIT)
            assert refunded.status_code == 200, refunded.text
            assert _exact(refunded) == _exact(await client.get(f"/transactions/status/{key}"))
        original = await client.get("/transactions/status/k")
        assert original.json()["result"]["refunded_minor"] == "1000"


async def test_a_replay_after_a_refund_is_still_the_first_answer(
    database_url: str, cache_url: str, queue_url: str
) -> None:
    """A retry gets the same answer again; what became of it since is the status route's to say."""
    async with _served(database_url, cache_url, queue_url) as client:
        body = _body("k", amount=10)
        posted = await client.post("/transactions", json=body, headers=WAIT)
        route = f"/transactions/{posted.json()['result']['id']}/refund"
        await client.post(route, json={"idempotencyKey": "back"}, headers=WAIT)
        again = await client.post("/transactions", json=body, headers=WAIT)
        assert _exact(again) == _exact(posted)


async def test_a_refusal_is_the_same_at_once_later_and_polled(
    database_url: str, cache_url: str, queue_url: str
) -> None:
    """422 with its code each time it is submitted, FAILED with the same code when it is polled."""
    async with _served(database_url, cache_url, queue_url) as client:
        body = _body("k", amount=10, source_account_id="poor")
        first, again = [
            await client.post("/transactions", json=body, headers=WAIT) for _ in range(2)
        ]
        assert first.status_code == again.status_code == 422
        assert first.json() == again.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        polled = await _polled(client, first.json()["pollUrl"])
        assert polled["status"] == "FAILED"
        for field in ("code", "detail"):
            assert polled["result"][field] == first.json()[field]
        assert polled["result"]["id"] == first.json()["transactionId"]


@pytest.mark.parametrize("key", KEYS)
async def test_every_key_that_is_accepted_can_be_polled(
    database_url: str, cache_url: str, queue_url: str, key: str
) -> None:
    """The poll URL in the answer leads to this transaction, whatever characters the key has."""
    async with _served(database_url, cache_url, queue_url) as client:
        accepted = await client.post("/transactions", json=_body(key, amount=1))
        assert accepted.status_code == 202, accepted.text
        assert accepted.json()["idempotencyKey"] == key
        polled = await _polled(client, accepted.json()["pollUrl"])
        assert (polled["status"], polled["idempotencyKey"]) == ("COMPLETED", key)
        assert polled["result"]["id"] == accepted.json()["messageId"]


async def test_sixty_four_submitters_of_one_key_get_one_answer(
    database_url: str, cache_url: str, queue_url: str
) -> None:
    """Through HTTP: one effect, one body, and all but one marked as replayed."""
    rng = random.Random(1)
    async with _served(database_url, cache_url, queue_url) as client:

        async def submitted() -> httpx.Response:
            await asyncio.sleep(rng.uniform(0, 0.05))
            return await client.post("/transactions", json=_body("k", amount=1))

        answers = await asyncio.gather(*(submitted() for _ in range(64)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.content for answer in answers}) == 1
        assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 63
        await _polled(client, answers[0].json()["pollUrl"])
        balance = await client.get("/accounts/alice/balance")
        assert balance.json()["balance_minor"] == "100"


def _body(key: str, **changes: object) -> dict[str, Any]:
    transaction: dict[str, object] = {
        "source_account_id": "world",
        "destination_account_id": "alice",
    } | changes
    # Each currency has a world of its own.
    if "currency" in changes:
        transaction["source_account_id"] = f"external:{changes['currency']}"
    return {"transaction": transaction, "idempotencyKey": key}


def _exact(response: httpx.Response) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON with its numbers as exact as they were sent."""
    return json.loads(response.text, parse_float=Decimal)


async def _polled(client: httpx.AsyncClient, url: str) -> Any:  # noqa: ANN401 - any JSON
    for _ in range(200):
        response = await client.get(client.base_url.copy_with(raw_path=url.encode()))
        if response.status_code != 202:
            assert response.status_code == 200, response.text
            return response.json()
        await asyncio.sleep(0.02)
    raise AssertionError(url)


@asynccontextmanager
async def _served(
    database_url: str, cache_url: str, queue_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve both sides over real HTTP, with a projector that follows the log."""
    settings = fixtures.settings(database_url, cache_url, queue_url)
    async with fixtures.connected(database_url) as connection:
        await tokens.add_token(connection, TOKEN, {"demo"}, ["admin"], "tests")
    port = servers.free_port()
    projecting = asyncio.create_task(_projecting(settings))
    try:
        async with (
            served(application(settings, ServedSide.ALL), servers.LOOPBACK, port),
            httpx.AsyncClient(
                base_url=f"http://{servers.LOOPBACK}:{port}/api/v1",
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=patient_s(30),
                verify=TLS,
            ) as client,
        ):
            await up(client)
            yield client
    finally:
        projecting.cancel()
        await asyncio.gather(projecting, return_exceptions=True)


async def _projecting(settings: Settings) -> None:
    worker = Projector(settings, GivenQueue().as_queue())
    try:
        while True:
            await worker.run_once()
            await asyncio.sleep(0.01)
    finally:
        await worker.close()
