"""The projector: whatever the queue does, the read models equal a fold of the log."""

import asyncio
import dataclasses
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from command_side.relay import Relay
from daybook.settings import Settings
from events import codec
from events.codec import UnreadableEventError
from events.envelope import Envelope, pack
from events.types import TransferPosted
from projections import lambda_handler
from projections.catch_up import POISONED, PoisonEventError, catch_up
from projections.folds.balances import BalanceRow
from projections.memory import Memory
from projections.worker import ROLE, Projector
from runtime import database
from runtime import queue as queues
from runtime.problems import Unavailable
from runtime.queue import Queue
from tests.integration import fixtures
from tests.integration.hostile_queue import GARBAGE, GivenQueue, HostileQueue

ROUNDS_MAX = 2_000
PAGE_MAX = 100
SEEDS = range(6)
INSERT = """
INSERT INTO events.daybook_events (
    originator_id, originator_version, topic, state, notification_id
)
SELECT $1, 1, $2, $3, position + 1 FROM events.head
"""


async def test_the_normal_way_over_a_real_queue(
    database_url: str, queue_url_each: str, admin: database.Connection
) -> None:
    """Relay, SQS, projector: the same bytes as a straight fold, and an empty queue."""
    length = await fixtures.rich_log(database_url)
    expected = await _straight(admin, database_url)
    settings = fixtures.settings(database_url, queue_url=queue_url_each, envelope_events_max=9)
    settings = dataclasses.replace(settings, idle_poll_s=1.0)
    async with queues.connect(queue_url_each) as queue:
        relay = Relay(settings, queue)
        assert await relay.run_once() == length
        await relay.close()
        worker = Projector(settings, queue)
        for _ in range(20):
            await worker.run_once()
            if await _messages(queue) == 0:
                break
        assert await _messages(queue) == 0
        await worker.close()
        assert await fixtures.checkpoint(database_url, "projector") == length
    assert await fixtures.read_models(database_url) == expected


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_hostile_queue_and_two_workers_change_no_byte(
    database_url: str, admin: database.Connection, seed: int
) -> None:
    """Messages may be lost, late, doubled, shuffled, redelivered or garbled."""
    length = await fixtures.rich_log(database_url, seed=seed)
    expected = await _straight(admin, database_url)
    settings = fixtures.settings(
        database_url, envelope_events_max=3 + seed, projection_events_max=5 + 3 * seed
    )
    hostile = HostileQueue(seed)
    relay = Relay(settings, hostile.as_queue())
    assert await relay.run_once() == length
    await relay.close()
    await asyncio.gather(*(_projected(settings, hostile.as_queue(), length) for _ in range(2)))
    # Whatever still comes afterwards is old, and changes nothing.
    worker = Projector(settings, hostile.as_queue())
    for _ in range(10):
        assert await worker.run_once() == 0
    await worker.close()
    assert await fixtures.read_models(database_url) == expected
    assert await fixtures.checkpoint(database_url, "projector") == length


async def test_projecting_while_the_log_grows_gives_the_same_bytes(
    database_url: str, admin: database.Connection
) -> None:
    """Pages cut wherever the race cuts them: the result is that of one straight fold."""
    settings = fixtures.settings(database_url, envelope_events_max=4, projection_events_max=7)
    hostile = HostileQueue(99)
    ended = asyncio.Event()
    workers = [
        asyncio.create_task(_projecting(settings, hostile.as_queue(), ended)) for _ in range(2)
    ]
    relay = Relay(settings, hostile.as_queue())
    commands = fixtures.rich_commands(seed=9)
    for first in range(0, len(commands), 10):
        await fixtures.written(database_url, commands[first : first + 10], batch_size=3)
        await relay.run_once()
    await relay.close()
    ended.set()
    await asyncio.gather(*workers)
    assert await fixtures.read_models(database_url) == await _straight(admin, database_url)


async def test_old_messages_are_acknowledged(database_url: str) -> None:
    """Messages from before the checkpoint are deleted, and nothing is applied twice."""
    await fixtures.rich_log(database_url, count=10)
    bodies = [envelope.body for envelope in await _envelopes(database_url, 5)]
    await fixtures.project(database_url)
    before = await fixtures.read_models(database_url)
    queue = GivenQueue(*bodies)
    assert await _once(fixtures.settings(database_url), queue) == 0
    assert [message.body for message in queue.deleted] == bodies
    assert await fixtures.read_models(database_url) == before


async def test_holes_are_read_from_the_log(database_url: str, admin: database.Connection) -> None:
    """Of many envelopes only the second and the last arrive: everything is applied, once."""
    length = await fixtures.rich_log(database_url, count=20)
    envelopes = await _envelopes(database_url, 5)
    queue = GivenQueue(envelopes[-1].body, envelopes[1].body)
    assert await _once(fixtures.settings(database_url, projection_events_max=4), queue) == length
    assert len(queue.deleted) == 2
    assert await fixtures.read_models(database_url) == await _straight(admin, database_url)


async def test_messages_that_are_no_envelopes_are_deleted(database_url: str) -> None:
    """A message that is no envelope is deleted, and the log is read anyway."""
    length = await fixtures.rich_log(database_url, count=5)
    queue = GivenQueue(*GARBAGE)
    assert await _once(fixtures.settings(database_url), queue) == length
    assert len(queue.deleted) == len(GARBAGE)


async def test_without_a_queue_the_log_is_followed(database_url: str, queue_url_each: str) -> None:
    """A queue that was never made and one that does not answer both leave the idle poll."""
    await fixtures.rich_log(database_url, count=5)
    missing = queue_url_each.replace(".fifo", "-missing.fifo")
    for number, url in enumerate((missing, fixtures.CLOSED_QUEUE)):
        await fixtures.written(database_url, [fixtures.transfer(f"extra-{number}")])
        length = len(await fixtures.whole_log(database_url))
        async with queues.connect(url) as queue:
            await _projected(fixtures.settings(database_url, queue_url=url), queue, length)


async def test_a_message_is_kept_until_its_events_are_applied(database_url: str) -> None:
    """With the database away nothing is acknowledged; afterwards the redelivery is."""
    await fixtures.rich_log(database_url, count=5)
    bodies = [envelope.body for envelope in await _envelopes(database_url, 50)]
    queue = GivenQueue(*bodies)
    away = fixtures.settings("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable):
        await _once(away, queue)
    assert not queue.deleted


async def test_an_envelope_that_the_log_does_not_have_is_not_believed(
    database_url: str, admin: database.Connection
) -> None:
    """After a restore, messages of the lost future are still in the queue: the log is the truth."""
    await fixtures.written(database_url, [fixtures.transfer("kept")])
    async with fixtures.database_made(admin, database_url) as name:
        lost = fixtures.beside(database_url, name)
        await fixtures.written(lost, [fixtures.transfer("lost", amount=999)])
        (envelope,) = await _envelopes(lost, 100)
    await fixtures.project(database_url)
    await _once(fixtures.settings(database_url), GivenQueue(envelope.body))
    assert await fixtures.checkpoint(database_url, "projector") == 3


async def test_an_unknown_topic_stops_the_line_loudly_until_it_is_known(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker raises, the metric is set, and no later event is applied until it is repaired."""
    await fixtures.written(database_url, [fixtures.transfer("one"), fixtures.transfer("two")])
    mystery = await _inserted(
        database_url, "transfer.mystery", _posted("mystery", "alice", "world")
    )
    # No writer appends behind what it cannot read.
    with pytest.raises(UnreadableEventError, match=r"position 5"):
        await fixtures.written(database_url, [fixtures.transfer("refused")])
    await _inserted(database_url, "transfer.posted", _posted("after", "world", "alice"))
    settings = fixtures.settings(database_url, projection_events_max=2)
    for _ in range(3):
        with pytest.raises((UnreadableEventError, PoisonEventError), match=r"position 5"):
            await _once(settings, GivenQueue())
    assert _poisoned()
    assert await fixtures.checkpoint(database_url, "projector") == mystery - 1
    # A newer program knows the topic.
    form = codec.form(TransferPosted)._replace(ending=b"")
    monkeypatch.setitem(codec._FORMS, "transfer.mystery", form)  # noqa: SLF001
    assert await _once(settings, GivenQueue()) == 2
    assert not _poisoned()
    async with fixtures.connected(database_url) as connection:
        balance = await connection.fetchval(
            "SELECT credits_posted - debits_posted FROM read.balances WHERE account_id = 'alice'"
        )
    assert balance == 200


async def test_an_event_that_cannot_be_applied_stops_the_line_loudly(database_url: str) -> None:
    """A transfer between accounts that never opened: raised, shown, and not stepped over."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    poison = await _inserted(database_url, "transfer.posted", _posted("poison", "ghost", "alice"))
    await fixtures.written(database_url, [fixtures.transfer("after")])
    settings = fixtures.settings(database_url, projection_events_max=1)
    for _ in range(2):
        with pytest.raises(PoisonEventError, match=rf"position {poison} "):
            await _once(settings, GivenQueue())
    assert _poisoned()
    assert await fixtures.checkpoint(database_url, "projector") == poison - 1
    # Mended by hand: the account that should have been there.
    await fixtures.execute(
        database_url,
        "CREATE TEMP TABLE one AS SELECT * FROM read.accounts WHERE account_id = 'alice'",
        "UPDATE one SET account_id = 'ghost'",
        "INSERT INTO read.accounts SELECT * FROM one",
        "CREATE TEMP TABLE two AS SELECT * FROM read.balances WHERE account_id = 'alice'",
        "UPDATE two SET account_id = 'ghost', debits_posted = 0, credits_posted = 0",
        "INSERT INTO read.balances SELECT * FROM two",
    )
    assert await _once(settings, GivenQueue()) == 2
    assert not _poisoned()


async def test_a_page_that_fails_leaves_nothing_half_folded_behind(database_url: str) -> None:
    """What was folded in memory before the poison is folded again, once."""
    memory = Memory[BalanceRow]()
    await fixtures.written(database_url, [fixtures.transfer("one")])
    async with fixtures.connected(database_url, ROLE) as connection:
        await catch_up(connection, PAGE_MAX, memory)
        await fixtures.written(database_url, [fixtures.transfer("two")])
        await _inserted(database_url, "transfer.posted", _posted("poison", "ghost", "alice"))
        for _ in range(2):
            with pytest.raises(PoisonEventError):
                await catch_up(connection, PAGE_MAX, memory)
    assert await _credits(database_url) == 200


async def test_rows_mended_beside_a_moved_checkpoint_are_read_again(database_url: str) -> None:
    """A repair of a balance updates the checkpoint, so no projector uses its memory."""
    memory = Memory[BalanceRow]()
    await fixtures.written(database_url, [fixtures.transfer("one")])
    async with fixtures.connected(database_url, ROLE) as connection:
        await catch_up(connection, PAGE_MAX, memory)
        await fixtures.execute(
            database_url,
            "UPDATE read.balances SET credits_posted = 7 WHERE account_id = 'alice'",
            "UPDATE events.checkpoints SET position = position WHERE reader = 'projector'",
        )
        await fixtures.written(database_url, [fixtures.transfer("two")])
        await catch_up(connection, PAGE_MAX, memory)
    assert await _credits(database_url) == 107


async def _credits(database_url: str) -> int:
    async with fixtures.connected(database_url) as connection:
        credited: int = await connection.fetchval(
            "SELECT credits_posted FROM read.balances WHERE account_id = 'alice'"
        )
    return credited


async def test_an_event_that_the_database_refuses_stops_the_line_loudly(database_url: str) -> None:
    """A posting of zero violates a constraint when it is written, and stops the worker as well."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await _inserted(database_url, "transfer.posted", _posted("zero", "world", "alice", "0"))
    POISONED.set(0)
    with pytest.raises((PoisonEventError, asyncpg.CheckViolationError)):
        await _once(fixtures.settings(database_url), GivenQueue())
    assert _poisoned()


async def test_the_lambda_handler_applies_a_batch_of_messages(
    database_url: str, admin: database.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standard SQS event: everything is applied, no message is asked for again."""
    await fixtures.rich_log(database_url)
    _as_lambda(monkeypatch, database_url)
    bodies = [envelope.body for envelope in await _envelopes(database_url, 20)]
    event = _sqs_event(*reversed(bodies), "not an envelope")
    for _ in range(2):
        assert await _invoked(event) == {"batchItemFailures": []}
    assert await fixtures.read_models(database_url) == await _straight(admin, database_url)


async def test_the_lambda_handler_without_records_is_the_idle_poll(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schedule's event brings no records; the log is read."""
    length = await fixtures.rich_log(database_url, count=5)
    _as_lambda(monkeypatch, database_url)
    assert await _invoked({"source": "aws.events"}) == {"batchItemFailures": []}
    assert await fixtures.checkpoint(database_url, "projector") == length


async def test_the_lambda_handler_asks_for_failed_messages_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a poison event every message of the batch is named; with no records it raises."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await _inserted(database_url, "transfer.posted", _posted("poison", "ghost", "alice"))
    _as_lambda(monkeypatch, database_url)
    bodies = [envelope.body for envelope in await _envelopes(database_url, 2)]
    answer = await _invoked(_sqs_event(*bodies))
    assert answer == {
        "batchItemFailures": [{"itemIdentifier": f"m{n}"} for n in range(len(bodies))]
    }
    with pytest.raises(PoisonEventError):
        await _invoked({})


async def test_the_lambda_handler_survives_a_connection_that_died_while_it_slept(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container is frozen for minutes; the invocation after that may fail, the next one works."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    _as_lambda(monkeypatch, database_url)
    assert await _invoked({}) == {"batchItemFailures": []}
    await fixtures.written(database_url, [fixtures.transfer("two")])
    await fixtures.execute(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'daybook_projector' AND datname = current_database()",
    )
    bodies = [envelope.body for envelope in await _envelopes(database_url, 9)]
    await _invoked(_sqs_event(*bodies))
    assert await _invoked(_sqs_event(*bodies)) == {"batchItemFailures": []}
    assert await fixtures.checkpoint(database_url, "projector") == 4


async def _straight(admin: database.Connection, database_url: str) -> bytes:
    """Fold the same log in a second database, without any queue; return its read models."""
    async with fixtures.database_made(admin, None) as name:
        url = fixtures.beside(database_url, name)
        await _copy_log(admin, database_url, url)
        await fixtures.project(url)
        return await fixtures.read_models(url)


async def _copy_log(admin: database.Connection, source: str, target: str) -> None:
    from daybook.migrations.migrate import migrate  # noqa: PLC0415 - only here

    await migrate(target)
    async with fixtures.connected(source) as one, fixtures.connected(target) as two:
        rows = await one.fetch("SELECT * FROM events.daybook_events ORDER BY notification_id")
        await two.copy_records_to_table(
            "daybook_events", schema_name="events", records=map(tuple, rows)
        )
        head = await one.fetchrow("SELECT position, last_recorded_at FROM events.head")
        assert head is not None
        await two.execute("UPDATE events.head SET position = $1, last_recorded_at = $2", *head)


async def _envelopes(database_url: str, events_max: int) -> list[Envelope]:
    async with fixtures.connected(database_url) as connection:
        rows = await connection.fetch("SELECT * FROM events.daybook_events ORDER BY 5")
    return list(pack(rows, 240_000, events_max))


async def _messages(queue: Queue) -> int:
    """Return how many messages wait or are in flight."""
    attributes = await queue.attributes()
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(attributes[name]) for name in names)


def _poisoned() -> bool:
    (metric,) = POISONED.collect()
    return metric.samples[0].value == 1


async def _once(settings: Settings, queue: HostileQueue) -> int:
    worker = Projector(settings, queue.as_queue())
    try:
        return await worker.run_once()
    finally:
        await worker.close()


async def _projected(settings: Settings, queue: Queue, length: int) -> None:
    """Run one worker until the checkpoint is at `length`."""
    worker = Projector(settings, queue)
    try:
        for _ in range(ROUNDS_MAX):
            await worker.run_once()
            if await fixtures.checkpoint(settings.database_url, "projector") == length:
                return
        raise AssertionError
    finally:
        await worker.close()


async def _projecting(settings: Settings, queue: Queue, ended: asyncio.Event) -> None:
    """Run one worker until the log has ended and is applied."""
    await asyncio.sleep(0)
    worker = Projector(settings, queue)
    while not ended.is_set():
        await worker.run_once()
    await worker.close()
    length = len(await fixtures.whole_log(settings.database_url))
    await _projected(settings, queue, length)


async def _inserted(database_url: str, topic: str, state: bytes) -> int:
    """Insert a row as the owner, as no writer would; return its position."""
    async with fixtures.connected(database_url) as connection:
        await connection.execute(INSERT, uuid4(), topic, state)
        position = await connection.fetchval(
            "UPDATE events.head SET position = position + 1 RETURNING position"
        )
    assert isinstance(position, int)
    return position


def _posted(key: str, debit: str, credit: str, amount: str = "5") -> bytes:
    event = {
        "ledger": "demo",
        "key": key,
        "fingerprint": "",
        "postings": [{"debit": debit, "credit": credit, "amount": amount, "currency": "USD"}],
        "recorded_at": fixtures.START,
    }
    return msgspec.json.encode(event)


def _as_lambda(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """Give this process the environment of a fresh container."""
    monkeypatch.setenv("DAYBOOK_DATABASE_URL", database_url)
    monkeypatch.setattr(lambda_handler, "_CONNECTIONS", [])


async def _invoked(event: dict[str, Any]) -> Any:  # noqa: ANN401
    """Invoke the handler as Lambda does: synchronously, in a thread without a loop."""
    return await asyncio.to_thread(lambda_handler.handler, event, None)


def _sqs_event(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"r{number}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1700000000000",
                    "SequenceNumber": str(number),
                    "MessageGroupId": "daybook-log",
                    "SenderId": "AIDAEXAMPLE",
                    "MessageDeduplicationId": str(number),
                    "ApproximateFirstReceiveTimestamp": "1700000000001",
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:daybook.fifo",
                "awsRegion": "us-east-1",
            }
            for number, body in enumerate(bodies)
        ]
    }
