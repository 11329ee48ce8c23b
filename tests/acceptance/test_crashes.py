"""`kill -9` in the middle of load: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from daybook.embedded.up import Service
from tests.acceptance.driver import (
    READABLE,
    Database,
    Ledger,
    environment,
    is_again,
    is_ready,
    new_key,
    opened_ledger,
    outcomes,
    projected,
    run,
    until,
)

pytestmark = pytest.mark.xdist_group("mortal")

CLIENTS = 8
LOAD_BEFORE_S, LOAD_AFTER_S = 0.6, 0.6
ATTEMPTS_MAX = 400
PAUSE_S = 0.1
FINAL = {200, 202, 422}
AGAIN = 503


class Load:
    """Clients that submit unique keys, and repeat each until it is answered or the load ends."""

    def __init__(self, ledger: Ledger) -> None:
        """Prepare the clients without submitting."""
        self._ledger = ledger
        self.enough = asyncio.Event()
        self.answers: dict[str, httpx.Response] = {}
        self.surprises: list[str] = []
        self.disturbed = 0

    async def run(self, number: int) -> None:
        """Act as one client that pays, sometimes waits for it, and sometimes asks for too much."""
        count = 0
        while not self.enough.is_set():
            count += 1
            key = new_key()
            fields: dict[str, Any] = {"source": "wallet", "destination": f"shop-{number}"}
            fields["amount"] = b"1.00"
            if count % 5 == 0:
                fields["source"] = "empty"
            if count % 7 == 0:
                fields["headers"] = READABLE
            await self._insist(key, fields)

    async def _insist(self, key: str, fields: dict[str, Any]) -> None:
        for _ in range(ATTEMPTS_MAX):
            try:
                answer = await self._ledger.submit(key, **fields)
            except httpx.TransportError:
                self.disturbed += 1
                await asyncio.sleep(PAUSE_S)
                continue
            if answer.status_code in FINAL:
                self.answers[key] = answer
                return
            if answer.status_code != AGAIN:
                self.surprises.append(f"{answer.status_code} {answer.text}")
            self.disturbed += 1
            await asyncio.sleep(PAUSE_S)
        self.surprises.append(f"{key} was never answered")


@pytest.fixture
async def ledger(mortal: Service) -> AsyncIterator[Ledger]:
    """Open a fresh ledger in the service that may be killed."""
    async with opened_ledger(mortal) as opened:
        await opened.fund("wallet", "1000000")
        yield opened


@asynccontextmanager
async def onlooker(mortal: Service) -> AsyncIterator[Database]:
    """Connect for a short time, because PostgreSQL itself may be restarted."""
    connection = await asyncpg.connect(mortal.database_url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def under_load(ledger: Ledger) -> AsyncIterator[Load]:
    """Keep the program busy inside the context, and wait for every answer at the end."""
    load = Load(ledger)
    clients = [asyncio.create_task(load.run(number)) for number in range(CLIENTS)]
    try:
        await asyncio.sleep(LOAD_BEFORE_S)
        yield load
        await asyncio.sleep(LOAD_AFTER_S)
    finally:
        load.enough.set()
        await asyncio.gather(*clients)


async def is_level(mortal: Service) -> bool:
    """Return whether the read models are at the end of the log."""
    async with onlooker(mortal) as database:
        return await projected(database)


async def check_nothing_is_lost_or_doubled(mortal: Service, ledger: Ledger, load: Load) -> None:
    """Compare the answers with the log, the log with the views, and the sum of the money."""
    assert load.surprises == []
    async with onlooker(mortal) as database:
        events = await outcomes(database, ledger.name)
        gaps = await database.fetchval(
            "SELECT max(notification_id) - count(*) FROM events.daybook_events"
        )
    assert gaps == 0
    assert max(Counter(row["key"] for row in events).values()) == 1
    by_key = {row["key"]: row for row in events}
    told = {key: str(answer.status_code) for key, answer in load.answers.items()}
    assert {key for key in told if key not in by_key} == set(), "acknowledged, and lost"
    for key, answer in load.answers.items():
        refused = answer.status_code == 422
        assert by_key[key]["topic"] == ("transfer.rejected" if refused else "transfer.posted")
        assert int(answer.headers["Daybook-Position"]) == by_key[key]["position"]

    await until(lambda: is_level(mortal), "the projector catches up")
    paid = sum(answer.status_code != 422 for answer in load.answers.values())
    balance = await ledger.get("/accounts/wallet/balance")
    assert balance["debits_posted_minor"] == str(100 * paid)

    report = await run("reconcile", "--json", env=environment(mortal))
    assert report.code == 0, report.out + report.err
    found = msgspec.json.decode(report.out)
    assert (found["discrepancy_count"], found["discrepancies"]) == (0, [])
    assert found["events_read"] >= len(events)


@pytest.mark.parametrize("name", ["api", "relay", "project", "valkey", "sqs", "postgres"])
async def test_killed_process_loses_and_doubles_nothing(
    mortal: Service, ledger: Ledger, name: str
) -> None:
    """Each killed process is restarted, and every answered command is in the log once."""
    await until(lambda: is_ready(mortal.url), "everything is there")
    async with under_load(ledger) as load:
        answered = len(load.answers)
        assert answered > 0
        victim = mortal.pids()[name]
        os.kill(victim, signal.SIGKILL)
        await until(lambda: is_again(mortal, name, victim), f"{name} is started again")
        await until(lambda: is_ready(mortal.url), "everything is there again")
        during = len(load.answers)
    assert len(load.answers) > during, "no load after the crash"
    if name == "api":  # The writer bridges a short absence of PostgreSQL, and nobody notices.
        assert load.disturbed > 0, "the crash was in the middle of nothing"
    await check_nothing_is_lost_or_doubled(mortal, ledger, load)


async def test_projector_and_relay_killed_again_and_again(mortal: Service, ledger: Ledger) -> None:
    """Workers are killed at any moment; the read models still show each event once."""
    async with under_load(ledger) as load:
        for name in ("project", "relay", "project"):
            victim = mortal.pids()[name]
            os.kill(victim, signal.SIGKILL)
            await until(lambda: is_again(mortal, name, victim), "it is started again")  # noqa: B023
            await asyncio.sleep(0.7)
    await check_nothing_is_lost_or_doubled(mortal, ledger, load)


CORRUPTIONS = [
    (
        "balance_drift",
        "UPDATE read.balances SET credits_posted = credits_posted + $1",
    ),
    (
        "amount_mismatch",
        "UPDATE read.entries SET amount = amount + $1",
    ),
    (
        "running_balance_mismatch",
        "UPDATE read.entries SET credits_posted = credits_posted + $1",
    ),
    (
        "command_account_drift",
        "UPDATE command.accounts SET credits_posted = credits_posted + $1",
    ),
]


@pytest.mark.parametrize("kind, change", CORRUPTIONS)
async def test_corrupted_view_is_found(
    mortal: Service, ledger: Ledger, kind: str, change: str
) -> None:
    """A row that the log does not justify makes the exit code 1, and the report names it."""
    change += " WHERE ledger = $2 AND account_id = 'wallet'"
    async with onlooker(mortal) as database:
        await until(lambda: projected(database), "the projector catches up")
        assert await database.execute(change, 1, ledger.name) == "UPDATE 1"
        try:
            report = await run("reconcile", "--json", env=environment(mortal))
        finally:
            await database.execute(change, -1, ledger.name)
    assert report.code == 1, report.out + report.err
    found = msgspec.json.decode(report.out)
    assert found["discrepancy_count"] == 1
    (discrepancy,) = found["discrepancies"]
    assert (discrepancy["kind"], discrepancy["ledger"], discrepancy["account_id"]) == (
        kind,
        ledger.name,
        "wallet",
    )
    assert discrepancy["expected"] != discrepancy["actual"]
    assert discrepancy["position"] > 0
