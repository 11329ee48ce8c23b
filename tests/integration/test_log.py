"""The log is immutable, its positions gapless, and nobody has more rights than their work needs."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from events import log
from events.types import AccountOpened, AccountType, Recorded, Side
from runtime import database
from tests.integration import fixtures

NAMES = ("writer", "relay", "projector", "reader", "auditor", "repairer", "sealer", "matcher")
WRITER, RELAY, PROJECTOR, READER, AUDITOR, REPAIRER, SEALER, MATCHER = ROLES = tuple(
    f"daybook_{name}" for name in NAMES
)
APPENDERS = 16
ROUNDS = 12
CHANGES = (
    "UPDATE events.daybook_events SET topic = 'x'",
    "UPDATE events.daybook_events SET topic = topic WHERE false",
    "DELETE FROM events.daybook_events",
    "DELETE FROM events.daybook_events WHERE notification_id = 1",
    "TRUNCATE events.daybook_events",
    "TRUNCATE events.daybook_events CASCADE",
    "MERGE INTO events.daybook_events USING (SELECT 1) ON true WHEN MATCHED THEN DELETE",
    """INSERT INTO events.daybook_events TABLE events.daybook_events
    ON CONFLICT ON CONSTRAINT daybook_events_pkey DO UPDATE SET topic = 'x'""",
)
# Table by role; what is not listed is denied. T: nobody truncates anything. D: a row that is wrong
# is taken out by a repair.
RIGHTS = {
    "events.daybook_events": {
        WRITER: "SI", RELAY: "S", PROJECTOR: "S", READER: "S", AUDITOR: "S",
        REPAIRER: "S", SEALER: "S", MATCHER: "S",
    },
    "events.head": {
        WRITER: "SU", RELAY: "S", PROJECTOR: "S", READER: "S", AUDITOR: "S",
        REPAIRER: "S", SEALER: "S",
    },
    "events.checkpoints": {
        WRITER: "S", RELAY: "SU", PROJECTOR: "SU", READER: "S", AUDITOR: "SU",
        REPAIRER: "S", SEALER: "SU", MATCHER: "S",
    },
    "command.accounts": {WRITER: "SIU", AUDITOR: "S", REPAIRER: "SID"},
    "command.standings": {WRITER: "SIU", AUDITOR: "S", REPAIRER: "SID"},
    "command.books": {WRITER: "SIU", AUDITOR: "S", REPAIRER: "SID"},
    "read.accounts": {PROJECTOR: "SIU", READER: "S", AUDITOR: "S", REPAIRER: "SID", MATCHER: "S"},
    "read.balances": {PROJECTOR: "SIU", READER: "S", AUDITOR: "S", REPAIRER: "SID"},
    "read.entries": {PROJECTOR: "SI", READER: "S", AUDITOR: "S", REPAIRER: "SID", MATCHER: "S"},
    "read.transactions": {
        PROJECTOR: "SI", READER: "S", AUDITOR: "S", REPAIRER: "SID", MATCHER: "S",
    },
    "read.standings": {PROJECTOR: "SIU", READER: "S", AUDITOR: "S", REPAIRER: "SID"},
    "read.mentions": {PROJECTOR: "SI", READER: "S", AUDITOR: "S", REPAIRER: "SID"},
    "read.moments": {PROJECTOR: "SIU", READER: "S", AUDITOR: "S", REPAIRER: "SID", MATCHER: "S"},
    "read.books": {PROJECTOR: "SIU", READER: "S", AUDITOR: "S", REPAIRER: "SID"},
    "read.reconciliations": {READER: "S", AUDITOR: "SIU", REPAIRER: "S"},
    "read.repairs": {READER: "S", AUDITOR: "S", REPAIRER: "SI"},
    "read.repair_checks": {READER: "S", AUDITOR: "S", REPAIRER: "SI"},
    "read.rebuilds": {READER: "S", AUDITOR: "S"},
    # Of what may be updated it is single columns, which do not show here.
    "external.statements": {AUDITOR: "S", MATCHER: "SI"},
    "external.lines": {AUDITOR: "S", MATCHER: "SI"},
    "external.matches": {AUDITOR: "S", MATCHER: "SI"},
    "external.match_lines": {AUDITOR: "S", MATCHER: "SI"},
    "external.match_entries": {AUDITOR: "S", MATCHER: "SI"},
    "external.decisions": {AUDITOR: "S", MATCHER: "SI"},
    "read.discrepancies": {READER: "S", AUDITOR: "SI"},
    "read.places": {AUDITOR: "SIUD"},
    "read.four_ways": {AUDITOR: "SIU"},
    "runtime.tokens": {WRITER: "S", READER: "S", AUDITOR: "S"},
    "runtime.migrations": {},
    "seal.secret": {READER: "S", AUDITOR: "S", REPAIRER: "S", SEALER: "S"},
    "seal.tiles": {READER: "S", AUDITOR: "S", REPAIRER: "S", SEALER: "SIU"},
    "seal.checkpoints": {READER: "S", AUDITOR: "S", REPAIRER: "S", SEALER: "SI"},
}  # fmt: skip
VERBS = {
    "S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE",
    "R": "REFERENCES", "G": "TRIGGER",
}  # fmt: skip
DENIED = [
    *((WRITER, change) for change in CHANGES),
    (WRITER, "INSERT INTO read.balances SELECT * FROM read.balances"),
    (WRITER, "SELECT * FROM read.entries"),
    (WRITER, "UPDATE events.checkpoints SET position = 0"),
    (WRITER, "DELETE FROM command.accounts"),
    (WRITER, "ALTER TABLE events.daybook_events DISABLE TRIGGER ALL"),
    (WRITER, "DROP TABLE events.daybook_events"),
    (WRITER, "SET session_replication_role = replica"),
    (WRITER, "CREATE TABLE events.mine (x int)"),
    (RELAY, "UPDATE events.head SET position = 0"),
    (RELAY, "INSERT INTO events.checkpoints (reader, position) VALUES ('x', 0)"),
    (RELAY, "SELECT * FROM read.transactions"),
    (RELAY, "SELECT * FROM command.accounts"),
    (RELAY, "SELECT * FROM runtime.tokens"),
    (PROJECTOR, "INSERT INTO events.daybook_events SELECT * FROM events.daybook_events"),
    (PROJECTOR, "UPDATE events.head SET position = 0"),
    (PROJECTOR, "SELECT * FROM command.accounts"),
    (
        PROJECTOR,
        "INSERT INTO read.reconciliations (failure) VALUES (NULL)",
    ),
    (PROJECTOR, "DELETE FROM read.entries"),
    (READER, "UPDATE read.balances SET position = 0"),
    (READER, "INSERT INTO read.reconciliations (failure) VALUES (NULL)"),
    (READER, "INSERT INTO runtime.tokens SELECT * FROM runtime.tokens"),
    (READER, "SELECT * FROM command.accounts"),
    (READER, "SELECT * FROM events.head FOR UPDATE"),
    (AUDITOR, "UPDATE read.discrepancies SET expected = actual"),
    (AUDITOR, "DELETE FROM read.discrepancies"),
    (AUDITOR, "DELETE FROM read.reconciliations"),
    (AUDITOR, "UPDATE read.balances SET position = 0"),
    (AUDITOR, "UPDATE command.accounts SET version = 0"),
    (AUDITOR, "INSERT INTO events.daybook_events SELECT * FROM events.daybook_events"),
    (AUDITOR, "UPDATE events.head SET position = 0"),
    *((REPAIRER, change) for change in CHANGES),
    (REPAIRER, "UPDATE events.head SET position = 0"),
    (REPAIRER, "UPDATE events.checkpoints SET position = 0"),
    (REPAIRER, "UPDATE read.balances SET position = 0"),
    (REPAIRER, "UPDATE read.repairs SET reason = 'another'"),
    (REPAIRER, "DELETE FROM read.repairs"),
    (REPAIRER, "DELETE FROM read.reconciliations"),
    (REPAIRER, "SELECT * FROM runtime.tokens"),
    (SEALER, "INSERT INTO events.daybook_events SELECT * FROM events.daybook_events"),
    (SEALER, "UPDATE seal.checkpoints SET note = ''"),
    (SEALER, "UPDATE seal.secret SET secret = secret"),
    (SEALER, "DELETE FROM seal.tiles"),
    (SEALER, "SELECT * FROM read.accounts"),
    (WRITER, "SELECT * FROM seal.secret"),
    (READER, "UPDATE seal.tiles SET level = 0"),
    (AUDITOR, "UPDATE external.matches SET status = 'accepted'"),
    (MATCHER, "UPDATE external.lines SET amount = 1"),
    (MATCHER, "UPDATE external.decisions SET reason = 'other'"),
    (MATCHER, "UPDATE external.match_entries SET position = 1"),
    (MATCHER, "DELETE FROM external.matches"),
    (MATCHER, "INSERT INTO read.entries SELECT * FROM read.entries"),
    (MATCHER, "SELECT * FROM command.accounts"),
    (MATCHER, "SELECT * FROM runtime.tokens"),
]
KEPT = ("read.repairs", "read.repair_checks", "read.rebuilds")


async def test_not_even_the_owner_changes_an_event(database_url: str) -> None:
    """The superuser is refused by the trigger, whatever way the change takes."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    before = await fixtures.whole_log(database_url)
    async with fixtures.connected(database_url) as connection:
        for change in CHANGES:
            with pytest.raises(asyncpg.RestrictViolationError, match="the log is immutable"):
                await connection.execute(change)
    assert await fixtures.whole_log(database_url) == before


async def test_not_even_the_owner_changes_what_was_done(database_url: str) -> None:
    """Repairs and rebuilds stay on record, empty as the tables may be."""
    async with fixtures.connected(database_url) as connection:
        for table in KEPT:
            for change in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608
                with pytest.raises(asyncpg.RestrictViolationError, match="stays on record"):
                    await connection.execute(change)


async def test_a_role_is_denied_what_is_not_its_work(database_url: str) -> None:
    """Each statement is refused for want of the right, before any trigger is asked."""
    allowed: list[tuple[str, str]] = []
    for role in ROLES:
        async with fixtures.connected(database_url, role) as connection:
            for statement in [denied for whose, denied in DENIED if whose == role]:
                try:
                    await connection.execute(statement)
                except asyncpg.InsufficientPrivilegeError:
                    continue
                allowed.append((role, statement))
    assert not allowed


async def test_replica_mode_does_not_open_the_log(database_url: str) -> None:
    """A session that plays replica, as restore tools do, is refused as well."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    with pytest.raises(asyncpg.RestrictViolationError):
        await fixtures.execute(
            database_url,
            "SET session_replication_role = replica",
            "DELETE FROM events.daybook_events",
        )


async def test_the_roles_have_exactly_these_rights_on_tables(database_url: str) -> None:
    """Every table and every verb is compared, so a right too many shows as one too few does."""
    async with fixtures.connected(database_url) as connection:
        tables = await connection.fetch(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables"
            " WHERE schemaname IN"
            " ('events', 'command', 'read', 'external', 'runtime', 'seal', 'public')"
        )
        rights: dict[str, dict[str, str]] = {}
        for (table,) in tables:
            rights[table] = {}
            for role in ROLES:
                letters = [
                    letter
                    for letter, verb in VERBS.items()
                    if await connection.fetchval(
                        "SELECT has_table_privilege($1, $2, $3)", role, table, verb
                    )
                ]
                if letters:
                    rights[table][role] = "".join(letters)
    assert rights == RIGHTS


@pytest.mark.parametrize(
    "role, statement",
    [
        pytest.param(
            RELAY, "UPDATE events.checkpoints SET position = 9 WHERE reader = 'projector'"
        ),
        pytest.param(
            PROJECTOR, "UPDATE events.checkpoints SET position = 9 WHERE reader = 'relay'"
        ),
        pytest.param(PROJECTOR, "UPDATE read.entries SET amount = amount"),
        pytest.param(
            "daybook_repairer",
            "UPDATE events.checkpoints SET moved_at = now() WHERE reader = 'relay'",
        ),
    ],
)
async def test_a_role_keeps_to_its_own_rows(database_url: str, role: str, statement: str) -> None:
    """A relay moves its own checkpoint only; entries are only ever added."""
    async with fixtures.connected(database_url, role) as connection:
        try:
            changed = await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            changed = "UPDATE 0"
    assert changed == "UPDATE 0"


async def test_the_head_cannot_be_taken_back(database_url: str) -> None:
    """A head behind the log makes the next append fail, and never overwrites a position."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.execute(database_url, "UPDATE events.head SET position = 1")
    with pytest.raises(asyncpg.UniqueViolationError):
        await fixtures.written(database_url, [fixtures.transfer("two")])
    assert len(await fixtures.whole_log(database_url)) == 3


async def test_a_stream_takes_a_version_once(database_url: str) -> None:
    """The second append of a version fails, and leaves no gap."""
    stream_id = uuid4()
    async with fixtures.connected(database_url, WRITER) as connection:
        await _append(connection, [stream_id], fixtures.START)
        with pytest.raises(asyncpg.UniqueViolationError):
            await _append(connection, [uuid4(), stream_id], fixtures.START)
        await _append(connection, [uuid4()], fixtures.START)
    assert [recorded.position for recorded in await fixtures.whole_log(database_url)] == [1, 2]


async def test_sixteen_appenders_with_rollbacks_leave_no_gap_and_a_tail_misses_nothing(
    database_url: str,
) -> None:
    """Positions are contiguous in commit order, and times never go backwards, though clocks do."""
    committed: set[UUID] = set()
    ended = asyncio.Event()
    tail = asyncio.create_task(_tail(database_url, ended))
    await asyncio.gather(*(_appender(database_url, seed, committed) for seed in range(APPENDERS)))
    ended.set()
    seen = await tail
    assert [recorded.position for recorded in seen] == list(range(1, len(committed) + 1))
    assert {recorded.originator_id for recorded in seen} == committed
    assert len(committed) > APPENDERS
    times = [recorded.event.recorded_at for recorded in seen]
    assert times == sorted(times)
    assert seen == await fixtures.whole_log(database_url)
    async with fixtures.connected(database_url) as connection:
        head = await log.head(connection)
    assert (head.position, head.recorded_at) == (len(seen), times[-1])


async def test_pages_keep_within_their_bounds(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any page size gives the events in (after, until], in order, once."""
    length = await fixtures.rich_log(database_url, count=20)
    events = await fixtures.whole_log(database_url)
    async with fixtures.connected(database_url, AUDITOR) as connection:
        for size in (1, 7, length - 1, length, length + 1):
            monkeypatch.setattr(log, "PAGE_EVENTS_MAX", size)
            pages = [page async for page in log.pages(connection, 3, length - 2)]
            assert all(0 < len(page) <= size for page in pages)
            assert [event for page in pages for event in page] == events[3 : length - 2]


async def _appender(database_url: str, seed: int, committed: set[UUID]) -> None:
    rng = random.Random(seed)
    async with fixtures.connected(database_url, WRITER) as connection:
        for _ in range(ROUNDS):
            stream_ids = [uuid4() for _ in range(rng.randint(1, 4))]
            now = datetime.now(UTC) + timedelta(seconds=rng.uniform(-3600, 1))
            roll_back = rng.random() < 0.3
            try:
                await _append(connection, stream_ids, now, rng, roll_back=roll_back)
            except _RolledBackError:
                continue
            committed.update(stream_ids)
            await asyncio.sleep(rng.uniform(0, 0.003))


async def _append(
    connection: database.Connection,
    stream_ids: list[UUID],
    now: datetime,
    rng: random.Random | None = None,
    *,
    roll_back: bool = False,
) -> None:
    async with connection.transaction():
        head = await log.lock_head(connection)
        event = AccountOpened(
            ledger="demo",
            account_id="alice",
            account_class="customer",
            account_type=AccountType.LIABILITY,
            currency="USD",
            normal_side=Side.CREDIT,
            overdraft_limit="0",
            recorded_at=max(head.recorded_at, now),
        )
        events = [(stream_id, 1, event) for stream_id in stream_ids]
        await log.append(connection, head, events, head.accounts_stored)
        if rng is not None:
            await asyncio.sleep(rng.uniform(0, 0.002))
        if roll_back:
            raise _RolledBackError


class _RolledBackError(Exception):
    """The appender changed its mind."""


async def _tail(database_url: str, ended: asyncio.Event) -> list[Recorded]:
    seen: list[Recorded] = []
    async with fixtures.connected(database_url, RELAY) as connection:
        while True:
            last_look = ended.is_set()
            position = seen[-1].position if seen else 0
            page = await log.read_after(connection, position, 7)
            seen += page
            if last_look and not page:
                return seen
