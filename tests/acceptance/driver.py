"""Drive the running program from outside, as a client, an operator and an observer.

A `Ledger` is a client with a token. The tests act through HTTP, the command line and signals; they
read the log directly from PostgreSQL.
"""

import asyncio
import json
import os
import signal
import ssl
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import msgspec

from daybook.embedded import servers
from daybook.embedded.up import Service
from daybook.processes.serve import application
from daybook.processes.side import ServedSide
from daybook.settings import Settings
from tests.patience import patient_s
from web import tokens

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

API = "/api/v1"
ROOT = Path(__file__).resolve().parent.parent.parent
SCOPES = ("read", "write", "reconcile")
SUBMIT = f"{API}/transactions"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
NOBODY_ANSWERS = "http://127.0.0.1:9"
READABLE = {"Prefer": "wait=20"}
REQUEST_S_MAX = 30.0
WAIT_S_MAX = 30.0
COMMAND_S_MAX = 60.0
POLL_S = 0.05
# No server here speaks TLS. One context for all clients saves 25 ms each, which reading CAs takes.
TLS = ssl.create_default_context()
OUTCOMES = """
    SELECT notification_id AS position, originator_id AS id, topic, data ->> 'key' AS key
    FROM (
        SELECT notification_id, originator_id, topic, convert_from(state, 'UTF8')::jsonb AS data
        FROM events.daybook_events
    ) AS log
    WHERE data ->> 'ledger' = $1 AND topic LIKE 'transfer.%'
    ORDER BY notification_id
"""


class Route(NamedTuple):
    """An operation: its method, and its path below the API or the root."""

    method: str
    path: str

    def __str__(self) -> str:
        """Return the method and the path, as in the documentation."""
        return f"{self.method} {self.path}"


class Number(str):
    """The text of a JSON number in an answer, digit by digit; JSON strings stay plain `str`."""

    __slots__ = ()


class Ledger(NamedTuple):
    """A client of one ledger, with its token."""

    name: str
    token: str
    http: httpx.AsyncClient

    async def submit(self, key: str | None, /, **fields: Any) -> httpx.Response:  # noqa: ANN401
        """Submit a transfer; all fields but `headers` are the transaction's."""
        headers = fields.pop("headers", {})
        body: dict[str, Any] = {"transaction": transfer(**fields)}
        if key is not None:
            body["idempotencyKey"] = key
        return await self.http.post(SUBMIT, content=msgspec.json.encode(body), headers=headers)

    async def posted(self, key: str | None = None, /, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        """Submit a transfer that must succeed, wait until it is readable, return its result."""
        answer = await self.submit(key or new_key(), headers=READABLE, **fields)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = exact(answer)["result"]
        return result

    async def fund(self, account_id: str, amount: str = "1000.00", currency: str = "USD") -> None:
        """Fund an account from an external one."""
        source = f"external:{currency.lower()}"
        await self.posted(source=source, destination=account_id, amount=amount, currency=currency)

    async def get(self, path: str, status: int = 200, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return the answer of GET `path`, with fractional numbers as text."""
        answer = await self.http.get(f"{API}{path}", **options)
        assert answer.status_code == status, answer.text
        return exact(answer)

    async def post(
        self, path: str, body: dict[str, Any] | None = None, status: int = 200
    ) -> dict[str, Any]:
        """Return the answer of POST `path`, with fractional numbers as text."""
        answer = await self.http.post(f"{API}{path}", json=body)
        assert answer.status_code == status, answer.text
        return exact(answer)

    async def readable_at(self, position: str) -> None:
        """Wait until the read models are at `position`."""
        headers = {"Daybook-Min-Position": position, **READABLE}
        await self.get("/transactions?limit=1", headers=headers)


class Finished(NamedTuple):
    """The result of a command of the command line."""

    code: int
    out: str
    err: str


def routes() -> list[Route]:
    """Return every route of the program, each once; a new one is in by itself."""
    nowhere = Settings(database_url="", cache_url=NOBODY_ANSWERS, queue_url=NOBODY_ANSWERS)
    found = {
        Route(method, path.removeprefix(API).replace(":path}", "}"))
        for path, endpoint in application(nowhere, ServedSide.ALL).state.endpoints.items()
        for method in endpoint.methods
        if method not in ("HEAD", "OPTIONS")
    }
    return sorted(found)


def transfer(
    source: str = "external:usd",
    destination: str = "wallet",
    amount: object = msgspec.Raw(b"100.00"),
    **more: object,
) -> dict[str, Any]:
    """Return the `transaction` of a body; an `amount` of bytes is sent unchanged."""
    if isinstance(amount, bytes):
        amount = msgspec.Raw(amount)
    accounts = {"source_account_id": source, "destination_account_id": destination}
    return {**accounts, "amount": amount, **more}


def new_key() -> str:
    """Return a fresh idempotency key."""
    return f"key-{uuid4().hex}"


def exact(answer: httpx.Response) -> dict[str, Any]:
    """Return the body of an answer, with fractional numbers as their text."""
    body: dict[str, Any] = json.loads(answer.text, parse_float=Number)
    return body


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem document (RFC 9457) of an answer that must be one.

    The request's id is left out: it is the header's, and every request has another one.
    """
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body.pop("requestId", answer.headers["Request-Id"]) == answer.headers["Request-Id"]
    return body


@asynccontextmanager
async def opened_ledger(
    service: Service,
    scopes: Sequence[str] = SCOPES,
    name: str | None = None,
    also: Sequence[str] = (),
) -> AsyncIterator[Ledger]:
    """Make a token for a fresh ledger or for `name` (and for `also`); yield a client with it."""
    name, token = name or f"ledger-{uuid4().hex[:12]}", tokens.new_token()
    connection = await asyncpg.connect(service.database_url)
    try:
        await tokens.add_token(connection, token, {name, *also}, scopes, "acceptance test")
    finally:
        await connection.close()
    async with client(service.url, token) as http:
        yield Ledger(name, token, http)


def client(url: str, token: str | None = None) -> httpx.AsyncClient:
    """Return an HTTP client without proxies, with enough connections for a storm of requests."""
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=patient_s(REQUEST_S_MAX),
        limits=httpx.Limits(max_connections=128, max_keepalive_connections=128),
        trust_env=False,
        verify=TLS,
    )


async def head_position(database: Database) -> int:
    """Return the position of the last event."""
    position: int = await database.fetchval("SELECT position FROM events.head")
    return position


async def outcomes(database: Database, ledger: str) -> list[asyncpg.Record]:
    """Return position, id, topic and key of a ledger's transaction events, in order."""
    return await database.fetch(OUTCOMES, ledger)


async def until(
    true: Callable[[], Awaitable[bool]], what: str, within_s: float = WAIT_S_MAX
) -> None:
    """Wait for a condition, at most `within_s` on an idle machine."""
    deadline_s = time.monotonic() + patient_s(within_s)
    while not await true():
        assert time.monotonic() < deadline_s, f"not within {within_s:.0f} s, times patience: {what}"
        await asyncio.sleep(POLL_S)


async def is_again(service: Service, name: str, dead: int) -> bool:
    """Return whether the supervisor has restarted a process."""
    return service.pids()[name] != dead


async def projected(database: Database) -> bool:
    """Return whether the read models are at the end of the log."""
    row = await database.fetchrow(
        "SELECT h.position = c.position AS level FROM events.head AS h, events.checkpoints AS c "
        "WHERE c.reader = 'projector'"
    )
    return row is not None and bool(row["level"])


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stop one of our processes, and let it continue afterwards."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def environment(service: Service | None, **more: str) -> dict[str, str]:
    """Return the environment with which our programs find the servers of `service`."""
    foreign = ("AWS_", "PG", "DAYBOOK_")
    env = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    env |= servers.DUMMY_AWS | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    if service is not None:
        env |= {
            "DAYBOOK_DATABASE_URL": service.database_url,
            "DAYBOOK_CACHE_URL": service.cache_url,
            "DAYBOOK_QUEUE_URL": service.queue_url,
        }
    return env | more


@asynccontextmanager
async def started(
    *arguments: str, env: dict[str, str], cwd: Path = ROOT, errors: int | IO[bytes] = PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start `daybook arguments…`; end it if it still runs afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daybook", *arguments),
        env=env,
        cwd=cwd,
        stdout=PIPE,
        stderr=errors,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def run(*arguments: str, env: dict[str, str], cwd: Path = ROOT) -> Finished:
    """Run `daybook arguments…` to its end, within a bound."""
    async with (
        started(*arguments, env=env, cwd=cwd) as process,
        asyncio.timeout(patient_s(COMMAND_S_MAX)),
    ):
        out, err = await process.communicate()
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def second_api(service: Service) -> AsyncIterator[str]:
    """Run a second API process on the same servers; yield its URL."""
    port = servers.free_port()
    env = environment(service, DAYBOOK_PORT=str(port), DAYBOOK_LOG_LEVEL="ERROR")
    with (service.data / "logs" / "second-api.log").open("ab") as errors:
        async with started("serve", "all", env=env, errors=errors):
            url = f"http://{servers.LOOPBACK}:{port}"
            await until(lambda: is_ready(url), "the second API is ready")
            yield url


async def is_ready(url: str) -> bool:
    """Return whether GET /ready answers 200 and READY."""
    try:
        async with client(url) as http:
            answer = await http.get("/ready")
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json()["status"] == "READY"


async def flush_cache(service: Service) -> None:
    """Empty Valkey."""
    port = urlsplit(service.cache_url).port
    assert port is not None
    assert await servers.first_line(port, b"FLUSHALL\r\n") == b"+OK\r\n"
