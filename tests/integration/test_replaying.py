"""Audit replay over a real log: what it tells is what the auditor's fold of the whole log says."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import pytest

from auditing.explain import Replay, open_log
from auditing.explain.counters import counters_of
from auditing.replay import ReplayedState
from daybook.cli.actions import replay
from daybook.cli.output_options import Output
from daybook.cli.replay_views import View
from daybook.cli.sheets import OutputFormat
from events.types import Recorded
from runtime.problems import Invalid, NotFound, Problem
from runtime.sql import ROOT
from tests.integration import fixtures


def booked(log: list[Recorded], until: int, ledger: str | None = None) -> ReplayedState:
    """Return the auditor's state of a log, of one ledger if it is named."""
    state = ReplayedState()
    for recorded in log[:until]:
        if ledger in (None, recorded.event.ledger):
            state.fold(recorded)
    return state


async def test_a_replayed_log_is_what_the_books_say(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trial balances, stories, explanations and differences, in pages and steps of any size."""
    length = await fixtures.rich_log(database_url, count=30)
    events = await fixtures.whole_log(database_url)
    monkeypatch.setattr("auditing.explain.replayed_log.PAGE_EVENTS_MAX", 3)
    monkeypatch.setattr("events.ledger_log.LOOK_MAX", 50)
    seen: list[tuple[int, int]] = []
    async with open_log(database_url) as log:
        for ledger, at in ((None, None), ("demo", 40), ("other", length)):
            found = await log.trial_balance(at, ledger=ledger, progress=lambda *n: seen.append(n))
            expected = booked(events, at or length, ledger).accounts
            assert found.balanced
            assert found.position == (at or length)
            assert {(row.ledger, row.account_id): row.counters for row in found.accounts} == {
                key: counters_of(tally) for key, tally in expected.items()
            }
        assert seen[-1] == (length, length)
        for account_id in ("alice", "bob", "tokyo", "empty"):
            await _check_account(log, events, account_id)
        found_all = await log.difference(0, ledger="demo")
        assert found_all.event_count == len([r for r in events if r.event.ledger == "demo"])
        assert found_all.standings == []
        last = await log.difference(length - 10, length)
        assert last.event_count == 10
        assert last.standings
        none = await log.difference(length)
        assert (none.event_count, none.accounts, none.standings) == (0, [], [])


async def _check_account(log: Replay, events: list[Recorded], account_id: str) -> None:
    tally = booked(events, len(events), "demo").accounts["demo", account_id]
    steps = [step async for step in log.story("demo", account_id)]
    assert steps[0].type == "account.opened" or not steps[0].moved
    assert steps[-1].counters == counters_of(tally)
    assert sum(step.change for step in steps) == tally.balance
    explained = await log.explain("demo", account_id, kept_max=4)
    shown = sum(made.amount for made in explained.contributions)
    assert shown + explained.left_out.amount == tally.balance == explained.counters.balance


async def test_a_place_is_a_position_or_a_time(database_url: str) -> None:
    """A time counts what was recorded before it, and needs no read model."""
    length = await fixtures.rich_log(database_url, count=10)
    events = await fixtures.whole_log(database_url)
    async with open_log(database_url) as log:
        assert await log.position(None) == await log.head() == length
        for recorded in events:
            at = recorded.event.recorded_at
            before = [r.position for r in events if r.event.recorded_at < at]
            assert await log.position(at) == max(before, default=0)
        after = events[-1].event.recorded_at + timedelta(days=1)
        assert await log.position(after) == length
        for beyond in (-1, length + 1):
            with pytest.raises(Invalid, match="position_invalid"):
                await log.position(beyond)
        with pytest.raises(Invalid, match="position_invalid"):
            await log.difference(2, 1)


async def test_events_are_those_of_a_ledger_and_an_account(database_url: str) -> None:
    """Between two places, in order; nothing of an account of the same name elsewhere."""
    await fixtures.rich_log(database_url, count=10)
    events = await fixtures.whole_log(database_url)
    async with open_log(database_url) as log:
        some = [r async for r in log.events(after=3, until=30)]
        assert some == events[3:30]
        demo = [r async for r in log.events(ledger="demo")]
        assert demo == [r for r in events if r.event.ledger == "demo"]
        alice = [r async for r in log.events(ledger="demo", account_id="alice")]
        assert alice
        assert {r.event.ledger for r in alice} == {"demo"}
        with pytest.raises(Invalid, match="ledger_missing"):
            await anext(aiter(log.events(account_id="alice")))
        for account_id, at in (("nobody", None), ("alice", 0)):
            with pytest.raises(NotFound, match="account_not_found"):
                await log.explain("demo", account_id, at=at)


REFUSED = [
    ((View.ACCOUNT, (), "demo", None), "arguments_invalid"),
    ((View.TRIAL_BALANCE, ("5",), None, None), "arguments_invalid"),
    ((View.DIFF, ("1",), None, None), "arguments_invalid"),
    ((View.DIFF, ("1", "2"), None, "3"), "arguments_invalid"),
    ((View.DIFF, ("2", "1"), None, None), "position_invalid"),
    ((View.DIFF, ("now", "1"), None, None), "period_invalid"),
    ((View.TRIAL_BALANCE, (), None, "99"), "position_invalid"),
    ((View.ACCOUNT, ("alice",), None, None), "ledger_missing"),
    ((View.ACCOUNT, ("alice",), "other", None), "account_not_found"),
]


async def test_impossible_replays_are_refused_and_leave_no_file(
    database_url: str, tmp_path: Path
) -> None:
    """What is asked is checked before anything is written."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    settings = fixtures.settings(database_url)
    written = Output(OutputFormat.CSV, tmp_path / "there")
    for (view, arguments, ledger, until), code in REFUSED:
        with pytest.raises(Problem, match=code):
            await replay.replay(settings, view, arguments, ledger, until, written)
    assert list(tmp_path.iterdir()) == []
    assert await replay.replay(settings, View.TRIAL_BALANCE, (), None, None, written)
    assert (tmp_path / "there").read_text(encoding="utf-8").startswith("ledger,account_id,")


BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


async def test_the_documented_examples_print_what_is_shown(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/python-api.md, program by program, over the log that it speaks of."""
    commands = [
        fixtures.transfer("deposit"),
        fixtures.transfer("payment", "alice", "shop", 30),
        fixtures.transfer("too-much", "alice", "shop", 900),
    ]
    await fixtures.written(database_url, commands, now=lambda _: fixtures.START)
    monkeypatch.setenv("DAYBOOK_DATABASE_URL", database_url)
    blocks = BLOCK.findall((ROOT / "docs/python-api.md").read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks] == ["python", "text"] * (len(blocks) // 2)
    for (_, program), (_, shown) in zip(blocks[::2], blocks[1::2], strict=True):
        await asyncio.to_thread(exec, compile(program, "docs/python-api.md", "exec"), {})
        assert capsys.readouterr().out == shown
