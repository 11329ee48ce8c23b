"""Reconciliations that are asked for, killed and resumed, and the one that never ends."""

# ruff: noqa: S608 - faults are made by SQL that is put together from constants

import asyncio
import json
import signal
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from auditing.differences import Scope
from auditing.discrepancies import DiscrepancyKind
from auditing.job_worker import JobWorker
from auditing.reconcile import continuous, jobs, progress_snapshot, recheck
from auditing.reconcile.continuous import CONTINUOUS, DISCREPANCIES, Auditor
from auditing.reconcile.reconcile import Report, RunContext, reconcile_whole
from auditing.reconcile.run import Run
from auditing.roles import AUDITOR
from events import checkpoints, log
from events.types import transaction_id
from runtime.problems import Conflict, NotFound, Unavailable
from tests.integration import fixtures
from tests.patience import patient_s

ALICE = "ledger = 'demo' AND account_id = 'alice'"
FOUND = "SELECT kind, ledger, account_id, position FROM read.discrepancies ORDER BY id"
SENTENCES = "SELECT explanation FROM read.discrepancies"
# The first rows of each journal, made wrong and right again.
FIRST = "WHERE position = (SELECT min(position) FROM read.{0})"
BROKEN = tuple(
    f"UPDATE read.{table} SET {change} {FIRST.format(table)}"
    for table, change in (
        ("entries", "amount = amount + 1"),
        ("transactions", "amount = amount + 1"),
        ("mentions", "account_id = account_id || 'x'"),
        ("moments", "position = position - 1"),
    )
)
MENDED = tuple(
    broken.replace("+ 1", "- 1")
    .replace("position - 1", "position + 1")
    .replace("account_id || 'x'", "rtrim(account_id, 'x')")
    for broken in BROKEN
)
# A process that reconciles page by page, slowly, until it is killed.
SLOW = """
import asyncio, sys
from uuid import UUID
from events import log
from auditing.roles import AUDITOR
from auditing.reconcile.reconcile import RunContext
from auditing.reconcile import jobs
from runtime import database
log.PAGE_EVENTS_MAX = 3
jobs.KEEP_S = jobs.KEEP_SHARE = 0

class Slow(jobs.ProgressKeeper):
    async def keep(self, run, target):
        await super().keep(run, target)
        print(run.walker.position, flush=True)
        await asyncio.sleep(0.02)

jobs.ProgressKeeper = Slow

async def main():
    one = await database.connect(sys.argv[1], AUDITOR)
    two = await database.connect(sys.argv[1], AUDITOR)
    await jobs.work(RunContext(one, two), UUID(sys.argv[2]))

asyncio.run(main())
"""


async def _broken(database_url: str) -> None:
    """Write a rich log, project it, and break the read models here and there."""
    await fixtures.rich_log(database_url, count=20)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        f"UPDATE read.entries SET amount = amount + 1 WHERE {ALICE}",
        "DELETE FROM read.transactions WHERE ledger = 'other' AND kind = 'refund'",
        "UPDATE read.balances SET debits_posted = 7 WHERE account_id = 'carol'",
        "DELETE FROM read.standings WHERE stage = 'VOIDED'",
    )


async def _asked(database_url: str, scope: Scope | None = None) -> UUID:
    async with fixtures.connected(database_url, AUDITOR) as connection:
        return await jobs.request(connection, scope or Scope(), jobs.CALLER)


async def _worked(database_url: str, run_id: UUID) -> Report:
    async with (
        fixtures.connected(database_url, AUDITOR) as connection,
        fixtures.connected(database_url, AUDITOR) as beside,
    ):
        return await jobs.work(RunContext(connection, beside), run_id)


async def _rows(database_url: str, query: str, *arguments: object) -> list[Any]:
    async with fixtures.connected(database_url) as connection:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]


def _findings(report: Report) -> list[tuple[object, ...]]:
    return [(f.kind, f.account_id, f.position, f.expected, f.actual) for f in report.discrepancies]


async def test_a_run_that_is_killed_goes_on_and_reports_the_same(database_url: str) -> None:
    """Kill -9 in the middle: nobody has to start anew, nothing is told twice, nothing is lost."""
    await _broken(database_url)
    whole = await _worked(database_url, await _asked(database_url))
    run_id = await _asked(database_url)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SLOW, database_url, str(run_id)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(patient_s(60)):
        while int(await process.stdout.readline()) < 40:
            pass
        async with fixtures.connected(database_url, AUDITOR) as connection:
            with pytest.raises(Conflict, match="reconciliation_busy"):
                await jobs.work(RunContext(connection), run_id)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    ((status, position, known),) = await _rows(
        database_url,
        "SELECT status, position, discrepancy_count FROM read.reconciliations"
        " WHERE reconciliation_id = $1",
        run_id,
    )
    assert status == "running"
    assert 30 <= position < whole.position
    assert 0 < known < whole.discrepancy_count
    await _lock_is_free(database_url, run_id)
    resumed = await _worked(database_url, run_id)
    assert _findings(resumed) == _findings(whole)
    assert resumed.kinds == whole.kinds
    assert (resumed.events_read, resumed.entries_compared, resumed.balances_compared) == (
        whole.events_read,
        whole.entries_compared,
        whole.balances_compared,
    )
    stored = await _rows(
        database_url,
        "SELECT kind, account_id, position, expected, actual FROM read.discrepancies"
        " WHERE reconciliation_id = $1 ORDER BY id",
        run_id,
    )
    assert stored == _findings(whole)
    assert await _rows(database_url, "SELECT * FROM read.places") == []
    with pytest.raises(Conflict, match="reconciliation_ended"):
        await _worked(database_url, run_id)
    with pytest.raises(NotFound, match="reconciliation_not_found"):
        await _worked(database_url, uuid4())


async def _lock_is_free(database_url: str, run_id: UUID) -> None:
    """PostgreSQL notices within moments that a client is dead."""
    async with (
        fixtures.connected(database_url, AUDITOR) as connection,
        asyncio.timeout(patient_s(10)),
    ):
        while not await connection.fetchval(  # noqa: ASYNC110 - it is another process's
            jobs.SQL["try_take_reconciliation"], str(run_id)
        ):
            await asyncio.sleep(0.01)


async def test_a_clean_log_is_compared_as_text_alone(database_url: str) -> None:
    """Quotes, umlauts, NULLs, big amounts and metadata are written as PostgreSQL writes them."""
    await fixtures.rich_log(database_url, count=60)
    await fixtures.project(database_url)
    run = Run(Scope())
    async with fixtures.connected(database_url, AUDITOR) as connection:
        await connection.execute("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'")
        report = await reconcile_whole(RunContext(connection), uuid4(), run)
    assert report.clean
    assert run.walker.pages_read_by_row == 0
    assert report.entries_compared > 100


async def test_stored_progress_is_restored_as_it_was(database_url: str) -> None:
    """The replayed state, whatever the size of its amounts, and the times that are still open."""
    await fixtures.rich_log(database_url, count=30)
    await fixtures.project(database_url)
    run = Run(Scope())
    async with fixtures.connected(database_url, AUDITOR) as connection:
        await reconcile_whole(RunContext(connection), uuid4(), run)
    again = Run(Scope())
    stored = progress_snapshot.packed(run)
    # The names of the first version, so that a run of an older process can be resumed.
    assert {"compared", "standings", "known", "patrol"} < json.loads(zlib.decompress(stored)).keys()
    progress_snapshot.restore(again, stored)
    assert (again.walker.state.accounts, again.walker.state.transaction_states) == (
        run.walker.state.accounts,
        run.walker.state.transaction_states,
    )
    assert again.walker.state.closings == run.walker.state.closings
    assert (again.walker.position, again.walker.settled, again.walker.open_times) == (
        run.walker.position,
        run.walker.settled,
        run.walker.open_times,
    )
    assert max(tally.credits_posted for tally in again.walker.state.accounts.values()) > 2**64


async def test_a_ledgers_run_counts_and_tells_of_that_ledger_only(database_url: str) -> None:
    """What is wrong in another one changes no digit of it."""
    await fixtures.rich_log(database_url, count=20)
    await fixtures.project(database_url)
    clean = await _worked(database_url, await _asked(database_url, Scope(ledger="demo")))
    assert clean.clean
    await fixtures.written(database_url, [fixtures.transfer("more", ledger="other")])
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url,
        "DELETE FROM read.entries WHERE ledger = 'other'",
        "UPDATE read.balances SET debits_posted = 7 WHERE ledger = 'other'",
        "DELETE FROM read.standings WHERE transaction_id = '"
        + str(transaction_id("other", "fund-alice"))
        + "'",
        "DELETE FROM read.moments",
    )
    again = await _worked(database_url, await _asked(database_url, Scope(ledger="demo")))
    assert (again.kinds, again.events_read, again.entries_compared, again.balances_compared) == (
        {},
        clean.events_read,
        clean.entries_compared,
        clean.balances_compared,
    )
    other = await _worked(database_url, await _asked(database_url, Scope(ledger="other")))
    assert {found.ledger for found in other.discrepancies} == {"other"}
    assert set(other.kinds) == {"missing_entry", "balance_drift", "standing_mismatch"}


async def test_what_is_late_and_what_was_published_too_far_is_named(database_url: str) -> None:
    """A projector and a relay behind a bound; a relay beyond the end of the log."""
    old = datetime.now(UTC) - timedelta(minutes=5)
    await fixtures.written(database_url, [fixtures.transfer("one")], now=[old].__getitem__)

    async def kinds(lag_s_max: int) -> dict[str, int]:
        async with fixtures.connected(database_url, AUDITOR) as connection:
            context = RunContext(connection, lag_max=timedelta(seconds=lag_s_max))
            return (await reconcile_whole(context, uuid4(), Run(Scope()))).kinds

    assert await kinds(3600) == {}
    assert await kinds(60) == {DiscrepancyKind.PROJECTION_LAG: 1, DiscrepancyKind.PUBLISHED_GAP: 1}
    await fixtures.project(database_url)
    assert await kinds(60) == {DiscrepancyKind.PUBLISHED_GAP: 1}
    await fixtures.execute(database_url, "UPDATE events.checkpoints SET position = 9")
    await fixtures.execute(
        database_url, "UPDATE events.checkpoints SET position = 3 WHERE reader = 'projector'"
    )
    assert await kinds(60) == {DiscrepancyKind.PUBLISHED_GAP: 1}


async def test_one_ledger_has_one_run_in_the_queue(database_url: str) -> None:
    """Asked again, the first is the answer; the worker does both ledgers', one after the other."""
    await fixtures.rich_log(database_url, count=5)
    await fixtures.project(database_url)
    async with fixtures.connected(database_url, AUDITOR) as connection:
        demo = await jobs.request(connection, Scope(ledger="demo"), jobs.WORKER)
        assert await jobs.request(connection, Scope(ledger="demo"), jobs.WORKER) == demo
        unknown = Scope(ledger="other", account_id="nobody")
        other = await jobs.request(connection, unknown, jobs.WORKER)
    runner = JobWorker(fixtures.settings(database_url))
    while await runner.run_once():
        pass
    await runner.close()
    states = await _rows(
        database_url,
        "SELECT reconciliation_id, status, failure IS NULL FROM read.reconciliations"
        " WHERE done_by = 'worker' ORDER BY number",
    )
    assert states == [(demo, "finished", True), (other, "failed", False)]
    async with fixtures.connected(database_url, AUDITOR) as connection:
        assert await jobs.request(connection, Scope(ledger="demo"), jobs.WORKER) != demo
        # What is finished stays as it was reported.
        changed = await connection.execute(
            "UPDATE read.reconciliations SET discrepancy_count = 5 WHERE status <> 'queued'"
            " AND done_by = 'worker'"
        )
        assert changed == "UPDATE 0"


# --- the one that never ends --------------------------------------------------------------------


@asynccontextmanager
async def _auditor(database_url: str, **changes: Any) -> AsyncIterator[Auditor]:  # noqa: ANN401
    auditor = Auditor(fixtures.settings(database_url, **changes))
    yield auditor
    await auditor.close()


async def test_the_auditor_follows_the_projector_and_is_silent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, never beyond the projector; its checkpoint says how far it is."""
    monkeypatch.setattr(continuous, "PAGE_EVENTS_MAX", 7)
    async with _auditor(database_url) as auditor:
        assert await auditor.run_once() == 0
        await fixtures.written(database_url, fixtures.rich_commands(count=20))
        assert await auditor.run_once() == 0
        await fixtures.project(database_url)
        verified = 0
        while count := await auditor.run_once():
            verified += count
        assert verified == await fixtures.checkpoint(database_url, checkpoints.PROJECTOR)
        assert await fixtures.checkpoint(database_url, checkpoints.AUDITOR) == verified
        await fixtures.written(database_url, fixtures.settlements())
        await fixtures.project(database_url)
        assert await auditor.run_once() > 0
    assert await _rows(database_url, FOUND) == []


async def test_a_difference_is_told_once_and_again_after_it_was_right(database_url: str) -> None:
    """As a row, a metric and a log line; how often it is looked at changes nothing."""
    await fixtures.rich_log(database_url, count=5)
    await fixtures.project(database_url)
    drift = DISCREPANCIES.labels(DiscrepancyKind.BALANCE_DRIFT)
    before = drift._value.get()  # noqa: SLF001 - the client has no other way to read one
    break_it = f"UPDATE read.balances SET debits_pending = debits_pending + 1 WHERE {ALICE}"
    mend_it = f"UPDATE read.balances SET debits_pending = debits_pending - 1 WHERE {ALICE}"
    async with _auditor(database_url) as auditor:

        async def looked() -> list[Any]:
            for _ in range(4):  # Idle, it goes through all balances in turn.
                await auditor.run_once()
            return await _rows(database_url, FOUND)

        assert await looked() == []
        await fixtures.execute(database_url, break_it)
        (told,) = await looked()
        assert told[:3] == (DiscrepancyKind.BALANCE_DRIFT, "demo", "alice")
        await fixtures.written(database_url, [fixtures.transfer("more", destination="bob")])
        await fixtures.project(database_url)
        assert await looked() == [told]
        await fixtures.execute(database_url, mend_it)
        assert await looked() == [told]
        await fixtures.execute(database_url, break_it)
        assert len(await looked()) == 2
    assert drift._value.get() == before + 2  # noqa: SLF001


async def test_entries_and_transactions_are_verified_as_they_come(database_url: str) -> None:
    """What the projector wrote wrongly is found when it is verified, with the account it is of."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    async with _auditor(database_url) as auditor:
        await auditor.run_once()
        await fixtures.written(database_url, [fixtures.transfer("two"), fixtures.transfer("three")])
        await fixtures.project(database_url)
        await fixtures.execute(
            database_url,
            "UPDATE read.entries SET amount = 99 WHERE position = 4 AND account_id = 'alice'",
            "DELETE FROM read.transactions WHERE position = 5",
        )
        await auditor.run_once()
        assert await _rows(database_url, FOUND) == [
            (DiscrepancyKind.AMOUNT_MISMATCH, "demo", "alice", 4),
            (DiscrepancyKind.MISSING_TRANSACTION, "demo", None, 5),
        ]


async def test_a_restarted_auditor_does_not_fold_the_log_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on from its place; what it told of before, it does not tell again."""
    monkeypatch.setattr(recheck, "PAGE_EVENTS_MAX", 3)
    await fixtures.rich_log(database_url, count=20)
    await fixtures.project(database_url)
    await fixtures.execute(
        database_url, f"UPDATE read.balances SET debits_posted = 1 WHERE {ALICE}"
    )
    async with _auditor(database_url) as first:
        await first.run_once()
        async with _auditor(database_url) as second:
            assert await second.run_once() == 0  # Not its turn.
            await first.stop()
            read: list[int] = []
            read_after = log.read_after

            async def counted(*arguments: Any) -> list[Any]:  # noqa: ANN401
                events = await read_after(*arguments)
                read.append(len(events))
                return events

            await fixtures.written(database_url, [fixtures.transfer("more", destination="bob")])
            await fixtures.project(database_url)
            monkeypatch.setattr(log, "read_after", counted)
            for _ in range(3):
                await second.run_once()
            # The new one, those that the relay and the bound ask about, and the recheck's pages.
            assert sum(read) <= 5 + 3 * 3
            rechecked = second._run.recheck  # noqa: SLF001 - the recheck goes on where it was, too
            assert rechecked is not None
            assert rechecked.position == 4 * 3
    assert [row[:3] for row in await _rows(database_url, FOUND)] == [
        (DiscrepancyKind.BALANCE_DRIFT, "demo", "alice")
    ]


async def test_a_row_changed_after_it_was_verified_is_found_in_its_turn(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every journal, once, and again after it was right; whoever writes meanwhile."""
    monkeypatch.setattr(recheck, "PAGE_EVENTS_MAX", 40)
    length = await fixtures.rich_log(database_url, count=20)
    await fixtures.project(database_url)
    async with _auditor(database_url) as auditor:

        async def looked() -> list[str]:
            for number in range(length // 40 + 4):
                await fixtures.written(database_url, [fixtures.transfer(f"{uuid4()}-{number}")])
                await fixtures.project(database_url)
                await auditor.run_once()
            return sorted(kind for kind, *_ in await _rows(database_url, FOUND))

        assert await looked() == []
        await fixtures.execute(database_url, *BROKEN)
        told = await looked()
        assert set(told) == {
            *(
                DiscrepancyKind.AMOUNT_MISMATCH,
                DiscrepancyKind.TRANSACTION_MISMATCH,
                DiscrepancyKind.MOMENT_MISMATCH,
            ),
            *(DiscrepancyKind.MISSING_MENTION, DiscrepancyKind.UNEXPECTED_MENTION),
        }
        assert await looked() == told
        await fixtures.execute(database_url, *MENDED)
        assert await looked() == told
        await fixtures.execute(database_url, *BROKEN)
        assert await looked() == sorted(told * 2)


async def test_a_crashed_auditor_tells_nothing_twice(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings and place are one transaction: killed anywhere, the next one folds and agrees."""
    monkeypatch.setattr(continuous, "PAGE_EVENTS_MAX", 5)
    monkeypatch.setattr(continuous, "ROUND_PAGES_MAX", 1)
    monkeypatch.setattr(jobs, "KEEP_S", 0)
    monkeypatch.setattr(jobs, "KEEP_SHARE", 0)
    await _broken(database_url)
    tell = Auditor._store  # noqa: SLF001 - where it dies is the point
    rounds = 0

    async def dying(self: Auditor, *arguments: Any) -> None:  # noqa: ANN401
        nonlocal rounds
        rounds += 1
        if rounds % 2:
            raise ConnectionResetError
        await tell(self, *arguments)

    monkeypatch.setattr(Auditor, "_store", dying)
    async with _auditor(database_url) as auditor, asyncio.timeout(patient_s(30)):
        length = await fixtures.checkpoint(database_url, checkpoints.PROJECTOR)
        while await fixtures.checkpoint(database_url, checkpoints.AUDITOR) < length:
            with suppress(Unavailable):
                await auditor.run_once()
    found = await _rows(database_url, SENTENCES)
    assert len(found) == len(set(found)) > 5
    ((count,),) = await _rows(
        database_url,
        "SELECT discrepancy_count FROM read.reconciliations WHERE reconciliation_id = $1",
        CONTINUOUS,
    )
    assert count == len(found)


async def test_the_auditors_memory_is_bounded_by_its_books(database_url: str) -> None:
    """However long the log is, a page of it is held, and tallies of the accounts."""
    async with _auditor(database_url) as auditor:
        for part in range(3):
            commands = [fixtures.transfer(f"m{part}-{n}", amount=n + 1) for n in range(600)]
            await fixtures.written(database_url, commands, 600)
            await fixtures.project(database_url)
            await auditor.run_once()
        run = auditor._run  # noqa: SLF001 - what it holds is the point
        assert len(run.walker.state.accounts) == 2
        assert run.walker.state.transaction_states == {}
        assert run.findings.kept == []
        assert len(run.walker.open_times) == 1
        assert run.walker.position == 1_802
