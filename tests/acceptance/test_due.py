"""Expiries and due transfers happen once, whatever is lost or killed: only the log knows them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from daybook.embedded.up import Service
from tests.acceptance.command_driver import (
    about,
    accepted,
    balance,
    follow,
    held,
    sleep_until,
    soon,
    stands,
    stream,
)
from tests.acceptance.driver import (
    Database,
    Ledger,
    client,
    flush_cache,
    is_ready,
    opened_ledger,
    paused,
    problem,
    second_api,
    until,
)

pytestmark = pytest.mark.xdist_group("mortal")

DUE_S = 2.0
MANY = 40
PAYS = {"source": "wallet", "destination": "shop"}


@pytest.fixture
async def onlooker(mortal: Service) -> AsyncIterator[Database]:
    """Connect to the database as an observer."""
    connection = await asyncpg.connect(mortal.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def ledger(mortal: Service) -> AsyncIterator[Ledger]:
    """Open a funded ledger in the service whose processes may be killed."""
    await until(lambda: is_ready(mortal.url), "everything is there")
    async with opened_ledger(mortal) as opened:
        await opened.fund("wallet", "1000.00")
        yield opened


async def kill(mortal: Service, name: str) -> None:
    """Kill a process, and wait until the supervisor has restarted it."""
    victim = mortal.pids()[name]
    os.kill(victim, signal.SIGKILL)

    async def again() -> bool:
        return mortal.pids()[name] != victim

    await until(again, f"{name} is started again")


async def come_to_pass(ledger: Ledger, onlooker: Database, hold: str, scheduled: str) -> None:
    """Check that a hold of 100 expired and a transfer of 10 was posted, each once."""
    await stands(ledger, hold, "EXPIRED")
    await stands(ledger, scheduled, "COMPLETED")
    assert await stream(onlooker, hold) == ["hold.placed", "hold.expired"]
    assert await stream(onlooker, scheduled) == ["transfer.scheduled", "transfer.posted"]
    wallet = await balance(ledger, "wallet")
    assert (wallet["balance"], wallet["available"]) == ("99000", "99000")


async def test_times_survive_the_loss_of_valkey_and_sqs(
    mortal: Service, ledger: Ledger, onlooker: Database
) -> None:
    """Both are emptied and killed before the time; they do not hold it."""
    due_at = soon(DUE_S)
    hold = await held(ledger, expires_at=due_at)
    scheduled = await accepted(ledger, **PAYS, amount=b"10.00", due_at=due_at)
    await flush_cache(mortal)
    await asyncio.gather(kill(mortal, "valkey"), kill(mortal, "sqs"))
    await come_to_pass(ledger, onlooker, hold, scheduled)


async def test_times_come_while_valkey_stands_still(
    mortal: Service, ledger: Ledger, onlooker: Database
) -> None:
    """A cache that accepts connections and never answers delays nothing."""
    due_at = soon(DUE_S)
    hold = await held(ledger, expires_at=due_at)
    scheduled = await accepted(ledger, **PAYS, amount=b"10.00", due_at=due_at)
    with paused(mortal.pids()["valkey"]):
        await come_to_pass(ledger, onlooker, hold, scheduled)


async def test_times_that_pass_without_an_api_are_caught_up(
    mortal: Service, ledger: Ledger, onlooker: Database
) -> None:
    """The API is stopped when the time comes; after a restart it records what was due."""
    due_at = soon(0.8)
    hold = await held(ledger, expires_at=due_at)
    scheduled = await accepted(ledger, **PAYS, amount=b"10.00", due_at=due_at)
    os.kill(mortal.pids()["api"], signal.SIGSTOP)  # The supervisor would start a dead one again.
    await sleep_until(due_at, 0.3)
    assert await stream(onlooker, hold) == ["hold.placed"]
    assert await stream(onlooker, scheduled) == ["transfer.scheduled"]
    await kill(mortal, "api")
    await until(lambda: is_ready(mortal.url), "the API is back")
    await come_to_pass(ledger, onlooker, hold, scheduled)
    problem(await follow(ledger, "capture", hold), 422, "hold_expired")
    problem(await follow(ledger, "cancel", scheduled), 422, "schedule_executed")


async def test_two_processes_settle_and_each_time_comes_once(
    mortal: Service, ledger: Ledger, onlooker: Database
) -> None:
    """Many are due at one moment, in two processes: each gets one event."""
    async with second_api(mortal) as url, client(url, ledger.token) as http:
        twins = ledger, Ledger(ledger.name, ledger.token, http)
        due_at = soon(DUE_S)
        ids = await asyncio.gather(
            *(
                accepted(twins[n % 2], **PAYS, amount=b"1.00", pending=True, expires_at=due_at)
                for n in range(MANY)
            ),
            *(accepted(twins[n % 2], **PAYS, amount=b"1.00", due_at=due_at) for n in range(MANY)),
        )
        await asyncio.gather(
            *(stands(ledger, each, "EXPIRED") for each in ids[:MANY]),
            *(stands(ledger, each, "COMPLETED") for each in ids[MANY:]),
        )
        await asyncio.sleep(1.1)  # Both have swept again.
    for each in ids[:MANY]:
        assert await stream(onlooker, each) == ["hold.placed", "hold.expired"]
    for each in ids[MANY:]:
        assert await stream(onlooker, each) == ["transfer.scheduled", "transfer.posted"]
        assert await about(onlooker, ledger, each) == []
    assert (await balance(ledger, "wallet"))["balance"] == str(100_000 - 100 * MANY)
