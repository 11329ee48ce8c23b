"""Under a flood, over HTTP: who is turned away, when, and how; and that nobody else is.

Connections are raw, to send half a request and to see what comes back of it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import pytest

from daybook.embedded import servers
from daybook.processes.serve import application
from daybook.processes.side import ServedSide
from runtime.problems import Unavailable
from tests.integration import fixtures
from tests.patience import patient_s
from web import tokens
from web.server import served

LEDGERS = ("flood", "quiet")
SUBMIT = "POST /api/v1/transactions"
HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"


class Answered(NamedTuple):
    """An answer, as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)

    async def answer(self) -> Answered:
        """Return the next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): text for name, text in (line.split(": ") for line in lines)}
        body = await self._reader.readexactly(int(headers["content-length"]))
        return Answered(int(status.split()[1]), headers, json.loads(body))


Connect = Callable[[], Any]


class Serving(NamedTuple):
    """A command side that is being served."""

    connect: Connect
    state: Any


@asynccontextmanager
async def serving(database_url: str, cache_url: str, **changes: Any) -> AsyncIterator[Serving]:  # noqa: ANN401
    """Serve the command side, to tokens named as their ledgers."""
    async with fixtures.connected(database_url) as database:
        for ledger in LEDGERS:
            await tokens.add_token(database, ledger, {ledger}, ["write"], ledger)
    port = servers.free_port()
    settings = fixtures.settings(database_url, cache_url, refusal_held_s=0.1, **changes)
    app = application(settings, ServedSide.COMMAND)
    async with served(app, servers.LOOPBACK, port), AsyncExitStack() as stack:
        async with asyncio.timeout(patient_s(10)):
            while not await answers(port):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.01)

        async def connect() -> Client:
            client = Client(*await asyncio.open_connection(servers.LOOPBACK, port))
            stack.callback(client.writer.close)
            return client

        yield Serving(connect, app.state)


async def answers(port: int) -> bool:
    """Return whether somebody listens there already."""
    try:
        _, writer = await asyncio.open_connection(servers.LOOPBACK, port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def submission(ledger: str, key: str, what: str = SUBMIT, more: str = "") -> tuple[bytes, bytes]:
    """Return the head and the body of a transfer."""
    transfer = {"source_account_id": "world", "destination_account_id": "alice", "amount": "1.00"}
    body = json.dumps({"transaction": {**transfer, "currency": "USD"}, "idempotencyKey": key})
    head = (
        f"{what} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ledger}\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body.encode()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that is about to be so."""
    async with asyncio.timeout(patient_s(10)):
        while not true():  # noqa: ASYNC110 - what is asked tells nobody when it changes
            await asyncio.sleep(0.01)


def has_room(serving: Serving, ledger: str) -> bool:
    """Return whether the writer lets a request of `ledger` in."""
    try:
        serving.state.command_side.writer.check_room(ledger)
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize(
    "what",
    [SUBMIT, f"{SUBMIT}?dry_run=false", f"{SUBMIT}/batch", "POST /api/v1/accounts"],
)
async def test_a_flooding_ledger_is_turned_away_before_its_body_is_read(
    database_url: str, cache_url: str, what: str
) -> None:
    """On its head alone, while another ledger's transfer is let in and done; then it may again."""
    async with serving(database_url, cache_url, ledger_waiting_commands_max=1) as served:
        in_hand, waits, refused, quiet = [await served.connect() for _ in range(4)]
        warming_up = await served.connect()
        warming_up.send(b"".join(submission("flood", "k0")))
        assert (await warming_up.answer()).status == 202
        async with fixtures.held_head(database_url):
            in_hand.send(b"".join(submission("flood", "k1")))
            await fixtures.kept_waiting(database_url)
            waits.send(b"".join(submission("flood", "k2")))
            await until(lambda: not has_room(served, "flood"))
            head, body = submission("flood", "k3", what)
            refused.send(head)
            answer = await refused.answer()
            assert (answer.status, answer.body["code"]) == (503, "too_many_waiting")
            assert answer.headers["content-type"] == "application/problem+json"
            assert 1 <= int(answer.headers["retry-after"]) <= 30
            # The body that comes after all is dropped, and the connection is good for more.
            refused.send(body + HEALTH)
            assert (await refused.answer()).body["status"] == "OK"
            assert has_room(served, "quiet")
            quiet.send(b"".join(submission("quiet", "k1")))
        answers = [await client.answer() for client in (in_hand, waits, quiet)]
        assert [each.status for each in answers] == [202] * 3
        refused.send(b"".join(submission("flood", "k3")))
        assert (await refused.answer()).status == 202


@pytest.mark.parametrize("body, status", [(b"[]", None), (b"[{}]", "INVALID")])
async def test_a_dry_run_with_nothing_to_decide_waits_for_nobody(
    database_url: str, cache_url: str, body: bytes, status: str | None
) -> None:
    """It takes no place in the line, where nobody would come for it."""
    async with serving(database_url, cache_url) as served:
        busy, asked = [await served.connect() for _ in range(2)]
        async with fixtures.held_head(database_url):
            busy.send(b"".join(submission("flood", "k0")))
            await fixtures.kept_waiting(database_url)
            asked.send(
                b"POST /api/v1/transactions/batch?dry_run=true HTTP/1.1\r\nHost: x\r\n"
                b"Authorization: Bearer flood\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            answer = await asked.answer()
        assert answer.status == 200, answer.body
        assert [result["status"] for result in answer.body["results"]] == (
            [status] if status else []
        )
        assert (await busy.answer()).status == 202


async def test_a_flood_changes_nothing_about_who_is_asked_first(
    database_url: str, cache_url: str
) -> None:
    """A stranger is a stranger; who only asks what would be decided waits in the same line."""
    async with serving(database_url, cache_url, waiting_commands_max=1) as served:
        clients = [await served.connect() for _ in range(3)]
        async with fixtures.held_head(database_url):
            clients[0].send(b"".join(submission("flood", "k0")))
            await fixtures.kept_waiting(database_url)
            clients[1].send(b"".join(submission("flood", "k1")))
            await until(lambda: not has_room(served, "quiet"))
            asked = clients[2]
            asked.send(b"".join(submission("nobody", "k2")))
            assert (await asked.answer()).body["code"] == "token_unknown"
            asked.send(b"".join(submission("flood", "k2", f"{SUBMIT}?dry_run=true")))
            assert (await asked.answer()).body["code"] == "too_many_waiting"
            asked.send(b"".join(submission("flood", "k2", more="Connection: close\r\n")))
            assert (await asked.answer()).body["code"] == "too_many_waiting"
