"""Accounts are stored late: only the rows show it, and no row is further behind than its bound."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import asyncpg
import pytest

from auditing.discrepancies import DiscrepancyKind
from auditing.reconcile.reconcile import reconcile_all
from auditing.repair import repair as repairs
from auditing.repair.plan import RowSelection
from auditing.replay import ReplayedState
from auditing.roles import AUDITOR as AUDITOR_ROLE
from auditing.roles import REPAIRER as REPAIRER_ROLE
from auditing.unflushed_accounts import command_accounts
from auditing.view_catalog import COUNTERS
from command_side.domain.commands import ChangeAccount, Command, Rehearsal
from command_side.writer.account_cache import AccountCache
from command_side.writer.commit import append_batch
from command_side.writer.outcomes import Accepted, Outcome, Refused, Rehearsed
from command_side.writer.writer import ROLE
from events import log
from events.types import Status
from runtime import database
from tests.integration import fixtures

REFUSED_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'not durable'; END $$;
CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON events.daybook_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()
"""
ROWS = "SELECT * FROM command.accounts ORDER BY ledger, account_id"


class Writers:
    """Some processes, of which one decides each batch; now and then one fails, or begins anew."""

    def __init__(self, rng: random.Random, limits: Sequence[int]) -> None:
        self._rng = rng
        self._limits = limits
        self._caches = [AccountCache(*limits) for _ in range(3)]

    async def append(
        self, connection: database.Connection, commands: Sequence[Command], now: datetime
    ) -> None:
        """Append a batch in one of them."""
        number = self._rng.randrange(len(self._caches))
        if self._rng.random() < 0.1:
            self._caches[number] = AccountCache(*self._limits)
        cache = self._caches[number]
        if self._rng.random() < 0.3:
            breaking = _Breaking(connection, self._rng.randrange(1, 6))
            with suppress(_BrokenError):
                lost = cast("database.Connection", breaking)
                await append_batch(lost, commands, fixtures.SCHEMA, now, cache)
            if breaking.committed:
                return
        await append_batch(connection, commands, fixtures.SCHEMA, now, cache)


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

    async def execute(self, query: str, *arguments: Any) -> str:  # noqa: ANN401
        done = await self._connection.execute(query, *arguments)
        self._left -= 1
        alone = not self._connection.is_in_transaction()
        if not self._left or alone:
            self.committed = alone and done != log.NOTHING_INSERTED
            raise _BrokenError
        return done


@pytest.fixture
async def twin_url(
    admin: database.Connection, postgres_server: str, template_database: str
) -> AsyncIterator[str]:
    """Make another database like that of `database_url`."""
    async with fixtures.database_made(admin, template_database) as name:
        yield fixtures.beside(postgres_server, name)


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
    commands = fixtures.rich_commands(seed, 120) + fixtures.settlements()
    batches = _batches(rng, commands)
    async with (
        fixtures.connected(database_url, ROLE) as one,
        fixtures.connected(twin_url, ROLE) as twin,
    ):
        for number, batch in enumerate(batches):
            now = fixtures.START + timedelta(minutes=number)
            await writers.append(one, batch, now)
            await append_batch(twin, batch, fixtures.SCHEMA, now)
            await _check_rows(one, late_events, late_accounts)
        assert await log.read_after(one, 0, 10**6) == await log.read_after(twin, 0, 10**6)
        at_once = [dict(row) for row in await twin.fetch(ROWS)]
        head = await log.head(one)
        accounts = await command_accounts(one, head)
        as_of_the_head = [accounts.shown(row) for row in await one.fetch(ROWS)]
    assert as_of_the_head == [row | {"position": head.position} for row in at_once]
    await fixtures.project(database_url)
    async with fixtures.connected(database_url, AUDITOR_ROLE) as auditor:
        report = await reconcile_all(auditor, uuid4())
    assert report.clean, report.discrepancies


@pytest.mark.parametrize("lie", ["h.position", "h.position + 1", "h.accounts_stored"])
async def test_a_row_that_says_it_is_elsewhere_is_found_and_mended(
    database_url: str, lie: str
) -> None:
    """Too late, it hides what has moved the account since; too early, some would count twice."""
    changed = ChangeAccount(ledger="demo", account_id="alice", metadata={"a": 1}, currency="USD")
    commands: list[Command] = [
        *map(fixtures.transfer, "abc"),
        changed,
        *map(fixtures.transfer, "de"),
    ]
    cache = AccountCache()
    async with fixtures.connected(database_url, ROLE) as connection:
        for command in commands:
            await append_batch(connection, [command], fixtures.SCHEMA, fixtures.START, cache)
    await fixtures.project(database_url)
    async with (
        fixtures.connected(database_url, AUDITOR_ROLE) as auditor,
        fixtures.connected(database_url, REPAIRER_ROLE) as repairer,
    ):
        assert (await reconcile_all(auditor, uuid4())).clean
        await fixtures.execute(
            database_url,
            f"UPDATE command.accounts SET position = {lie} FROM events.head AS h"  # noqa: S608
            " WHERE account_id = 'alice'",
        )
        assert (await reconcile_all(auditor, uuid4())).kinds == {DiscrepancyKind.COMMAND_DRIFT: 1}
        wanted = RowSelection(ledger="demo", account_id="alice")
        done = await repairs.apply(repairer, wanted, applied_by="x", reason="y")
        assert done is not None
        assert [change.table for change in done.changes] == ["command.accounts"]
        assert (await reconcile_all(auditor, uuid4())).clean
    async with fixtures.connected(database_url, ROLE) as connection:
        await append_batch(
            connection, [fixtures.transfer("f")], fixtures.SCHEMA, fixtures.START, cache
        )
        await _check_rows(connection, 10**6, 10**6)


async def test_who_is_alone_appends_in_one_statement(database_url: str) -> None:
    """From the third batch on: the second shows that nobody else appends."""
    cache = AccountCache()
    statements: list[str] = []
    async with fixtures.connected(database_url, ROLE) as connection:
        await _append(connection, cache, "a")
        await _append(connection, cache, "b")
        connection.add_query_logger(lambda query: statements.append(query.query))
        await _append(connection, cache, "c")
        await _append(connection, cache, "d", "e")
    assert statements == [log.SQL["append"]] * 2


@pytest.mark.parametrize(
    "between, batch, answers",
    [
        pytest.param([fixtures.transfer("x")], [fixtures.transfer("c")], [6], id="others append"),
        pytest.param([], [fixtures.transfer("c"), fixtures.transfer("a")], [5, 3], id="key used"),
        pytest.param([], [fixtures.transfer("c"), fixtures.transfer("c")], [5, 5], id="key twice"),
        pytest.param(
            [
                ChangeAccount(
                    ledger="demo", account_id="alice", status=Status.FROZEN_IN, currency="USD"
                )
            ],
            [fixtures.transfer("c")],
            ["account_frozen"],
            id="others freeze",
        ),
        pytest.param(
            [],
            [Rehearsal(ledger="demo", commands=(fixtures.transfer("a"),))],
            [3],
            id="rehearsal",
        ),
    ],
)
async def test_who_is_not_alone_or_asks_of_the_past_looks_again(
    database_url: str, between: list[Command], batch: list[Command], answers: list[int | str]
) -> None:
    """Outcomes are those of the log as it is, not as the process remembers it."""
    cache = AccountCache()
    async with fixtures.connected(database_url, ROLE) as connection:
        for key in "ab":
            await _append(connection, cache, key)
        assert cache.head == await log.head(connection)
        if between:
            await append_batch(connection, between, fixtures.SCHEMA, fixtures.START)
        outcomes = await append_batch(connection, batch, fixtures.SCHEMA, fixtures.START, cache)
        events = await log.read_after(connection, 0, 10**6)
    assert [_answer(outcome) for outcome in outcomes] == answers
    assert [recorded.position for recorded in events] == [*range(1, len(events) + 1)]


async def test_a_mended_row_is_read_again(database_url: str) -> None:
    """Nobody has appended, so the head is where it was; but what is remembered may be wrong."""
    cache = AccountCache()
    async with fixtures.connected(database_url, ROLE) as connection:
        for key in "ab":
            await _append(connection, cache, key)
        await fixtures.execute(
            database_url,
            "UPDATE command.accounts SET status = 'frozen_in' WHERE account_id = 'alice'",
            "UPDATE events.head SET mended = mended + 1",
        )
        (outcome,) = await _append(connection, cache, "c")
    assert _answer(outcome) == "account_frozen"


async def test_an_append_that_fails_at_its_commit_is_none(database_url: str) -> None:
    """One statement is a transaction of its own: nothing is known of it before it is durable."""
    cache = AccountCache()
    async with fixtures.connected(database_url, ROLE) as connection:
        for key in "ab":
            await _append(connection, cache, key)
        before = await log.head(connection)
        await fixtures.execute(database_url, REFUSED_AT_COMMIT)
        with pytest.raises(asyncpg.RaiseError, match="not durable"):
            await _append(connection, cache, "c")
        assert cache.head == before == await log.head(connection)


async def _append(
    connection: database.Connection, cache: AccountCache, *keys: str
) -> list[Outcome]:
    commands = [fixtures.transfer(key) for key in keys]
    return await append_batch(connection, commands, fixtures.SCHEMA, fixtures.START, cache)


def _answer(outcome: Outcome) -> int | str:
    """Return the code of a refusal; otherwise the position, of a rehearsal that of its part."""
    match outcome:
        case Accepted():
            return outcome.position
        case Refused():
            return outcome.rejection.code
        case Rehearsed():
            return _answer(outcome.outcomes[0])
        case _:
            raise AssertionError(outcome)


async def _check_rows(connection: database.Connection, events_max: int, accounts_max: int) -> None:
    """Compare each row with the log up to where it says that it is, and look how far that is."""
    head = await log.head(connection)
    assert head.position - head.accounts_stored <= events_max
    rows = {(row["ledger"], row["account_id"]): row for row in await connection.fetch(ROWS)}
    behind = dict.fromkeys(rows, False)
    state = ReplayedState()
    counters = {key: dict.fromkeys(COUNTERS, 0) for key in rows}
    for recorded in await log.read_after(connection, 0, 10**6):
        for line in state.fold(recorded)[0]:
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
