"""Reconciliation: silent on what agrees, and precise about every kind of difference."""

# ruff: noqa: S608 - faults are made by SQL that is put together from constants

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
import pytest

from auditing import difference_walker
from auditing.differences import Scope
from auditing.discrepancies import KEPT_MAX, Discrepancy, DiscrepancyKind
from auditing.reconcile.jobs import SQL, record
from auditing.reconcile.reconcile import Report, reconcile_account, reconcile_all
from auditing.roles import AUDITOR
from command_side.domain.commands import Refund
from events import log
from events.types import transaction_id
from projections.worker import Projector
from runtime.problems import Invalid
from tests.integration import fixtures
from tests.integration.hostile_queue import GivenQueue
from web import times
from web.cursors import BIGGEST

OPEN_LOG = "ALTER TABLE events.daybook_events DISABLE TRIGGER daybook_events_immutable"
ALICE_FUNDING = "transaction_id = '" + str(transaction_id("demo", "fund-alice")) + "'"
REFUSED = "transaction_id = '" + str(transaction_id("demo", "too-much")) + "'"
ALICE = "ledger = 'demo' AND account_id = 'alice'"
BOB = "ledger = 'demo' AND account_id = 'bob'"
PHANTOM = "'" + str(transaction_id("demo", "phantom")) + "'"
AT_FUNDING = f"(SELECT position FROM read.transactions WHERE {ALICE_FUNDING})"
AT_REFUSED = f"(SELECT position FROM read.transactions WHERE {REFUSED})"
AT_REFUND = (
    "(SELECT position FROM read.transactions WHERE ledger = 'demo' AND idempotency_key = 'back-2')"
)
AT_LAST_OF_ALICE = f"(SELECT max(position) FROM read.entries WHERE {ALICE})"
AT_CLOSING = "(SELECT position FROM read.books WHERE ledger = 'demo')"
AT_CHANGE_OF_BOB = (
    "(SELECT max(notification_id) FROM events.daybook_events WHERE topic = 'account.changed'"
    " AND convert_from(state, 'UTF8')::jsonb ->> 'account_id' = 'bob')"
)
LAST = "(SELECT max(position) FROM read.moments)"


class Fault(NamedTuple):
    """A fault made by hand, and what must be said of it; `position` is asked of the database."""

    kind: DiscrepancyKind
    statement: str
    position: str
    account_id: str | None
    transaction: str | None
    expected: str
    actual: str


ENTRY = "kind posted, side credit, amount 100000, currency USD"
FAULTS = [
    Fault(
        DiscrepancyKind.MISSING_ENTRY,
        f"DELETE FROM read.entries WHERE {ALICE} AND {ALICE_FUNDING}",
        AT_FUNDING, "alice", "fund-alice", ENTRY, "nothing",
    ),
    Fault(
        DiscrepancyKind.UNEXPECTED_ENTRY,
        "INSERT INTO read.entries SELECT ledger, account_id, position, 7, transaction_id, 'held',"
        " side, 3, currency, 4, 5, 6, 7, recorded_at FROM read.entries"
        f" WHERE {ALICE} AND {ALICE_FUNDING}",
        AT_FUNDING, "alice", "fund-alice", "nothing",
        "line 7, kind held, side credit, amount 3, currency USD",
    ),
    Fault(
        DiscrepancyKind.AMOUNT_MISMATCH,
        f"UPDATE read.entries SET amount = 7 WHERE {ALICE} AND {ALICE_FUNDING}",
        AT_FUNDING, "alice", "fund-alice", "amount 100000", "amount 7",
    ),
    Fault(
        DiscrepancyKind.AMOUNT_MISMATCH,
        f"UPDATE read.entries SET side = 'debit' WHERE {ALICE} AND {ALICE_FUNDING}",
        AT_FUNDING, "alice", "fund-alice", "side credit", "side debit",
    ),
    Fault(
        DiscrepancyKind.BALANCE_MISMATCH,
        f"UPDATE read.entries SET debits_pending = 8 WHERE {ALICE} AND {ALICE_FUNDING}",
        AT_FUNDING, "alice", "fund-alice", "debits_pending 0", "debits_pending 8",
    ),
    Fault(
        DiscrepancyKind.MISSING_TRANSACTION,
        f"DELETE FROM read.transactions WHERE {REFUSED}",
        AT_REFUSED, None, "too-much", "stage FAILED, code insufficient_funds", "nothing",
    ),
    Fault(
        DiscrepancyKind.UNEXPECTED_TRANSACTION,
        "INSERT INTO read.transactions (transaction_id, ledger, position, idempotency_key, kind,"
        f" stage, recorded_at) VALUES ({PHANTOM}, 'demo', 1,"
        " 'phantom', 'transfer', 'FAILED', now())",
        "1", None, "phantom", "nothing", "position 1, idempotency_key phantom",
    ),
    Fault(
        DiscrepancyKind.STATUS_MISMATCH,
        f"UPDATE read.transactions SET stage = 'COMPLETED' WHERE {REFUSED}",
        AT_REFUSED, None, "too-much", "stage FAILED", "stage COMPLETED",
    ),
    Fault(
        DiscrepancyKind.MISSING_MENTION,
        f"DELETE FROM read.mentions WHERE {ALICE} AND position = {AT_REFUSED}",
        AT_REFUSED, "alice", None, "position ", "nothing",
    ),
    Fault(
        DiscrepancyKind.UNEXPECTED_MENTION,
        "INSERT INTO read.mentions SELECT ledger, 'alice', position FROM read.transactions"
        f" WHERE {ALICE_FUNDING}",
        AT_FUNDING, "alice", None, "nothing", "position ",
    ),
    Fault(
        DiscrepancyKind.MISSING_MOMENT,
        f"DELETE FROM read.moments WHERE position = {LAST}",
        LAST, None, None, "recorded_at ", "nothing",
    ),
    Fault(
        DiscrepancyKind.UNEXPECTED_MOMENT,
        f"INSERT INTO read.moments SELECT now(), {LAST}",
        LAST, None, None, "nothing", "recorded_at ",
    ),
    Fault(
        DiscrepancyKind.BALANCE_DRIFT,
        f"UPDATE read.balances SET debits_posted = debits_posted + 1 WHERE {ALICE}",
        AT_LAST_OF_ALICE, "alice", None, "debits_posted ", "debits_posted ",
    ),
    Fault(
        DiscrepancyKind.BALANCE_DRIFT,
        f"UPDATE read.balances SET credits_pending = credits_pending + 5 WHERE {ALICE}",
        AT_LAST_OF_ALICE, "alice", None, "credits_pending ", "credits_pending ",
    ),
    Fault(
        DiscrepancyKind.BALANCE_DRIFT,
        f"DELETE FROM read.balances WHERE {ALICE}",
        AT_LAST_OF_ALICE, "alice", None, "debits_posted ", "nothing",
    ),
    Fault(
        DiscrepancyKind.POLICY_MISMATCH,
        f"UPDATE read.accounts SET status = 'frozen' WHERE {BOB}",
        AT_CHANGE_OF_BOB, "bob", None, "status open", "status frozen",
    ),
    Fault(
        DiscrepancyKind.POLICY_MISMATCH,
        f"DELETE FROM read.accounts WHERE {BOB}",
        AT_CHANGE_OF_BOB, "bob", None, "account_class ", "nothing",
    ),
    Fault(
        DiscrepancyKind.STANDING_MISMATCH,
        f"DELETE FROM read.standings WHERE {ALICE_FUNDING}",
        AT_REFUND, None, "fund-alice", "stage COMPLETED, used [1500]", "nothing",
    ),
    Fault(
        DiscrepancyKind.STANDING_MISMATCH,
        f"UPDATE read.standings SET used = '{{1499}}' WHERE {ALICE_FUNDING}",
        AT_REFUND, None, "fund-alice", "used [1500]", "used [1499]",
    ),
    Fault(
        DiscrepancyKind.STANDING_MISMATCH,
        "INSERT INTO read.standings (transaction_id, stage, used, position, changed_at)"
        f" VALUES ({PHANTOM}, 'VOIDED', '{{}}', 1, now())",
        LAST, None, "phantom", "nothing", "stage VOIDED",
    ),
    Fault(
        DiscrepancyKind.BOOKS_MISMATCH,
        "UPDATE read.books SET version = 2 WHERE ledger = 'demo'",
        AT_CLOSING, None, None, "version 1", "version 2",
    ),
    Fault(
        DiscrepancyKind.COMMAND_DRIFT,
        f"UPDATE command.accounts SET credits_posted = credits_posted + 1 WHERE {ALICE}",
        AT_LAST_OF_ALICE, "alice", None, "credits_posted ", "credits_posted ",
    ),
    Fault(
        DiscrepancyKind.COMMAND_DRIFT,
        f"DELETE FROM command.accounts WHERE {ALICE}",
        AT_LAST_OF_ALICE, "alice", None, "debits_posted ", "nothing",
    ),
    Fault(
        DiscrepancyKind.COMMAND_STANDING_DRIFT,
        f"DELETE FROM command.standings WHERE {ALICE_FUNDING}",
        AT_REFUND, None, "fund-alice", "stage COMPLETED, used [1500]", "nothing",
    ),
    Fault(
        DiscrepancyKind.COMMAND_BOOKS_DRIFT,
        "DELETE FROM command.books WHERE ledger = 'demo'",
        AT_CLOSING, None, None, "closed_before ", "nothing",
    ),
]  # fmt: skip


@pytest.mark.parametrize("page", [1, 7, 5_000])
async def test_a_rich_log_is_clean(
    database_url: str, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Whatever the page size, nothing differs and everything was compared."""
    length = await fixtures.rich_log(database_url, count=60 if page > 1 else 10)
    await fixtures.project(database_url)
    monkeypatch.setattr(log, "PAGE_EVENTS_MAX", page)
    monkeypatch.setattr(difference_walker, "REGISTER_ROWS_MAX", page)
    report = await _everything(database_url)
    assert report.discrepancies == []
    assert report.clean
    async with fixtures.connected(database_url) as connection:
        counts = [
            await connection.fetchval(f"SELECT count(*) FROM {table}")
            for table in ("read.entries", "read.balances", "command.accounts")
        ]
    assert (report.events_read, report.position) == (length, length)
    assert report.entries_compared == counts[0]
    assert report.balances_compared == counts[1] + counts[2]


async def test_a_projection_that_lags_is_no_discrepancy(database_url: str) -> None:
    """The read models are compared up to their checkpoint, the command side up to the head."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    await fixtures.written(database_url, [fixtures.transfer("two", destination="bob")])
    report = await _everything(database_url)
    assert (report.position, report.events_read, report.discrepancies) == (3, 5, [])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.actual[:9]}")
async def test_a_difference_is_found_once_and_named(database_url: str, fault: Fault) -> None:
    """Kind, account, transaction, position, expected and actual."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    async with fixtures.connected(database_url) as connection:
        position = await connection.fetchval(f"SELECT {fault.position}")
        await connection.execute(fault.statement)
    report = await _everything(database_url)
    assert [found.kind for found in report.discrepancies] == [fault.kind], report.discrepancies
    (found,) = report.discrepancies
    assert report.discrepancy_count == 1
    assert not report.clean
    assert found.ledger in {None, "demo"}
    assert (found.position, found.account_id) == (position, fault.account_id)
    assert fault.expected in found.expected
    assert fault.actual in found.actual
    assert found.explanation
    if fault.transaction is None:
        assert found.transaction_id is None
    else:
        assert found.transaction_id == transaction_id("demo", fault.transaction)


async def test_an_event_missing_from_the_log_is_a_gap(database_url: str) -> None:
    """A refusal taken out of the log: one gap at its position, and its rows have no event."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    position = await _position(database_url, transaction_id("demo", "too-much"))
    await _taken_out(database_url, position)
    found = _by_kind(await _everything(database_url))
    assert set(found) == {
        DiscrepancyKind.POSITION_GAP,
        DiscrepancyKind.UNEXPECTED_TRANSACTION,
        DiscrepancyKind.UNEXPECTED_MENTION,
    }
    (gap,) = found[DiscrepancyKind.POSITION_GAP]
    assert (gap.position, gap.expected, gap.actual) == (position, str(position), str(position + 1))


async def test_a_log_cut_off_at_its_end_is_a_gap(database_url: str) -> None:
    """The head knows how long the log was; what is missing at its end is missing, too."""
    refused = fixtures.transfer("refused", "poor", "alice", 5)
    await fixtures.written(database_url, [fixtures.transfer("one"), refused])
    await fixtures.project(database_url)
    await _taken_out(database_url, 4)
    found = _by_kind(await _everything(database_url))
    assert set(found) == {
        DiscrepancyKind.POSITION_GAP,
        DiscrepancyKind.UNEXPECTED_TRANSACTION,
        DiscrepancyKind.UNEXPECTED_MENTION,
        DiscrepancyKind.MOMENT_MISMATCH,
    }
    assert found[DiscrepancyKind.POSITION_GAP][0].position == 4


async def test_an_unprojected_end_that_is_missing_is_a_gap(database_url: str) -> None:
    """Between the projection and the head, the log must be whole as well."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    await fixtures.written(database_url, [fixtures.transfer("two", "poor", "alice", 5)])
    await _taken_out(database_url, 4)
    found = _by_kind(await _everything(database_url))
    assert [gap.position for gap in found[DiscrepancyKind.POSITION_GAP]] == [4]


async def test_a_missing_opening_does_not_stop_the_auditor(database_url: str) -> None:
    """Without an account's first event the rest is still compared, and the gap named."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    await _taken_out(database_url, 2)
    found = _by_kind(await _everything(database_url))
    assert [gap.position for gap in found[DiscrepancyKind.POSITION_GAP]] == [2]


async def test_an_entry_in_a_foreign_ledger_is_unexpected(database_url: str) -> None:
    """The same account id, position and line in another ledger cannot hide behind the real one."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        f"CREATE TEMP TABLE one AS SELECT * FROM read.entries WHERE {ALICE} AND {ALICE_FUNDING}",
        "UPDATE one SET ledger = 'elsewhere'",
        "INSERT INTO read.entries SELECT * FROM one",
    )
    report = await _everything(database_url)
    assert [(f.kind, f.ledger) for f in report.discrepancies] == [
        (DiscrepancyKind.UNEXPECTED_ENTRY, "elsewhere")
    ]


async def test_rows_beyond_the_checkpoint_are_unexpected(database_url: str) -> None:
    """Nothing may stand where the projection has not been."""
    length = await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        f"UPDATE read.entries SET position = {length + 5} WHERE {ALICE} AND {ALICE_FUNDING}",
    )
    found = _by_kind(await _everything(database_url))
    assert set(found) == {DiscrepancyKind.MISSING_ENTRY, DiscrepancyKind.UNEXPECTED_ENTRY}
    assert found[DiscrepancyKind.UNEXPECTED_ENTRY][0].position == length + 5


async def test_many_differences_are_counted_and_the_first_kept(database_url: str) -> None:
    """A broken view does not fill the memory."""
    await fixtures.written(database_url, [fixtures.transfer(f"k{n}") for n in range(600)], 600)
    await fixtures.project(database_url)
    await fixtures.execute(database_url, "DELETE FROM read.entries")
    report = await _everything(database_url)
    assert report.discrepancy_count == 1_200
    assert len(report.discrepancies) == KEPT_MAX
    assert report.discrepancies[0].position == 3


@pytest.mark.parametrize("page", [3, 5_000])
async def test_every_account_reconciles_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Both ledgers, every account, with events of others mentioning it in between."""
    await fixtures.rich_log(database_url, count=30)
    await fixtures.project(database_url)
    monkeypatch.setattr(log, "PAGE_EVENTS_MAX", page)
    async with fixtures.connected(database_url) as connection:
        rows = await connection.fetch(
            "SELECT a.ledger, a.account_id, (SELECT count(*) FROM read.entries e"
            " WHERE e.ledger = a.ledger AND e.account_id = a.account_id) AS entries"
            " FROM read.accounts a"
        )
    for row in rows:
        report = await _account(
            database_url, Scope(ledger=row["ledger"], account_id=row["account_id"])
        )
        assert report is not None
        assert report.discrepancies == []
        assert report.entries_compared == row["entries"]
        assert report.expected == report.actual


OF_ACCOUNTS = [
    fault for fault in FAULTS if fault.account_id and fault.kind != DiscrepancyKind.COMMAND_DRIFT
]


@pytest.mark.parametrize("fault", OF_ACCOUNTS, ids=lambda fault: f"{fault.kind}-{fault.actual[:9]}")
async def test_an_account_alone_shows_the_same_difference(database_url: str, fault: Fault) -> None:
    """Entries, mentions, policy and balance of one account, as among all; others stay clean."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    await fixtures.execute(database_url, fault.statement)
    everything = await _everything(database_url)
    alone = await _account(database_url, Scope(ledger="demo", account_id=fault.account_id))
    other = await _account(database_url, Scope(ledger="demo", account_id="carol"))
    assert alone is not None
    assert other is not None
    assert alone.discrepancies == everything.discrepancies
    assert other.clean


async def test_a_balance_differs_from_its_first_entry_on(database_url: str) -> None:
    """An entry that differs explains a balance that does: it is the first event to look at."""
    await fixtures.rich_log(database_url, count=10)
    await fixtures.project(database_url)
    async with fixtures.connected(database_url) as connection:
        position = await connection.fetchval(f"SELECT {AT_FUNDING}")
        await connection.execute(
            f"UPDATE read.entries SET credits_posted = 1 WHERE {ALICE} AND {ALICE_FUNDING}"
        )
        await connection.execute(f"UPDATE read.balances SET credits_posted = 1 WHERE {ALICE}")
    found = (await _everything(database_url)).discrepancies
    assert [(each.kind, each.position) for each in found] == [
        (DiscrepancyKind.BALANCE_MISMATCH, position),
        (DiscrepancyKind.BALANCE_DRIFT, position),
    ]


async def test_an_account_that_the_log_does_not_know_has_no_report(database_url: str) -> None:
    """Neither one never used nor another ledger's."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    assert await _account(database_url, Scope(ledger="demo", account_id="nobody")) is None
    assert await _account(database_url, Scope(ledger="other", account_id="alice")) is None


async def test_a_period_is_compared_alone(database_url: str) -> None:
    """A fault is found by the periods that hold its entry, ends as people mean them."""
    at = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (30, 31)] + [
        datetime(2026, 2, 1, tzinfo=UTC)
    ]
    for number, when in enumerate(at):
        await fixtures.written(
            database_url, [fixtures.transfer(f"k{number}")], now=[when].__getitem__
        )
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        "UPDATE read.entries SET amount = 1 WHERE account_id = 'alice' AND position = 4",
    )
    cases = [
        ("2026-01-31", "2026-01-31", 1, 1),
        ("2026-01-30", "2026-01-30", 1, 0),
        ("2026-01-30", "2026-01-31", 2, 1),
        ("2026-02-01", None, 1, 0),
        (None, "2026-01-30", 1, 0),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:01Z", 1, 1),
        ("2026-01-31T12:00:01", "2026-02-01T00:00", 0, 0),
        ("2026-01-31T13:00:00+01:00", "2026-02-01T01:00:00.000001+01:00", 2, 1),
        (None, None, 3, 1),
    ]
    for start, end, compared, found in cases:
        scope = Scope(
            ledger="demo",
            account_id="alice",
            start=None if start is None else times.start(start, "startDate"),
            end=None if end is None else times.end(end, "endDate"),
        )
        report = await _account(database_url, scope)
        assert report is not None
        assert (report.entries_compared, report.discrepancy_count) == (compared, found), scope
        assert report.expected == {
            "debits_posted": 0,
            "credits_posted": 300,
            "debits_pending": 0,
            "credits_pending": 0,
            "balance": 300,
        }


@pytest.mark.parametrize(
    "text",
    ["", "today", "2026-02-30", "2026-13-01", "31.01.2026", "9999-12-31", "2026-01-01T25:00", "1"],
)
def test_a_period_that_is_none_is_invalid(text: str) -> None:
    """The answer names the field; the last day of time has no day after it."""
    with pytest.raises(Invalid) as problem:
        times.end(text, "endDate")
    assert problem.value.code == "period_invalid"
    assert "endDate" in problem.value.detail


async def test_reconciling_while_everything_moves_finds_nothing(database_url: str) -> None:
    """One snapshot: writes and projections beside it are never mistaken for differences."""
    ended = asyncio.Event()

    async def projecting() -> None:
        worker = Projector(
            fixtures.settings(database_url, projection_events_max=3), GivenQueue().as_queue()
        )
        while not ended.is_set():
            await worker.run_once()
        await worker.close()

    async def write() -> None:
        for first in range(0, 90, 3):
            commands = [fixtures.transfer(f"m{n}", amount=n + 1) for n in range(first, first + 3)]
            commands.append(fixtures.transfer(f"x{first}", "alice", "bob", first + 1))
            await fixtures.written(database_url, commands)
            refunded = transaction_id("demo", f"m{first}")
            await fixtures.written(
                database_url, [Refund(ledger="demo", key=f"b{first}", about=refunded)]
            )
        ended.set()

    tasks = [asyncio.create_task(projecting()), asyncio.create_task(write())]
    reports: list[Report] = []
    while not ended.is_set():
        reports.append(await _everything(database_url))
        alone = await _account(database_url, Scope(ledger="demo", account_id="alice"))
        if alone is not None:
            reports.append(alone)
    await asyncio.gather(*tasks)
    assert len(reports) >= 4
    assert [report.discrepancies for report in reports if not report.clean] == []
    assert len({report.position for report in reports}) > 2


async def test_reports_are_recorded_and_read_back(database_url: str) -> None:
    """Clean or not, newest first, with what was found."""
    await fixtures.rich_log(database_url, count=5)
    await fixtures.project(database_url)
    scope = Scope(
        ledger="demo",
        account_id="alice",
        start=fixtures.START,
        end=fixtures.START + timedelta(days=1),
    )
    clean = await _account(database_url, scope)
    await fixtures.execute(database_url, f"DELETE FROM read.entries WHERE {ALICE}")
    broken = await _account(database_url, scope)
    assert clean is not None
    assert broken is not None
    async with fixtures.connected(database_url, AUDITOR) as connection:
        for report in (clean, broken, await reconcile_all(connection, uuid4())):
            await record(connection, report)
        rows = await connection.fetch(SQL["history"], "demo", "alice", BIGGEST, 10, 100)
    assert [row["reconciliation_id"] for row in rows] == [
        broken.reconciliation_id,
        clean.reconciliation_id,
    ]
    for row, report in zip(rows, (broken, clean), strict=True):
        kept: Any = json.loads(row["discrepancies"])
        assert msgspec.convert(kept, list[Discrepancy]) == report.discrepancies
        assert row["discrepancy_count"] == report.discrepancy_count
        assert (row["start_at"], row["end_at"]) == (scope.start, scope.end)
        assert (row["position"], row["events_read"]) == (report.position, report.events_read)


async def _everything(database_url: str) -> Report:
    async with fixtures.connected(database_url, AUDITOR) as connection:
        return await reconcile_all(connection, uuid4())


async def _account(database_url: str, scope: Scope) -> Report | None:
    async with fixtures.connected(database_url, AUDITOR) as connection:
        return await reconcile_account(connection, uuid4(), scope)


async def _taken_out(database_url: str, position: int) -> None:
    delete = f"DELETE FROM events.daybook_events WHERE notification_id = {position}"
    await fixtures.execute(database_url, OPEN_LOG, delete)


async def _position(database_url: str, transaction: UUID) -> int:
    """Return where the log has this transaction; 1 for the phantom, which it hasn't."""
    events = await fixtures.whole_log(database_url)
    return next((e.position for e in events if e.originator_id == transaction), 1)


def _by_kind(report: Report) -> dict[DiscrepancyKind, list[Discrepancy]]:
    found: dict[DiscrepancyKind, list[Discrepancy]] = {}
    for discrepancy in report.discrepancies:
        found.setdefault(discrepancy.kind, []).append(discrepancy)
    return found
