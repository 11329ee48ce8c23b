"""Waiting for a reader: bounded, cheap for many, and calm when the database is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from events import checkpoints
from events.checkpoints import PROJECTOR, Waiters
from runtime import database
from tests.integration import fixtures
from tests.patience import patient_s

ROLE = "daybook_reader"


async def test_a_position_that_is_reached_already_needs_no_wait(database_url: str) -> None:
    """The answer comes at the first look, whatever the bound."""
    await _moved(database_url, 5)
    async with _waiters(database_url) as waiters:
        started = time.monotonic()
        assert await waiters.reached(5, 10)
        assert await waiters.reached(0, 0)
        assert time.monotonic() - started < patient_s(2)


async def test_a_waiter_is_woken_when_the_position_is_reached(database_url: str) -> None:
    """Not before, and soon after."""
    async with _waiters(database_url) as waiters:
        waiting = asyncio.create_task(waiters.reached(3, 20))
        for position in (1, 2):
            await _moved(database_url, position)
            await asyncio.sleep(0.05)
            assert not waiting.done()
        await _moved(database_url, 4)
        assert await asyncio.wait_for(waiting, patient_s(5))


async def test_a_position_not_reached_in_time_is_false(database_url: str) -> None:
    """The bound holds, and others go on waiting."""
    async with _waiters(database_url) as waiters:
        patient = asyncio.create_task(waiters.reached(1, 20))
        started = time.monotonic()
        assert not await waiters.reached(1, 0.15)
        assert time.monotonic() - started < patient_s(2)
        await _moved(database_url, 1)
        assert await asyncio.wait_for(patient, patient_s(5))


async def test_many_waiters_share_one_query_a_tick(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred waiters cost no more looks than one; without waiters there are none."""
    looks = _looks(monkeypatch)
    async with _waiters(database_url) as waiters:
        await asyncio.sleep(0.1)
        assert not looks
        waits = [asyncio.create_task(waiters.reached(n % 3 + 1, 20)) for n in range(200)]
        started = time.monotonic()
        await asyncio.sleep(0.2)
        assert 0 < len(looks) <= (time.monotonic() - started) / checkpoints.TICK_S + 2
        await _moved(database_url, 3)
        assert all(await asyncio.gather(*waits))
        await asyncio.sleep(0.1)
        after = len(looks)
        await asyncio.sleep(0.1)
        assert len(looks) == after


async def test_a_reader_set_back_is_not_said_to_have_arrived(database_url: str) -> None:
    """What was seen before a crash of the server does not count: only a look from now on does."""
    await _moved(database_url, 9)
    async with _waiters(database_url) as waiters:
        assert await waiters.reached(9, 5)
        await fixtures.execute(
            database_url, "UPDATE events.checkpoints SET position = 4 WHERE reader = 'projector'"
        )
        assert not await waiters.reached(9, 0.2)
        assert await waiters.reached(4, 5)


async def test_with_the_database_away_waiters_time_out_and_later_ones_are_served(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch survives lost connections."""
    await _moved(database_url, 1)
    async with _waiters(database_url) as waiters:
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "read", _away)
            assert not await waiters.reached(1, 0.2)
        assert await waiters.reached(1, 5)
        waiting = asyncio.create_task(waiters.reached(2, 20))
        for _ in range(3):
            await fixtures.execute(
                database_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'daybook_reader' AND datname = current_database()",
            )
            await asyncio.sleep(0.05)
        await _moved(database_url, 2)
        assert await asyncio.wait_for(waiting, patient_s(10))


async def test_a_waiter_that_goes_away_stops_nobody(database_url: str) -> None:
    """A cancelled request leaves the others waiting, and counts no more."""
    async with _waiters(database_url) as waiters:
        gone = asyncio.create_task(waiters.reached(1, 20))
        stays = asyncio.create_task(waiters.reached(1, 20))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        await _moved(database_url, 1)
        assert await asyncio.wait_for(stays, patient_s(5))


async def test_a_checkpoint_never_moves_backwards(database_url: str) -> None:
    """A worker that was overtaken cannot take the reader back."""
    async with fixtures.connected(database_url, "daybook_projector") as connection:
        for position in (7, 3):
            async with connection.transaction():
                await checkpoints.lock(connection, PROJECTOR)
                await checkpoints.move(connection, PROJECTOR, position)
        assert await checkpoints.read(connection, PROJECTOR) == 7


async def test_a_locked_checkpoint_is_skipped_by_those_who_only_try(database_url: str) -> None:
    """`try_lock` returns at once with nothing; `lock` waits its turn."""
    async with (
        fixtures.connected(database_url, "daybook_relay") as one,
        fixtures.connected(database_url, "daybook_relay") as two,
    ):
        async with one.transaction():
            assert await checkpoints.try_lock(one, "relay") == 0
            assert await checkpoints.try_lock(two, "relay") is None
            turn = asyncio.create_task(checkpoints.lock(two, "relay"))
            await asyncio.sleep(0.1)
            assert not turn.done()
            await checkpoints.move(one, "relay", 2)
        assert (await asyncio.wait_for(turn, patient_s(5))).position == 2


@asynccontextmanager
async def _waiters(database_url: str) -> AsyncIterator[Waiters]:
    async with (
        database.pool(database_url, ROLE, 2) as pool,
        Waiters(pool, PROJECTOR).watching() as waiters,
    ):
        yield waiters


async def _moved(database_url: str, position: int) -> None:
    async with fixtures.connected(database_url, "daybook_projector") as connection:
        await checkpoints.move(connection, PROJECTOR, position)


def _looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    looks: list[float] = []
    original = checkpoints.read

    async def counted(connection: database.Executor, reader: str) -> int:
        looks.append(time.monotonic())
        return await original(connection, reader)

    monkeypatch.setattr(checkpoints, "read", counted)
    return looks


async def _away(_connection: database.Executor, _reader: str) -> int:
    await asyncio.sleep(0)
    raise ConnectionResetError
