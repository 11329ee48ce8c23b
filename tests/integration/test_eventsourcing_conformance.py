"""The library's own conformance suite over our log, and what that suite does not ask."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import (
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.tests import persistence
from psycopg.conninfo import conninfo_to_dict

from command_side.domain.commands import Transfer
from command_side.writer.commit import append_batch
from command_side.writer.outcomes import Accepted
from events import codec, log, schema
from events.recorder import LogRecorder
from events.types import BooksClosed, Posting
from runtime import database
from tests.patience import patient_s

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WRITER = "stock_writer"
BOUND_S = 10.0
OpenRecorder = Callable[..., LogRecorder]


@contextmanager
def opening(database_url: str) -> Iterator[OpenRecorder]:
    """Yield a function that opens recorders of this log; close them all at the end."""
    parts = {name: str(value) for name, value in conninfo_to_dict(database_url).items()}
    opened: list[PostgresDatastore] = []

    def open_recorder(schema: str = "events", lock_timeout: int = 0) -> LogRecorder:
        datastore = PostgresDatastore(
            parts["dbname"],
            parts["host"],
            parts["port"],
            parts["user"],
            password="",
            schema=schema,
            lock_timeout=lock_timeout,
            pool_size=1,
            max_overflow=9,
        )
        opened.append(datastore)
        return LogRecorder(datastore)

    try:
        yield open_recorder
    finally:
        for datastore in opened:
            datastore.close()


@pytest.fixture
def open_recorder(database_url: str) -> Iterator[OpenRecorder]:
    """Open recorders of a fresh log."""
    with opening(database_url) as open_recorder:
        yield open_recorder


class TestConformance(persistence.ApplicationRecorderTestCase[LogRecorder]):
    """Every test of the suite, unmodified, each on a fresh log."""

    @pytest.fixture(autouse=True)
    def fresh_log(self, open_recorder: OpenRecorder) -> None:
        """Hand pytest's fixture to unittest's method."""
        self._open_recorder = open_recorder

    def create_recorder(self) -> LogRecorder:
        """Return a recorder of this test's log."""
        return self._open_recorder()

    def test_insert_subscribe(self) -> None:
        """The suite leaves this one to recorders that can be subscribed to; ours can."""
        self.optional_test_insert_subscribe()


async def test_both_kinds_of_writers_share_one_gapless_order(
    database_url: str, open_recorder: OpenRecorder
) -> None:
    """Recorders and the group-commit writer at once, some failing, leave no gap and no double.

    What is recorded can be read as Daybook's: a writer reads what others have appended.
    """
    recorder = open_recorder()
    taken: list[int] = []

    def record(seed: int) -> None:
        random_ = random.Random(seed)
        for _ in range(20):
            events = [closing() for _ in range(random_.randrange(1, 4))]
            taken.extend(recorder.insert_events(events) or ())
            with pytest.raises(IntegrityError):
                recorder.insert_events([closing(), events[0]])

    async def write(name: str) -> None:
        connection = await database.connect(database_url)
        for number in range(20):
            command = Transfer(
                ledger="demo",
                key=f"{name}-{number}",
                postings=(Posting("world", name, 1, "USD"),),
            )
            (outcome,) = await append_batch(connection, [command], schema.load(), NOW)
            assert isinstance(outcome, Accepted)
        await connection.close()

    await asyncio.gather(
        asyncio.to_thread(record, 1), asyncio.to_thread(record, 2), write("a"), write("b")
    )
    connection = await database.connect(database_url)
    rows = await connection.fetch(
        "SELECT notification_id, topic FROM events.daybook_events ORDER BY notification_id"
    )
    head = await log.head(connection)
    await connection.close()
    assert [row["notification_id"] for row in rows] == list(range(1, head.position + 1))
    # 40 transfers opened `world`, `a` and `b`.
    assert len(rows) == len(taken) + 40 + 3
    assert {row["notification_id"] for row in rows if row["topic"] == BooksClosed.topic} == set(
        taken
    )


async def test_recorded_time_never_goes_back(
    database_url: str, open_recorder: OpenRecorder
) -> None:
    """An append moves the head's time to the clock, unless it is ahead of the clock already."""
    recorder = open_recorder()
    connection = await database.connect(database_url)
    before = datetime.now(UTC)
    recorder.insert_events([stored()])
    clock = (await log.head(connection)).recorded_at
    assert before <= clock <= datetime.now(UTC)

    ahead = clock + timedelta(hours=1)
    await connection.execute("UPDATE events.head SET last_recorded_at = $1", ahead)
    recorder.insert_events([stored()])
    head = await log.head(connection)
    assert (head.position, head.recorded_at) == (2, ahead)
    await connection.close()


async def test_append_waits_for_the_head_no_longer_than_asked(
    database_url: str, open_recorder: OpenRecorder
) -> None:
    """POSTGRES_LOCK_TIMEOUT bounds the wait for another writer; nothing is appended."""
    recorder = open_recorder(lock_timeout=1)
    connection = await database.connect(database_url)
    async with connection.transaction():
        await log.lock_head(connection)
        once = LogRecorder.insert_events.__wrapped__
        with pytest.raises(OperationalError, match="lock timeout"):
            once(recorder, [stored()])
    assert (await log.head(connection)).position == 0
    await connection.close()


def test_subscription_that_is_slow_to_listen_misses_nothing(
    open_recorder: OpenRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It delivers what committed between its first read and its LISTEN, and what comes later."""
    recorder = open_recorder()
    has_read, may_listen = threading.Event(), threading.Event()
    read, execute = LogRecorder.select_notifications, psycopg.Connection.execute

    def noticed(*args: Any, **options: Any) -> Sequence[Notification]:  # noqa: ANN401
        notifications: Sequence[Notification] = read(*args, **options)
        has_read.set()
        return notifications

    def slow(connection: Any, query: Any, *rest: Any) -> Any:  # noqa: ANN401
        if "LISTEN" in str(query):
            assert may_listen.wait(patient_s(BOUND_S))
        return execute(connection, query, *rest)

    monkeypatch.setattr(LogRecorder, "select_notifications", noticed)
    monkeypatch.setattr(psycopg.Connection, "execute", slow)
    with recorder.subscribe(gt=0) as subscription:
        bound = threading.Timer(patient_s(BOUND_S), subscription.stop)
        bound.start()
        assert has_read.wait(patient_s(BOUND_S))
        recorder.insert_events([stored()])
        may_listen.set()
        assert [notification.id for notification in islice(subscription, 1)] == [1]
        # Now it listens, and only a notification can wake it.
        recorder.insert_events([stored()])
        assert [notification.id for notification in islice(subscription, 1)] == [2]
        bound.cancel()


def test_another_schema_is_refused(open_recorder: OpenRecorder) -> None:
    """A recorder that would read one table and write another is not made."""
    with pytest.raises(ProgrammingError, match="set POSTGRES_SCHEMA=events"):
        open_recorder(schema="public")


class Account(Aggregate):
    """A stock aggregate."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @event("Named")
    def name(self, name: str) -> None:
        """Cause an event."""
        self.names.append(name)


class Daybook(Application[UUID]):
    """A stock application on the log."""


class Ledger(Application[UUID]):
    """Its table would be ledger_events."""


@pytest.fixture
async def writer_env(database_url: str) -> Mapping[str, str]:
    """Return the library's settings for a login with no other rights than the writer's."""
    connection = await database.connect(database_url)
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", WRITER):
        await connection.execute(f"CREATE ROLE {WRITER} LOGIN IN ROLE daybook_writer")
    await connection.close()
    parts = conninfo_to_dict(database_url) | {"user": WRITER, "password": "", "schema": "events"}
    settings = {f"POSTGRES_{name.upper()}": str(value) for name, value in parts.items()}
    return {**settings, "PERSISTENCE_MODULE": "events.recorder"}


async def test_stock_application_appends_with_the_writers_rights(
    database_url: str, writer_env: Mapping[str, str]
) -> None:
    """Aggregates are saved and found again; a stale one is a conflict; no table is created."""
    with Daybook(writer_env) as application:
        account = Account()
        account.name("first")
        assert [recording.notification.id for recording in application.save(account)] == [1, 2]
        stale: Account = application.repository.get(account.id)
        account.name("second")
        stale.name("never")
        application.save(account)
        with pytest.raises(IntegrityError):
            application.save(stale)
        found: Account = application.repository.get(account.id)
        assert found.names == ["first", "second"]
    connection = await database.connect(database_url)
    assert (await log.head(connection)).position == 3
    await connection.close()


def test_another_table_is_refused(writer_env: Mapping[str, str]) -> None:
    """The library derives the table from the application's name; only one is the log."""
    with pytest.raises(ProgrammingError, match="name the application class Daybook"):
        Ledger(writer_env)


def closing() -> StoredEvent:
    """Return an event that Daybook can read, of a stream of its own."""
    event = BooksClosed(ledger="other", closed_before=NOW, recorded_at=NOW)
    return StoredEvent(uuid4(), 1, event.topic, codec.encode(event))


def stored() -> StoredEvent:
    """Return an event of a stream of its own."""
    return StoredEvent(uuid4(), 1, "example", b"{}")
