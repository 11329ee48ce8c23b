"""The `eventsourcing` library as an auditor that nobody here wrote: it reads what our writer wrote.

Its Application, NotificationLog, ProjectionRunner and Mapper are used as they are; of Daybook they
get the rows and the topics. They connect as a login that may only read.
"""

import dataclasses
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import pytest
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import (
    IntegrityError,
    JSONTranscoder,
    Mapper,
    Notification,
    ProgrammingError,
    StoredEvent,
    Tracking,
    TranscodingNotRegisteredError,
)
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import register_topic
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from auditing.replay import ReplayedState
from command_side.api.values import check_metadata
from command_side.domain.commands import (
    ChangeAccount,
    Command,
    Hold,
    OpenAccount,
    Part,
    Refund,
    Transfer,
)
from command_side.writer.commit import append_batch
from daybook.settings import Settings
from events import codec, log, schema
from events.types import EVENT_TYPES, Metadata, Posting, Status, transaction_id
from projections import worker
from runtime import database
from runtime.problems import Invalid
from tests.integration import fixtures
from tests.patience import patient_s

AUDITOR = "stock_auditor"
OWN_SCHEMA = "audit"
WAIT_S = 30.0
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEDGERS = ("demo", "other")
CUSTOMERS = tuple(f"customer-{number}" for number in range(6))

Counters = dict[tuple[str, str], tuple[int, int]]


@dataclass(frozen=True)
class DomainEvent:
    """What the library wants of an event; everything else is the state's."""

    originator_id: UUID
    originator_version: int
    ledger: str
    recorded_at: str


@dataclass(frozen=True)
class AccountOpened(DomainEvent):
    """An auditor's own idea of account.opened."""

    account_id: str


@dataclass(frozen=True)
class AccountChanged(DomainEvent):
    """An auditor's own idea of account.changed."""

    account_id: str
    status: str


@dataclass(frozen=True)
class TransferPosted(DomainEvent):
    """An auditor's own idea of transfer.posted."""

    postings: list[dict[str, Any]]
    kind: str = "transfer"


@dataclass(frozen=True)
class TransferRejected(DomainEvent):
    """An auditor's own idea of transfer.rejected."""

    code: str


# What posts nothing, and the auditor only passes over.
OF_NO_CONCERN = (
    *("books.closed", "hold.placed", "hold.voided", "hold.expired"),
    *("transfer.scheduled", "transfer.cancelled"),
)
KINDS: dict[str, type[DomainEvent]] = {
    "account.opened": AccountOpened,
    "account.changed": AccountChanged,
    "transfer.posted": TransferPosted,
    "transfer.rejected": TransferRejected,
    **{topic: type(topic, (DomainEvent,), {}) for topic in OF_NO_CONCERN},
}
PASSED_OVER = {AccountChanged, TransferRejected, *(KINDS[topic] for topic in OF_NO_CONCERN)}
for topic, kind in KINDS.items():
    register_topic(topic, kind)


class Daybook(Application[UUID]):
    """A stock application: by its name the library finds the table daybook_events."""


class BalancesView(PostgresTrackingRecorder):
    """A stock materialised view: a table beside the library's tracking table."""

    def __init__(self, datastore: PostgresDatastore, **names: Any) -> None:  # noqa: ANN401
        super().__init__(datastore, **names)
        table = {"table": Identifier(datastore.schema, "balances")}
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS {table} ("
                "ledger text, account_id text, debits numeric, credits numeric,"
                "PRIMARY KEY (ledger, account_id))"
            ).format(**table)
        )
        self._post = SQL(
            "INSERT INTO {table} AS b VALUES (%s, %s, %s, %s)"
            "ON CONFLICT (ledger, account_id) DO UPDATE SET"
            " debits = b.debits + excluded.debits, credits = b.credits + excluded.credits"
        ).format(**table)
        self._select = SQL("SELECT ledger, account_id, debits, credits FROM {table}").format(
            **table
        )

    def post(self, rows: list[tuple[str, str, Decimal, Decimal]], tracking: Tracking) -> None:
        """Add (ledger, account, debits, credits), in one transaction with the tracking."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.executemany(self._post, rows)

    def balances(self) -> Counters:
        """Return everything."""
        with self.datastore.transaction() as cursor:
            rows = cursor.execute(self._select).fetchall()
        return {
            (row["ledger"], row["account_id"]): (int(row["debits"]), int(row["credits"]))
            for row in rows
        }


class Balances(Projection[BalancesView]):
    """A stock projection."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ANN401
        """Track what changes no balance."""
        assert type(domain_event) in PASSED_OVER
        self.view.insert_tracking(tracking)

    @process_event.register
    def _(self, event: AccountOpened, tracking: Tracking) -> None:
        self.view.post([(event.ledger, event.account_id, Decimal(0), Decimal(0))], tracking)

    @process_event.register
    def _(self, event: TransferPosted, tracking: Tracking) -> None:
        rows = []
        for posting in event.postings:
            amount = Decimal(posting["amount"])
            rows.append((event.ledger, posting["debit"], amount, Decimal(0)))
            rows.append((event.ledger, posting["credit"], Decimal(0), amount))
        self.view.post(rows, tracking)


@pytest.fixture
async def env(database_url: str) -> Mapping[str, str]:
    """Return the library's settings for a login that may read the log and owns one schema."""
    connection = await database.connect(database_url)
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", AUDITOR):
        await connection.execute(f"CREATE ROLE {AUDITOR} LOGIN IN ROLE daybook_auditor")
    await connection.execute(f"CREATE SCHEMA {OWN_SCHEMA} AUTHORIZATION {AUDITOR}")
    await connection.close()
    parts = conninfo_to_dict(database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts["port"]),
        "POSTGRES_USER": AUDITOR,
        "POSTGRES_PASSWORD": "",
        "POSTGRES_SCHEMA": "events",
        "CREATE_TABLE": "n",
        # What the projection of this name keeps, it keeps in a schema of its own.
        "BALANCES_PERSISTENCE_MODULE": "eventsourcing.postgres",
        "BALANCES_POSTGRES_SCHEMA": OWN_SCHEMA,
        "BALANCES_CREATE_TABLE": "y",
    }


async def test_notification_log_shows_every_event_as_it_was_written(
    database_url: str, env: Mapping[str, str]
) -> None:
    """Sections follow one another without a gap, and each event maps to what our codec reads."""
    connection = await database.connect(database_url)
    last = await fixtures.rich_log(database_url)
    ours = await log.read_after(connection, 0, last)
    await connection.close()
    with Daybook(env) as application:
        seen: list[Notification] = []
        section_id: str | None = "1,10"
        while section_id is not None:
            section = application.notification_log[section_id]
            seen += section.items
            section_id = section.next_id
        mapped = [application.mapper.to_domain_event(notification) for notification in seen]
    assert [notification.id for notification in seen] == list(range(1, last + 1))
    assert {notification.topic for notification in seen} == {kind.topic for kind in EVENT_TYPES}
    for notification, domain_event, recorded in zip(seen, mapped, ours, strict=True):
        assert notification.topic == recorded.event.topic
        state = dict(vars(domain_event))
        assert state.pop("originator_id") == recorded.originator_id
        assert state.pop("originator_version") == recorded.version
        assert state == msgspec.json.decode(msgspec.json.encode(codec.as_written(recorded.event)))
    assert any(getattr(domain_event, "kind", None) == "refund" for domain_event in mapped)


@pytest.mark.parametrize("persistence_module", ["eventsourcing.postgres", "events.recorder"])
async def test_stock_projection_rebuilds_the_same_balances(
    database_url: str, env: Mapping[str, str], persistence_module: str
) -> None:
    """The library's projection, our auditor and our read models agree on every account."""
    connection = await database.connect(database_url)
    last = await write_history(connection, seed=2)
    with ProjectionRunner(
        application_class=Daybook,
        projection_class=Balances,
        view_class=BalancesView,
        env={**env, "PERSISTENCE_MODULE": persistence_module},
    ) as runner:
        runner.wait(last, timeout=patient_s(WAIT_S))
        rebuilt = runner.view.balances()
    state = await replayed(connection)
    projected = await projected_balances(connection, database_url)
    await connection.close()
    assert len(rebuilt) > len(CUSTOMERS)
    assert sum(debits - credits_ for debits, credits_ in rebuilt.values()) == 0
    assert rebuilt == state == projected


async def test_stock_projection_over_our_recorder_follows_the_writer(
    database_url: str, env: Mapping[str, str]
) -> None:
    """What the writer commits wakes a running subscription; a later run resumes where it was."""
    connection = await database.connect(database_url)
    env = {**env, "PERSISTENCE_MODULE": "events.recorder"}
    for seeds in ((3, 4), (5, 6)):
        with ProjectionRunner(
            application_class=Daybook,
            projection_class=Balances,
            view_class=BalancesView,
            env=env,
        ) as runner:
            for seed in seeds:
                last = await write_history(connection, seed)
                runner.wait(last, timeout=patient_s(WAIT_S))
                assert runner.view.balances() == await replayed(connection)
    await connection.close()


@pytest.mark.parametrize(
    "user, create_table, error, reason",
    [
        (AUDITOR, "n", ProgrammingError, "permission denied for table daybook_events"),
        (None, "n", ProgrammingError, "'stored_event_uuid' not found"),
        (None, "y", IntegrityError, 'null value in column "notification_id"'),
    ],
)
async def test_stock_recorder_cannot_write_into_our_log(
    database_url: str,
    env: Mapping[str, str],
    user: str | None,
    create_table: str,
    error: type[Exception],
    reason: str,
) -> None:
    """Only what takes its positions from the head may append, even with the owner's rights."""
    user = user or str(conninfo_to_dict(database_url)["user"])
    with (
        Daybook({**env, "POSTGRES_USER": user, "CREATE_TABLE": create_table}) as application,
        pytest.raises(error, match=reason),
    ):
        application.recorder.insert_events([StoredEvent(uuid4(), 1, "example", b"{}")])
    connection = await database.connect(database_url)
    assert await log.read_after(connection, 0, 1) == []
    await connection.close()


def upcast_v1_v2(state: dict[str, Any]) -> None:
    """Version 2 gave the amount a currency."""
    state["currency"] = "USD"


def upcast_v2_v3(state: dict[str, Any]) -> None:
    """Version 3 spells the amount in minor units."""
    state["amount_minor"] = f"{state.pop('amount')}00"


class OurExample(msgspec.Struct, frozen=True, kw_only=True):
    """An event type of ours that has changed twice."""

    topic: ClassVar[str] = "example.changed-twice"
    class_version: ClassVar[int] = 3
    upcast_v1_v2 = staticmethod(upcast_v1_v2)
    upcast_v2_v3 = staticmethod(upcast_v2_v3)

    amount_minor: str
    currency: str


@dataclass(frozen=True)
class LibraryExample:
    """The same, as the library's users write it."""

    TOPIC: ClassVar[str] = OurExample.topic
    class_version: ClassVar[int] = 3
    upcast_v1_v2 = staticmethod(upcast_v1_v2)
    upcast_v2_v3 = staticmethod(upcast_v2_v3)

    originator_id: UUID
    originator_version: int
    amount_minor: str
    currency: str


register_topic(OurExample.topic, LibraryExample)


@pytest.fixture
def example_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teach our codec the example, for one test."""
    kind: Any = OurExample
    monkeypatch.setattr("events.codec._FORMS", {OurExample.topic: codec.form(kind)})


@pytest.mark.parametrize(
    "state",
    [
        b'{"amount":"5"}',
        b'{"amount":"5","currency":"USD","class_version":2}',
        b'{"class_version":3,"amount_minor":"500","currency":"USD"}',
    ],
)
def test_codec_and_mapper_upcast_alike(example_type: None, state: bytes) -> None:
    """Every stored version reads as the newest one, through either."""
    stream_id = uuid4()
    theirs = Mapper[UUID](JSONTranscoder()).to_domain_event(
        StoredEvent(stream_id, 1, OurExample.topic, state)
    )
    assert theirs == LibraryExample(stream_id, 1, "500", "USD")
    ours: object = codec.decode(OurExample.topic, state)
    assert ours == OurExample(amount_minor="500", currency="USD")


def test_codec_and_mapper_read_what_the_other_wrote(example_type: None) -> None:
    """A class above version 1 carries its version in the state, the same in both."""
    mapper = Mapper[UUID](JSONTranscoder())
    theirs = LibraryExample(uuid4(), 1, "500", "USD")
    ours: Any = OurExample(amount_minor="500", currency="USD")
    by_them = mapper.to_stored_event(theirs)
    by_us = dataclasses.replace(by_them, state=codec.encode(ours))
    assert msgspec.json.decode(by_them.state) == msgspec.json.decode(by_us.state)
    assert codec.decode(by_them.topic, by_them.state) == ours
    assert mapper.to_domain_event(by_us) == theirs


def test_metadata_that_the_library_cannot_read_is_refused() -> None:
    """One object that its JSON reader takes for a value of its own would stop every auditor."""
    metadata: Metadata = {"_type_": "order", "_data_": 7}
    with pytest.raises(TranscodingNotRegisteredError):
        JSONTranscoder().decode(msgspec.json.encode(metadata))
    with pytest.raises(Invalid) as refusal:
        check_metadata(metadata, schema.load())
    assert refusal.value.code == "metadata_reserved"
    similar: list[Metadata] = [{"_type_": "order"}, {**metadata, "more": True}]
    for harmless in similar:
        check_metadata(harmless, schema.load())
        assert JSONTranscoder().decode(msgspec.json.encode(harmless)) == harmless


async def write_history(connection: database.Connection, seed: int) -> int:
    """Append everything that our writer can append, in batches; return the last position."""
    random_ = random.Random(seed)
    commands = [*opening(), *(_any_command(random_, f"{seed}-{n}") for n in range(120))]
    now = START
    while commands:
        size = random_.randrange(1, 30)
        batch, commands = commands[:size], commands[size:]
        await append_batch(connection, batch, schema.load(), now)
        now += timedelta(seconds=1)
    return (await log.head(connection)).position


def opening() -> list[Command]:
    """Open what is not opened by use, and move amounts beyond any machine integer."""
    commands: list[Command] = []
    for ledger in LEDGERS:
        commands.append(OpenAccount(ledger=ledger, account_id="credit-line:1", currency="USD"))
        commands.append(
            Transfer(
                ledger=ledger,
                key="whale",
                postings=(Posting("world", "whale", 10**30 + 1, "USD"),),
                description="größer als 2⁶⁴ 🐋",
                metadata={"order": 7, "vip": True, "note": None, "tag": "ü"},
            )
        )
    return commands


def _any_command(random_: random.Random, key: str) -> Command:
    ledger = random_.choice(LEDGERS)
    one, other = random_.sample(CUSTOMERS, 2)
    match random_.randrange(8):
        case 0:
            status = random_.choice([Status.OPEN, Status.OPEN, Status.FROZEN])
            return ChangeAccount(ledger=ledger, account_id=one, status=status, currency="USD")
        case 1 | 2:
            seed, _, number = key.partition("-")
            original = f"{seed}-{random_.randrange(int(number) + 1)}"
            about = transaction_id(ledger, original)
            parts = random_.choice([None, (Part(0, 1),), (Part(0, 50),)])
            return Refund(ledger=ledger, key=key, about=about, parts=parts)
        case 3 | 4:
            source, destination = "world", one
        case _:
            source, destination = one, other
    postings = (Posting(source, destination, random_.randrange(1, 500), "USD"),)
    if random_.randrange(3) == 0:
        return Hold(ledger=ledger, key=key, postings=postings)
    return Transfer(ledger=ledger, key=key, postings=postings)


async def replayed(connection: database.Connection) -> Counters:
    """Return what our auditor makes of the log."""
    state = ReplayedState()
    head = await log.head(connection)
    async for page in log.pages(connection, 0, head.position):
        for recorded in page:
            state.fold(recorded)
    return {
        key: (tally.debits_posted, tally.credits_posted) for key, tally in state.accounts.items()
    }


async def projected_balances(connection: database.Connection, database_url: str) -> Counters:
    """Return what our projector makes of the log."""
    settings = Settings(database_url=database_url, cache_url="", queue_url="")
    await worker.apply(connection, settings)
    rows = await connection.fetch("SELECT * FROM read.balances")
    return {
        (row["ledger"], row["account_id"]): (row["debits_posted"], row["credits_posted"])
        for row in rows
    }
