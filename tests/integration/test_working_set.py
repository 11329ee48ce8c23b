"""Accounts stored late: nobody can tell, but by the rows, and those are never further behind."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from command_side.batch import append_batch
from command_side.commands import ChangeAccount, Command
from command_side.working_set import WorkingSet
from command_side.writer import ROLE
from events import log
from events.replay import Books
from projections.auditing.audited import COUNTERS
from projections.auditing.discrepancies import Kind
from projections.auditing.late import command_accounts
from projections.auditing.reconcile import ROLE as AUDITOR_ROLE
from projections.auditing.reconcile import reconcile_all
from projections.repairing import repair as repairs
from projections.repairing.plan import Wanted
from projections.repairing.repair import ROLE as REPAIRER_ROLE
from runtime import database
from tests.integration import given

ROWS = "SELECT * FROM command.accounts ORDER BY ledger, account_id"


class Writers:
    """Some processes, of which one decides each batch; now and then one fails, or begins anew."""

    def __init__(self, rng: random.Random, limits: Sequence[int]) -> None:
        self._rng = rng
        self._limits = limits
        self._sets = [WorkingSet(*limits) for _ in range(3)]

    async def append(
        self, connection: database.Connection, commands: Sequence[Command], now: datetime
    ) -> None:
        """Append a batch in one of them."""
        number = self._rng.randrange(len(self._sets))
        if self._rng.random() < 0.1:
            self._sets[number] = WorkingSet(*self._limits)
        working = self._sets[number]
        if self._rng.random() < 0.3:
            breaking = _Breaking(connection, self._rng.randrange(1, 6))
            with suppress(_BrokenError):
                lost = cast("database.Connection", breaking)
                await append_batch(lost, commands, given.SCHEMA, now, working)
            if breaking.committed:
                return
        await append_batch(connection, commands, given.SCHEMA, now, working)


class _BrokenError(Exception):
    """The connection broke."""


class _Breaking:
    """A connection that breaks after so many statements that write, or when it has committed."""

    def __init__(self, connection: database.Connection, writes: int) -> None:
        self._connection = connection
        self._left = writes
        self.committed = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the connection has
        return getattr(self._connection, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async with self._connection.transaction():
            yield
        self.committed = True
        raise _BrokenError

    async def copy_records_to_table(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401
        await self._connection.copy_records_to_table(*arguments, **more)
        self._written()

    async def execute(self, query: str, *arguments: Any) -> None:  # noqa: ANN401
        await self._connection.execute(query, *arguments)
        self._written()

    def _written(self) -> None:
        self._left -= 1
        if not self._left:
            raise _BrokenError


@pytest.fixture
async def twin_url(
    admin: database.Connection, postgres_server: str, template_database: str
) -> AsyncIterator[str]:
    """Make another database like that of `database_url`."""
    async with given.database_made(admin, template_database) as name:
        yield given.beside(postgres_server, name)


@pytest.mark.parametrize("seed", range(6))
async def test_nobody_can_tell_how_late_accounts_are_stored(
    database_url: str, twin_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes decide the same as one that stores at once; no row is behind its bounds."""
    rng = random.Random(seed)
    monkeypatch.setattr(log, "PAGE_EVENTS_MAX", rng.choice((1, 3, 5_000)))
    late_events, late_accounts, remembered = (
        rng.choice((1, 10, 40, 10**6)),
        rng.choice((1, 5, 10**6)),
        rng.choice((0, 6, 10**6)),
    )
    writers = Writers(rng, (late_events, late_accounts, remembered))
    commands = given.rich_commands(seed, 120) + given.settlements()
    batches = _batches(rng, commands)
    async with (
        given.connected(database_url, ROLE) as one,
        given.connected(twin_url, ROLE) as twin,
    ):
        for number, batch in enumerate(batches):
            now = given.START + timedelta(minutes=number)
            await writers.append(one, batch, now)
            await append_batch(twin, batch, given.SCHEMA, now)
            await _check_rows(one, late_events, late_accounts)
        assert await log.read_after(one, 0, 10**6) == await log.read_after(twin, 0, 10**6)
        at_once = [dict(row) for row in await twin.fetch(ROWS)]
        head = await log.head(one)
        accounts = await command_accounts(one, head)
        as_of_the_head = [accounts.shown(row) for row in await one.fetch(ROWS)]
    assert as_of_the_head == [row | {"position": head.position} for row in at_once]
    await given.project(database_url)
    async with given.connected(database_url, AUDITOR_ROLE) as auditor:
        report = await reconcile_all(auditor, uuid4())
    assert report.clean, report.discrepancies


@pytest.mark.parametrize("lie", ["h.position", "h.position + 1", "h.accounts_stored"])
async def test_a_row_that_says_it_is_elsewhere_is_found_and_mended(
    database_url: str, lie: str
) -> None:
    """Too late, it hides what has moved the account since; too early, some would count twice."""
    changed = ChangeAccount(ledger="demo", account_id="alice", metadata={"a": 1}, currency="USD")
    commands: list[Command] = [*map(given.transfer, "abc"), changed, *map(given.transfer, "de")]
    working = WorkingSet()
    async with given.connected(database_url, ROLE) as connection:
        for command in commands:
            await append_batch(connection, [command], given.SCHEMA, given.START, working)
    await given.project(database_url)
    async with (
        given.connected(database_url, AUDITOR_ROLE) as auditor,
        given.connected(database_url, REPAIRER_ROLE) as repairer,
    ):
        assert (await reconcile_all(auditor, uuid4())).clean
        await given.execute(
            database_url,
            f"UPDATE command.accounts SET position = {lie} FROM events.head AS h"  # noqa: S608
            " WHERE account_id = 'alice'",
        )
        assert (await reconcile_all(auditor, uuid4())).kinds == {Kind.COMMAND_DRIFT: 1}
        wanted = Wanted(ledger="demo", account_id="alice")
        done = await repairs.apply(repairer, wanted, applied_by="x", reason="y")
        assert done is not None
        assert [change.table for change in done.changes] == ["command.accounts"]
        assert (await reconcile_all(auditor, uuid4())).clean
    async with given.connected(database_url, ROLE) as connection:
        await append_batch(connection, [given.transfer("f")], given.SCHEMA, given.START, working)
        await _check_rows(connection, 10**6, 10**6)


async def _check_rows(connection: database.Connection, events_max: int, accounts_max: int) -> None:
    """Compare each row with the log up to where it says that it is, and look how far that is."""
    head = await log.head(connection)
    assert head.position - head.accounts_stored <= events_max
    rows = {(row["ledger"], row["account_id"]): row for row in await connection.fetch(ROWS)}
    behind = dict.fromkeys(rows, False)
    books = Books()
    counters = {key: dict.fromkeys(COUNTERS, 0) for key in rows}
    for recorded in await log.read_after(connection, 0, 10**6):
        for line in books.take(recorded)[0]:
            key = line.ledger, line.account_id
            if line.position <= max(rows[key]["position"], head.accounts_stored):
                counters[key] = {name: getattr(line, name) for name in COUNTERS}
            else:
                behind[key] = True
    assert counters == {key: {name: row[name] for name in COUNTERS} for key, row in rows.items()}
    assert sum(behind.values()) <= accounts_max


def _batches(rng: random.Random, commands: Sequence[Command]) -> list[Sequence[Command]]:
    made, first = [], 0
    while first < len(commands):
        size = rng.choice((1, 2, 5, 30))
        made.append(commands[first : first + size])
        first += size
    return made
