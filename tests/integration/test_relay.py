"""The relay: envelopes bounded and in order, repeated after a crash, never skipped."""

import asyncio
import dataclasses
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from aiobotocore.session import get_session

from command_side.relay import MESSAGE_GROUP, Relay
from daybook.settings import Settings
from events import checkpoints
from runtime import database
from runtime import queue as queues
from runtime.problems import Unavailable
from runtime.queue import Queue
from tests.envelopes import unpack
from tests.integration import fixtures
from tests.patience import patient_s

EMPTY_LOOKS = 2
ROUNDS_MAX = 200


class Watched:
    """Passes on to a queue what is sent, and keeps it; fails at the sends it is told to."""

    def __init__(self, queue: Queue | None = None, fail_at: frozenset[int] = frozenset()) -> None:
        self._queue = queue
        self._fail_at = fail_at
        self._calls = 0
        self.sent: list[tuple[str, str, str]] = []
        self.checkpoint_url: str | None = None
        self.checkpoints: list[int] = []

    def as_queue(self) -> Queue:
        """Return self under the type that the relay takes."""
        return cast("Queue", self)

    async def send(self, body: str, group: str, deduplication_id: str) -> None:
        """Send, unless this call is to fail."""
        self._calls += 1
        if self._calls in self._fail_at:
            raise Unavailable("queue_unavailable", "The queue does not answer (on purpose).")
        if self._queue is not None:
            await self._queue.send(body, group, deduplication_id)
        self.sent.append((body, group, deduplication_id))
        if self.checkpoint_url is not None:
            self.checkpoints.append(await fixtures.checkpoint(self.checkpoint_url, "relay"))


async def test_envelopes_are_bounded_in_order_and_named_by_their_positions(
    database_url: str, queue_url_each: str
) -> None:
    """What arrives is the log, in messages within both bounds, sent before the checkpoint moves."""
    length = await fixtures.rich_log(database_url, count=30)
    settings = fixtures.settings(
        database_url, queue_url=queue_url_each, envelope_bytes_max=2_500, envelope_events_max=6
    )
    async with queues.connect(queue_url_each) as queue:
        watched = Watched(queue)
        watched.checkpoint_url = database_url
        await _relayed(settings, watched.as_queue())
        received = await _drained(queue)
    envelopes = [unpack(body) for body, _, _ in watched.sent]
    assert all(len(envelope) <= 6 for envelope in envelopes)
    assert all(
        len(body.encode()) <= 2_500 or len(envelope) == 1
        for (body, _, _), envelope in zip(watched.sent, envelopes, strict=True)
    )
    assert {len(envelope) for envelope in envelopes} != {6}, "the bytes never bounded anything"
    assert [name for _, _, name in watched.sent] == [
        f"{envelope[0].position}-{envelope[-1].position}" for envelope in envelopes
    ]
    assert {group for _, group, _ in watched.sent} == {MESSAGE_GROUP}
    log = await fixtures.whole_log(database_url)
    assert [event for envelope in envelopes for event in envelope] == log
    assert received == [body for body, _, _ in watched.sent]
    assert set(watched.checkpoints) == {0}
    assert await fixtures.checkpoint(database_url, "relay") == length


async def test_two_relays_at_once_never_skip(database_url: str, queue_url_each: str) -> None:
    """While the log grows, one works and the other skips; together they cover the log, in order."""
    settings = fixtures.settings(database_url, queue_url=queue_url_each, envelope_events_max=5)
    async with queues.connect(queue_url_each) as queue:
        ended = asyncio.Event()
        watched = Watched(queue)
        relays = [
            asyncio.create_task(_relaying(settings, watched.as_queue(), ended)) for _ in range(2)
        ]
        for start in range(0, 60, 6):
            await fixtures.written(
                database_url, [fixtures.transfer(f"k{n}") for n in range(start, start + 6)]
            )
        ended.set()
        await asyncio.gather(*relays)
        received = await _drained(queue)
    positions = [event.position for body, _, _ in watched.sent for event in unpack(body)]
    assert positions == list(range(1, 63))
    assert received == [body for body, _, _ in watched.sent]


async def test_a_deleted_queue_is_made_again(database_url: str, queue_url_each: str) -> None:
    """The queue is a cache: gone, it is created, and what follows is published."""
    settings = fixtures.settings(database_url, queue_url=queue_url_each)
    async with queues.connect(queue_url_each) as queue:
        await fixtures.written(database_url, [fixtures.transfer("before")])
        await _relayed(settings, queue)
        await _delete_queue(queue_url_each)
        await fixtures.written(database_url, [fixtures.transfer("after")])
        await _relayed(settings, queue)
        received = await _drained(queue)
    assert [event.position for body in received for event in unpack(body)] == [4]
    assert await fixtures.checkpoint(database_url, "relay") == 4


async def test_a_failing_send_moves_nothing_and_is_repeated(database_url: str) -> None:
    """A round that broke off is sent again from its start: repeated, never skipped."""
    length = await fixtures.rich_log(database_url, count=10)
    settings = fixtures.settings(database_url, envelope_events_max=4)
    watched = Watched(fail_at=frozenset({3}))
    relay = Relay(settings, watched.as_queue())
    with pytest.raises(Unavailable):
        await relay.run_once()
    assert len(watched.sent) == 2
    assert await fixtures.checkpoint(database_url, "relay") == 0
    assert await relay.run_once() == length
    await relay.close()
    bodies = [body for body, _, _ in watched.sent]
    assert bodies[:2] == bodies[2:4]
    assert [e.position for body in bodies[2:] for e in unpack(body)] == list(range(1, length + 1))


async def test_a_queue_that_is_away_is_no_loss(database_url: str) -> None:
    """Nobody listens at the queue's address: Unavailable, and nothing has moved."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    async with queues.connect(fixtures.CLOSED_QUEUE) as queue:
        relay = Relay(fixtures.settings(database_url), queue)
        with pytest.raises(Unavailable):
            await relay.run_once()
        await relay.close()
    assert await fixtures.checkpoint(database_url, "relay") == 0


async def test_a_crash_between_send_and_checkpoint_repeats(
    database_url: str, queue_url_each: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next relay sends the same envelopes under the same names; the queue is whole."""
    length = await fixtures.rich_log(database_url, count=10)
    settings = fixtures.settings(database_url, queue_url=queue_url_each, envelope_events_max=7)
    async with queues.connect(queue_url_each) as queue:
        watched = Watched(queue)
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "move", _crash)
            crashed = Relay(settings, watched.as_queue())
            with pytest.raises(_CrashError):
                await crashed.run_once()
            await crashed.close()
        once = list(watched.sent)
        assert await fixtures.checkpoint(database_url, "relay") == 0
        await _relayed(settings, watched.as_queue())
        received = await _drained(queue)
    assert watched.sent == once * 2
    positions = {event.position for body in received for event in unpack(body)}
    assert positions == set(range(1, length + 1))


async def test_a_terminated_backend_in_the_middle_repeats(database_url: str) -> None:
    """Its database gone between two sends, the relay says so and begins the round again."""
    length = await fixtures.rich_log(database_url, count=10)
    settings = fixtures.settings(database_url, envelope_events_max=7)

    class Terminating(Watched):
        async def send(self, body: str, group: str, deduplication_id: str) -> None:
            await super().send(body, group, deduplication_id)
            if len(self.sent) == 1:
                await fixtures.execute(
                    database_url,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'daybook_relay' AND datname = current_database()",
                )

    watched = Terminating()
    relay = Relay(settings, watched.as_queue())
    with pytest.raises(Unavailable):
        await relay.run_once()
    assert await fixtures.checkpoint(database_url, "relay") == 0
    assert await relay.run_once() == length
    await relay.close()


async def test_an_event_over_the_envelopes_bound_travels_alone(
    database_url: str, queue_url_each: str
) -> None:
    """An event is never cut; the largest that a request may carry still gets through."""
    settings = fixtures.settings(database_url, queue_url=queue_url_each, envelope_bytes_max=1_000)
    long = "€" * (settings.body_bytes_max // 3)
    commands = [fixtures.transfer(f"k{n}", description=long if n == 2 else None) for n in range(4)]
    await fixtures.written(database_url, commands)
    async with queues.connect(queue_url_each) as queue:
        await _relayed(settings, queue)
        envelopes = [unpack(body) for body in await _drained(queue)]
    assert [len(envelope) for envelope in envelopes if envelope[0].position == 5] == [1]
    assert [e.position for envelope in envelopes for e in envelope] == [1, 2, 3, 4, 5, 6]


async def test_the_relay_rests_until_the_log_grows(database_url: str) -> None:
    """An append wakes it long before the idle poll; without one the poll ends the rest."""
    settings = dataclasses.replace(fixtures.settings(database_url), idle_poll_s=20.0)
    relay = Relay(settings, Watched().as_queue())
    assert await relay.run_once() == 0
    resting = asyncio.create_task(relay.rest())
    await asyncio.sleep(0.1)
    assert not resting.done()
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await asyncio.wait_for(resting, patient_s(5))
    assert await relay.run_once() == 3
    await relay.close()


class _CrashError(Exception):
    """The process ends here."""


async def _crash(_connection: database.Executor, _reader: str, _position: int) -> None:
    await asyncio.sleep(0)
    raise _CrashError


async def _relayed(settings: Settings, queue: Queue) -> None:
    ended = asyncio.Event()
    ended.set()
    await _relaying(settings, queue, ended)


async def _relaying(settings: Settings, queue: Queue, ended: asyncio.Event) -> None:
    """Run one relay until the log has ended and it has nothing left to do."""
    relay = Relay(settings, queue)
    try:
        for _ in range(ROUNDS_MAX):
            last = ended.is_set()
            if await relay.run_once() == 0 and last:
                return
            await asyncio.sleep(0.01)
        raise AssertionError
    finally:
        await relay.close()


async def _drained(queue: Queue) -> list[str]:
    """Receive and acknowledge until the queue is empty; return the bodies as they came."""
    bodies: list[str] = []
    empty = 0
    while empty < EMPTY_LOOKS:
        messages = await queue.receive(0)
        empty = 0 if messages else empty + 1
        bodies += [message.body for message in messages]
        await queue.delete(messages)
    return bodies


async def _delete_queue(url: str) -> None:
    parts = urlsplit(url)
    client: Any = get_session().create_client(
        "sqs", region_name="us-east-1", endpoint_url=f"{parts.scheme}://{parts.netloc}"
    )
    async with client as opened:
        await opened.delete_queue(QueueUrl=url)
