"""Settings, commands, a log with many cases, and its read models, for the integration tests.

Everything is seeded: the same arguments give the same commands, so two databases can be compared.
"""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from command_side.domain.commands import (
    Cancel,
    Capture,
    ChangeAccount,
    CloseBooks,
    Command,
    Hold,
    OpenAccount,
    Part,
    Refund,
    Schedule,
    Settle,
    Transfer,
    Void,
)
from command_side.writer.commit import append_batch
from command_side.writer.idempotency import Idempotency
from command_side.writer.outcomes import Accepted, Outcome
from command_side.writer.writer import ROLE, Writer
from daybook.settings import Settings
from events import log
from events import schema as schemas
from events.types import EVENT_TYPES, Posting, Rate, Recorded, Status, transaction_id
from projections.worker import ROLE as PROJECTOR_ROLE
from projections.worker import apply
from runtime import database
from runtime.cache import Cache
from tests.patience import patient_s

# Nothing listens on port 1 of loopback: whoever connects is refused at once.
CLOSED_CACHE = "redis://127.0.0.1:1/0"
CLOSED_QUEUE = "http://127.0.0.1:1/000000000000/closed.fifo"
START = datetime(2026, 1, 30, 22, 0, tzinfo=UTC)
SCHEMA = schemas.load()
BIG = 10**38 - 1
READ_MODELS = (
    "SELECT * FROM read.accounts ORDER BY ledger, account_id",
    "SELECT * FROM read.balances ORDER BY ledger, account_id",
    "SELECT * FROM read.entries ORDER BY ledger, account_id, position, line",
    "SELECT * FROM read.transactions ORDER BY transaction_id",
    "SELECT * FROM read.standings ORDER BY transaction_id",
    "SELECT * FROM read.mentions ORDER BY ledger, account_id, position",
    "SELECT * FROM read.moments ORDER BY recorded_at",
    "SELECT * FROM read.books ORDER BY ledger",
)


WRITER_WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'daybook_writer' AND datname = current_database()
    AND wait_event_type = 'Lock'
"""


def settings(
    database_url: str,
    cache_url: str = CLOSED_CACHE,
    queue_url: str = CLOSED_QUEUE,
    **changes: Any,  # noqa: ANN401 - any setting
) -> Settings:
    """Return a process's settings, impatient ones; without a URL the server is away."""
    given = Settings(
        database_url=database_url,
        cache_url=cache_url,
        queue_url=queue_url,
        idle_poll_s=0.02,
        lag_s_max=10**9,  # The logs here are of long ago, and nobody publishes them.
        relay_interval_ms=0,
    )
    return dataclasses.replace(given, **changes)


def transfer(
    key: str,
    source: str = "world",
    destination: str = "alice",
    amount: int = 100,
    ledger: str = "demo",
    **more: Any,  # noqa: ANN401 - any field
) -> Transfer:
    """Return a transfer; without more said, one that cannot be refused."""
    currency = more.pop("currency", "USD")
    postings = (Posting(source, destination, amount, currency),)
    return Transfer(ledger=ledger, key=key, postings=postings, **more)


def several(*postings: tuple[str, str, int, str]) -> tuple[Posting, ...]:
    """Return postings of (source, destination, amount, currency)."""
    return tuple(
        Posting(source, destination, amount, currency)
        for source, destination, amount, currency in postings
    )


def refund(
    key: str,
    of: str,
    amount: int | None = None,
    ledger: str = "demo",
    currency: str | None = None,
) -> Refund:
    """Return a refund of the transaction with the key `of`: all that is left, or of its line 0."""
    parts = None if amount is None else (Part(0, amount, currency),)
    return Refund(ledger=ledger, key=key, about=transaction_id(ledger, of), parts=parts)


def rich_commands(seed: int = 1, count: int = 60) -> list[Command]:
    """Return commands of two ledgers that end in every kind of event and several refusals."""
    rng = random.Random(seed)
    commands: list[Command] = []
    for ledger in ("demo", "other"):
        commands += _opening(ledger)
    people = ["alice", "bob", "carol", "bank:main"]
    for number in range(count):
        ledger = rng.choice(("demo", "other"))
        source, destination = rng.sample(people, 2)
        key = f"r{number}"
        if number % 9 == 8:
            amount = rng.choice((None, 1, 10**9))
            commands.append(refund(key, f"r{number - rng.randint(1, 8)}", amount, ledger))
            continue
        amount = rng.choice((1, 99, 2_500, 60_000))
        note = rng.choice((None, "Grüße, 東京 🎉", 'quote " and \\ and "alice"'))
        commands.append(
            transfer(
                key, source, destination, amount, ledger, description=note, metadata=_notes(rng)
            )
        )
    commands += [
        ChangeAccount(ledger="demo", account_id="bob", status=Status.FROZEN, currency="USD"),
        transfer("to-frozen", "alice", "bob", 1),
        ChangeAccount(ledger="demo", account_id="bob", status=Status.OPEN, currency="USD"),
        ChangeAccount(ledger="demo", account_id="empty", status=Status.CLOSED, currency="USD"),
        transfer("to-closed", "world", "empty", 1),
        ChangeAccount(ledger="demo", account_id="carol", overdraft_limit=5_000, currency="USD"),
        ChangeAccount(ledger="demo", account_id="carol", overdraft_limit=None, currency="USD"),
        ChangeAccount(ledger="demo", account_id="carol", metadata={"tier": "b"}, currency="USD"),
        transfer("carol-far-below", "carol", "alice", 10**20),
    ]
    return commands


def _opening(ledger: str) -> list[Command]:
    funded = [
        transfer(f"fund-{who}", "world", who, 100_000, ledger)
        for who in ("alice", "bob", "carol", "bank:main")
    ]
    return [
        *funded,
        OpenAccount(ledger=ledger, account_id="empty", currency="USD"),
        OpenAccount(ledger=ledger, account_id="credit-line:1", currency="USD", overdraft_limit=700),
        transfer("on-credit", "credit-line:1", "alice", 700, ledger),
        transfer("over-credit", "credit-line:1", "alice", 1, ledger),
        transfer("unopened", "credit-line:2", "alice", 1, ledger),
        transfer("yen", "external:bank", "tokyo", BIG, ledger, currency="JPY"),
        transfer("yen-to-dollar", "tokyo", "alice", 5, ledger, currency="JPY"),
        transfer("too-much", "alice", "bob", 10**15, ledger, metadata={"why": "refused"}),
        refund("back-1", "fund-alice", 1_000, ledger),
        refund("back-2", "fund-alice", 500, ledger, "USD"),
        refund("back-too-much", "fund-alice", 100_000, ledger),
        refund("back-of-nothing", "never", None, ledger),
        *_depth(ledger),
    ]


def _depth(ledger: str) -> list[Command]:
    """Return splits, exchange, holds, schedules and closings; `settled` ends what is due."""

    def about(key: str) -> UUID:
        return transaction_id(ledger, key)

    split = several(
        ("alice", "revenue:fees", 30, "USD"),
        ("alice", "bob", 970, "USD"),
        ("carol", "bob", 500, "USD"),
    )
    exchanged = several(
        ("alice", "exchange:USD", 1_000, "USD"), ("exchange:EUR", "alice:eur", 920, "EUR")
    )
    reserved = several(("bob", "alice", 700, "USD"), ("bob", "revenue:fees", 50, "USD"))
    rate = Rate("USD", "EUR", "0.92")
    return [
        Transfer(ledger=ledger, key="split", postings=split, reference="INV-1"),
        Transfer(ledger=ledger, key="exchange", postings=exchanged, rate=rate),
        Refund(ledger=ledger, key="split-back", about=about("split"), parts=(Part(2, 200),)),
        refund("exchange-back", "exchange", None, ledger),
        *(
            Hold(ledger=ledger, key=f"hold-{what}", postings=reserved, reference="AUTH-1")
            for what in ("open", "part", "whole", "void")
        ),
        Hold(
            ledger=ledger,
            key="hold-expiring",
            postings=reserved,
            expires_at=START + timedelta(hours=1),
        ),
        Capture(ledger=ledger, key="cap-1", about=about("hold-part"), parts=(Part(0, 300),)),
        Capture(ledger=ledger, key="cap-2", about=about("hold-whole"), parts=(Part(1, 50),)),
        Capture(ledger=ledger, key="cap-3", about=about("hold-whole")),
        Capture(ledger=ledger, key="cap-4", about=about("hold-whole")),
        refund("cap-back", "cap-3", 100, ledger),
        Void(ledger=ledger, key="void-1", about=about("hold-void")),
        Void(ledger=ledger, key="void-2", about=about("hold-void")),
        *(
            Schedule(
                ledger=ledger,
                key=f"later-{who}",
                postings=several((who, "alice", 40, "USD")),
                due_at=START + timedelta(hours=2),
            )
            for who in ("bob", "pauper", "carol")
        ),
        Cancel(ledger=ledger, key="never-mind", about=about("later-carol")),
        transfer("late", "world", "bob", 77, ledger, effective_at=START - timedelta(days=20)),
        CloseBooks(ledger=ledger, closed_before=START - timedelta(days=10)),
        transfer("too-late", "world", "bob", 78, ledger, effective_at=START - timedelta(days=20)),
    ]


def settlements() -> list[Command]:
    """Return what the sweeper would ask for after both times of `rich_commands` have come."""
    return [
        Settle(about=transaction_id(ledger, key))
        for ledger in ("demo", "other")
        for key in ("hold-expiring", "later-bob", "later-pauper", "later-carol", "hold-open")
    ]


def _notes(rng: random.Random) -> dict[str, str | int | bool | None] | None:
    if rng.random() < 0.5:
        return None
    return {"z": rng.randint(-5, 10**30), "a": None, "ok": True, "class_version": "not ours"}


async def written(
    database_url: str,
    commands: Sequence[Command],
    batch_size: int = 13,
    now: Callable[[int], datetime] = lambda index: START + timedelta(seconds=37 * index),
) -> list[Outcome]:
    """Append `commands` in batches, 37 seconds a command; return the outcomes."""
    connection = await database.connect(database_url, ROLE)
    outcomes: list[Outcome] = []
    try:
        for first in range(0, len(commands), batch_size):
            batch = commands[first : first + batch_size]
            outcomes += await append_batch(connection, batch, SCHEMA, now(first))
    finally:
        await connection.close()
    return outcomes


async def rich_log(database_url: str, seed: int = 1, count: int = 60) -> int:
    """Write a log with every kind of event; return its length."""
    await written(database_url, rich_commands(seed, count))
    await written(database_url, settlements(), now=lambda _: START + timedelta(hours=3))
    events = await whole_log(database_url)
    topics = {recorded.event.topic for recorded in events}
    assert topics == {kind.topic for kind in EVENT_TYPES}
    return len(events)


async def whole_log(database_url: str) -> list[Recorded]:
    """Return every event."""
    async with connected(database_url) as connection:
        return await log.read_after(connection, 0, 10**6)


async def project(database_url: str) -> None:
    """Catch up the read models, straight from the log."""
    async with connected(database_url, PROJECTOR_ROLE) as connection:
        await apply(connection, settings(database_url))


async def read_models(database_url: str) -> bytes:
    """Return every row of the read models as bytes."""
    async with connected(database_url) as connection:
        tables = [await connection.fetch(query) for query in READ_MODELS]
    return "\n".join(repr(tuple(row.items())) for rows in tables for row in rows).encode()


async def checkpoint(database_url: str, reader: str) -> int:
    """Return how far a reader is."""
    async with connected(database_url) as connection:
        position = await connection.fetchval(
            "SELECT position FROM events.checkpoints WHERE reader = $1", reader
        )
    assert isinstance(position, int)
    return position


async def execute(database_url: str, *statements: str) -> None:
    """Execute statements as the superuser that owns everything."""
    async with connected(database_url) as connection:
        for statement in statements:
            await connection.execute(statement)


@asynccontextmanager
async def connected(
    database_url: str, role: str | None = None
) -> AsyncIterator[database.Connection]:
    """Open a connection, as the superuser or as a role."""
    connection = await database.connect(database_url, role)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def held_head(database_url: str) -> AsyncIterator[None]:
    """Hold the log's head, so that no writer gets on."""
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("SELECT * FROM events.head FOR UPDATE")
        yield


async def kept_waiting(database_url: str) -> None:
    """Wait until a writer waits for the head, with its batch in hand."""
    async with connected(database_url) as connection, asyncio.timeout(patient_s(10)):
        while not await connection.fetchval(WRITER_WAITS):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.01)


@asynccontextmanager
async def database_made(admin: database.Connection, template: str | None) -> AsyncIterator[str]:
    """Create a database (a clone of the database at URL `template`, if given) and drop it after."""
    name = f"test_{uuid4().hex}"
    source = "template0" if template is None else urlsplit(template).path.removeprefix("/")
    await admin.execute(f"create database {name} template {source}")
    try:
        yield name
    finally:
        await admin.execute(f"drop database {name} with (force)")


def beside(database_url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlsplit(database_url)._replace(path=f"/{name}").geturl()


@asynccontextmanager
async def writing(
    given: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[Writer]:
    """Run a writer, as a process of its own would."""
    cache = Cache(given.cache_url)
    idempotency = Idempotency(cache, given.result_ttl_s)
    try:
        async with Writer(given, SCHEMA, idempotency, now).running() as writer:
            yield writer
    finally:
        await cache.close()


def accepted(outcome: Outcome | BaseException) -> Accepted:
    """Return an outcome that must be a success."""
    assert isinstance(outcome, Accepted), outcome
    return outcome
