"""The four sides of a ledger: each that differs says so, and no other does."""

import json
from datetime import timedelta

import msgspec
import pytest

from auditing.four_way import answers, jobs, sides
from auditing.four_way.answers import FourWayReport
from auditing.four_way.sides import Comparison
from auditing.job_worker import JobWorker
from auditing.roles import AUDITOR
from bank_statements import importer
from bank_statements.formats import mapped_csv
from bank_statements.formats.reading import Format, Reader
from bank_statements.importer import Upload
from bank_statements.matching.types import MatchingTerms
from daybook.cli.actions import four_way
from runtime.problems import NotFound
from tests.integration import fixtures
from web.answers import ENCODER

BANK = "bank:main"
DAY = fixtures.START.date()
COLUMNS = {
    "date": "date",
    "amount": "amount",
    "reference": "reference",
    "description": "text",
    "balance": "balance",
}
LATE_S = 1e9
PUBLISHED = "UPDATE events.checkpoints SET position = {position} WHERE reader = 'relay'"


async def seen(database_url: str, lag_s_max: float = LATE_S) -> tuple[Comparison, FourWayReport]:
    """Return the ledger `demo` as it is, and as it is shown."""
    async with fixtures.connected(database_url, AUDITOR) as connection:
        found = await sides.compare(connection, "demo", lag_s_max, lambda _done, _total: None)
    report = answers.report(found, fixtures.SCHEMA)
    assert four_way.as_text(report)
    return found, report


def agreeing(report: FourWayReport) -> dict[str, bool]:
    """Return each side's verdict."""
    return {side: verdict.agrees for side, verdict in report.verdicts.by_side.items()}


async def imported(database_url: str, *rows: str) -> None:
    """Import a bank's CSV for the bank's account."""
    data = "\n".join(["date,amount,reference,text,balance", *rows, ""]).encode()
    how = Reader(Format.CSV, mapped_csv.mapping(COLUMNS))
    upload = Upload(data, how, MatchingTerms(), "alice")
    async with fixtures.connected(database_url, importer.ROLE) as connection:
        await importer.import_file(connection, "demo", BANK, upload, fixtures.SCHEMA)


async def test_a_ledger_that_agrees_says_so(database_url: str) -> None:
    """Totals of the log and the read models are the same, by currency; other ledgers are left."""
    await fixtures.rich_log(database_url, count=20)
    await fixtures.project(database_url)
    found, report = await seen(database_url)
    assert agreeing(report) == dict.fromkeys(("log", "read_models", "published", "external"), True)
    assert found.log == found.read_models
    assert report.status == "CLEAN"
    assert report.accounts == []
    mine = [r for r in await fixtures.whole_log(database_url) if r.event.ledger == "demo"]
    assert (found.published.position, found.published.waiting) == (0, len(mine))
    async with fixtures.connected(database_url, AUDITOR) as connection:
        row = await connection.fetchrow(
            "SELECT count(*) AS count, sum(amount) FILTER (WHERE side = 'debit') AS debits "
            "FROM read.entries WHERE ledger = 'demo' AND kind = 'posted' AND currency = 'USD'"
        )
    assert row is not None
    assert (found.log["USD"].count, found.log["USD"].debits) == (row["count"], row["debits"])
    assert report.log["USD"].debits_minor == str(row["debits"])


async def test_the_command_line_reports_a_ledger_that_there_is(database_url: str) -> None:
    """As JSON as well as text; a name that was mistyped is not a ledger that agrees."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    report = await four_way.report(fixtures.settings(database_url), "demo")
    assert json.loads(msgspec.json.encode(report, enc_hook=str))["accountCount"] == 2
    assert four_way.as_text(report).startswith("ledger demo at position")
    with pytest.raises(NotFound):
        await four_way.report(fixtures.settings(database_url), "demi")


async def test_a_spoiled_row_is_on_the_side_of_the_read_models(database_url: str) -> None:
    """A balance, an entry or a missing row; the account is named with both sides."""
    await fixtures.rich_log(database_url, count=5)
    await fixtures.project(database_url)
    spoil = (
        (
            "UPDATE read.balances SET credits_pending = credits_pending + 1 "
            "WHERE ledger = 'demo' AND account_id = 'alice'"
        ),
        (
            "UPDATE read.entries SET amount = amount + 1 WHERE ledger = 'demo' AND position = ("
            "SELECT max(position) FROM read.entries WHERE ledger = 'demo' AND account_id = 'alice' "
            "AND kind = 'posted') AND account_id = 'alice'"
        ),
        "DELETE FROM read.balances WHERE ledger = 'demo' AND account_id = 'alice'",
    )
    for statement in spoil:
        await fixtures.execute(database_url, statement)
        found, report = await seen(database_url)
        assert [each.account_id for each in found.accounts] == ["alice"]
        assert agreeing(report) == {
            "log": True, "read_models": False, "published": True, "external": True
        }  # fmt: skip
        assert "1 of" in report.verdicts.read_models.explanation
        assert report.accounts[0].log != report.accounts[0].read_models


async def test_a_relay_that_is_behind_or_beyond_is_told(database_url: str) -> None:
    """How many events of the ledger wait, since when; late only after the time that is agreed."""
    await fixtures.written(
        database_url, [fixtures.transfer("one"), fixtures.transfer("theirs", ledger="other")]
    )
    await fixtures.project(database_url)
    log = await fixtures.whole_log(database_url)
    first = log[-1]
    await fixtures.execute(database_url, PUBLISHED.format(position=1))
    found, report = await seen(database_url, lag_s_max=1)
    mine = [r for r in log[1:] if r.event.ledger == "demo"]
    assert (found.published.waiting, found.published.since) == (
        len(mine),
        mine[0].event.recorded_at,
    )
    assert not agreeing(report)["published"]
    assert agreeing((await seen(database_url))[1])["published"]
    await fixtures.execute(database_url, PUBLISHED.format(position=first.position))
    found, report = await seen(database_url, lag_s_max=1)
    assert found.published.waiting == 0
    assert agreeing(report)["published"]
    await fixtures.execute(database_url, PUBLISHED.format(position=first.position + 5))
    assert not agreeing((await seen(database_url))[1])["published"]


async def test_a_statement_stands_beside_the_ledger(database_url: str) -> None:
    """What is matched, what is not on either side, and both balances of the last day."""
    commands = [
        fixtures.transfer("in-1", source=BANK, amount=1_000),
        fixtures.transfer("in-2", source=BANK, amount=250),
    ]
    await fixtures.written(database_url, commands)
    await fixtures.project(database_url)
    await imported(database_url, f"{DAY},10.00,in-1,one,10.00", f"{DAY},3.33,other,what,13.33")
    found, report = await seen(database_url)
    (account,) = found.accounts
    external = account.external
    assert external is not None
    assert account.projected
    assert external.lines.matched.count == 1
    assert (external.lines.unmatched.count, external.lines.unmatched.incoming) == (1, 333)
    assert (external.entries.count, external.entries.incoming) == (1, 250)
    assert (external.ends_on, external.closing, external.ledger_closing) == (DAY, 1_333, 1_250)
    assert agreeing(report)["external"] is False
    told = report.verdicts.external.explanation
    assert "lines that the ledger does not have: 1" in told
    assert "the balance on" in told
    (line,) = report.accounts
    assert line.external is not None
    assert line.external.closing_balance_minor == "1333"
    assert bytes(line.external.ledger_balance) == b"12.50"


async def test_what_comes_after_the_last_day_is_not_in_its_balance(database_url: str) -> None:
    """The ledger's balance is that of the end of the statement's last day."""
    later = fixtures.START + timedelta(days=2)
    await fixtures.written(database_url, [fixtures.transfer("in-1", source=BANK, amount=1_000)])
    await fixtures.written(
        database_url, [fixtures.transfer("in-2", source=BANK, amount=250)], now=lambda _: later
    )
    await fixtures.project(database_url)
    await imported(database_url, f"{DAY},10.00,in-1,one,10.00")
    found, _ = await seen(database_url)
    external = found.accounts[0].external
    assert external is not None
    assert (external.closing, external.ledger_closing) == (1_000, 1_000)
    assert (external.lines.unmatched.count, external.entries.count) == (0, 0)


async def test_days_between_statements_are_not_expected_to_be_stated(database_url: str) -> None:
    """What was posted on them is no discrepancy; once a statement covers them, it is one."""
    days = [fixtures.START + timedelta(days=number) for number in range(4)]
    for number, day in enumerate(days, 1):
        transfer = fixtures.transfer(f"in-{number}", source=BANK, amount=100 * number)
        await fixtures.written(database_url, [transfer], now=lambda _: day)  # noqa: B023 - called now
    await fixtures.project(database_url)
    first, gap, _, last = (day.date() for day in days)
    await imported(database_url, f"{first},1.00,in-1,one,1.00")
    await imported(database_url, f"{last},4.00,in-4,four,10.00")
    found, report = await seen(database_url)
    external = found.accounts[0].external
    assert external is not None
    assert (external.starts_on, external.ends_on, external.uncovered) == (first, last, 2)
    assert (external.entries.count, external.lines.matched.count) == (0, 2)
    left = "entries that no statement has"
    assert left not in report.verdicts.external.explanation
    assert f"{first} to {last} but for 2 days in USD" in four_way.as_text(report)
    await imported(database_url, f"{gap},9.00,other,what,9.00")
    found, report = await seen(database_url)
    external = found.accounts[0].external
    assert external is not None
    assert (external.uncovered, external.entries.count, external.entries.incoming) == (1, 1, 200)
    assert left in report.verdicts.external.explanation


async def test_a_statement_that_ends_before_it_begins_covers_its_last_day(
    database_url: str,
) -> None:
    """Some banks date a balance by its last movement; such a row may be there from before."""
    await fixtures.written(database_url, [fixtures.transfer("in-1", source=BANK, amount=100)])
    await fixtures.project(database_url)
    await imported(database_url, f"{DAY},1.00,in-1,one,1.00")
    await fixtures.execute(database_url, "UPDATE external.statements SET starts_on = ends_on + 1")
    found, _ = await seen(database_url)
    external = found.accounts[0].external
    assert external is not None
    assert (external.starts_on, external.ends_on, external.uncovered) == (DAY, DAY, 0)


async def test_the_worst_accounts_are_listed_and_all_are_counted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First those whose rows are wrong, by how much, then statements; the others are a number."""
    people = {"ann": 5, "bea": 500, "cat": 50}
    await fixtures.written(
        database_url,
        [
            fixtures.transfer("in-1", source=BANK, amount=1_000),
            *(fixtures.transfer(who, destination=who) for who in people),
        ],
    )
    await fixtures.project(database_url)
    await imported(database_url, f"{DAY},9.00,other,what,9.00")
    async with fixtures.connected(database_url) as owner:
        for who, off in people.items():
            await owner.execute(
                "UPDATE read.balances SET debits_pending = $1 WHERE account_id = $2", off, who
            )
    found, report = await seen(database_url)
    assert [each.account_id for each in found.accounts] == ["bea", "cat", "ann", BANK]
    assert (report.differingCount, report.statedCount, report.unsettledCount) == (3, 1, 1)
    assert report.leftOut == 0
    monkeypatch.setattr(sides, "ACCOUNTS_MAX", 2)
    found, report = await seen(database_url)
    assert [each.account_id for each in found.accounts] == ["bea", "cat"]
    assert (report.differingCount, report.unsettledCount, report.leftOut) == (3, 1, 2)
    assert report.verdicts.external.explanation.endswith(": 1 accounts.")
    assert "and 2 more accounts" in four_way.as_text(report)


async def test_a_view_that_is_asked_for_is_made_behind_the_scenes(database_url: str) -> None:
    """One at a time; the report is that of the command line, and stays until the next one."""
    await fixtures.rich_log(database_url, count=5)
    await fixtures.project(database_url)
    settings = fixtures.settings(database_url)
    runner = JobWorker(settings)
    async with fixtures.connected(database_url, AUDITOR) as connection:
        with pytest.raises(NotFound):
            await jobs.row_of(connection, "demo")
        first = await jobs.request(connection, "demo")
        again = await jobs.request(connection, "demo")
        assert (first["status"], again["asked_at"]) == ("queued", first["asked_at"])
        assert await runner.run_once() > 0
        row = await jobs.row_of(connection, "demo")
        assert (row["status"], row["position"], row["failure"]) == ("clean", row["target"], None)
        report = json.loads(row["report"])
        told = json.loads(ENCODER.encode(await four_way.report(settings, "demo")))
        assert report | {"timestamp": None} == told | {"timestamp": None}
        assert (await jobs.request(connection, "demo"))["report"] == row["report"]
        assert await runner.run_once() > 0
        assert await runner.run_once() == 0
    await runner.close()


async def test_a_view_that_cannot_be_made_fails_and_says_why(database_url: str) -> None:
    """The last report is still there; after a process that died over it, the next begins again."""
    await fixtures.rich_log(database_url, count=5)
    await fixtures.project(database_url)
    runner = JobWorker(fixtures.settings(database_url))
    async with fixtures.connected(database_url, AUDITOR) as connection:
        await jobs.request(connection, "demo")
        await connection.execute("UPDATE read.four_ways SET status = 'running'")
        await runner.run_once()
        kept = (await jobs.row_of(connection, "demo"))["report"]
        await fixtures.execute(
            database_url,
            "ALTER TABLE events.daybook_events DISABLE TRIGGER ALL",
            "UPDATE events.daybook_events SET state = '\\x7b' WHERE notification_id = 9",
        )
        await jobs.request(connection, "demo")
        await runner.run_once()
        row = await jobs.row_of(connection, "demo")
    await runner.close()
    assert (row["status"], row["report"]) == ("failed", kept)
    assert "9" in row["failure"]


async def test_a_view_that_stumbles_keeps_no_other_waiting(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stopped it, it has failed, and the next one has its turn."""
    runner = JobWorker(fixtures.settings(database_url))

    async def stumble(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(sides, "compare", stumble)
    async with fixtures.connected(database_url, AUDITOR) as connection:
        await jobs.request(connection, "demo")
        await jobs.request(connection, "other")
        assert await runner.run_once() + await runner.run_once() == 2
        rows = [await jobs.row_of(connection, ledger) for ledger in ("demo", "other")]
    await runner.close()
    assert [(row["status"], row["failure"]) for row in rows] == [("failed", "a bug")] * 2
