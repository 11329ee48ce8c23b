"""Group commit and idempotency: whatever happens in between, one effect and one answer."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from auditing.unflushed_accounts import command_accounts
from command_side.domain.commands import ChangeAccount, Command, Keyed, OpenAccount, Transfer
from command_side.domain.decide import Decidable, decide
from command_side.domain.decision import Decision
from command_side.domain.state import State
from command_side.writer import commit as commits
from command_side.writer import writer as writers
from command_side.writer.account_cache import AccountCache
from command_side.writer.commit import CachedPlan
from command_side.writer.idempotency import Idempotency
from command_side.writer.outcomes import Accepted, KeyReused, Outcome, PolicySet, Refused
from command_side.writer.writer import Writer
from daybook.embedded import servers
from events import log
from events.schema import Schema
from events.types import Recorded, Status, TransferPosted, TransferRejected, transaction_id
from runtime import database
from runtime.cache import Cache
from runtime.problems import Problem, Unavailable
from tests.integration import fixtures
from tests.patience import patient_s

SUBMITTERS = 64
RETRIES_MAX = 200
KILLS = 12


async def test_concurrent_submissions_share_commits(
    database_url: str, cache_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one batch commits the next one gathers, up to its bound."""
    sizes = _batch_sizes(monkeypatch)
    settings = fixtures.settings(database_url, cache_url, batch_commands_max=50)
    async with fixtures.writing(settings) as writer:
        outcomes = await asyncio.gather(
            *(writer.submit(fixtures.transfer(f"k{n}")) for n in range(300))
        )
    assert sum(sizes) == 300
    assert max(sizes) == 50
    assert len(sizes) <= 10
    # Two accounts were opened first, then one event each, in the order of submission.
    assert [_logged(outcome).position for outcome in outcomes] == list(range(3, 303))
    assert not any(_replayed(outcome) for outcome in outcomes)


async def test_duplicates_in_one_batch_make_one_effect(
    database_url: str, cache_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them is decided; all get its answer, the others marked as replayed."""
    sizes = _batch_sizes(monkeypatch)
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        command = fixtures.transfer("same")
        outcomes = await asyncio.gather(*(writer.submit(command) for _ in range(SUBMITTERS)))
    assert SUBMITTERS in sizes
    assert len({_logged(outcome) for outcome in outcomes}) == 1
    assert sorted(_replayed(outcome) for outcome in outcomes) == [False] + [True] * (SUBMITTERS - 1)
    assert await _effects(database_url) == {"same": 1}


@pytest.mark.parametrize("valkey", ["up", "flushed", "down"])
async def test_duplicates_over_two_processes_make_one_effect(
    database_url: str, cache_url: str, valkey: str
) -> None:
    """With or without Valkey: one event a key, and everybody gets the same answer."""
    settings = fixtures.settings(
        database_url,
        fixtures.CLOSED_CACHE if valkey == "down" else cache_url,
        batch_commands_max=7,
    )
    commands = [
        fixtures.transfer("fund", amount=1_000),
        *(fixtures.transfer(f"k{n}", "alice", "bob", 100 + n) for n in range(12)),
    ]
    flushing = asyncio.create_task(_flushes(cache_url)) if valkey == "flushed" else None
    async with fixtures.writing(settings) as one, fixtures.writing(settings) as two:
        await one.submit(commands[0])
        answers = await asyncio.gather(
            *(
                _insisting(writer, command)
                for _ in range(8)
                for command in commands
                for writer in (one, two)
            )
        )
        again = [await _insisting(two, command) for command in commands]
    if flushing is not None:
        flushing.cancel()
    by_key: dict[str, set[Any]] = {}
    first_times: Counter[str] = Counter()
    for answer in answers:
        by_key.setdefault(_key(answer), set()).add(_logged(answer))
        first_times[_key(answer)] += not _replayed(answer)
    assert all(len(different) == 1 for different in by_key.values())
    # `fund` was answered before; of every other key exactly one submission was the first.
    assert first_times == {"fund": 0} | {f"k{n}": 1 for n in range(12)}
    assert all(_replayed(answer) for answer in again)
    assert await _effects(database_url) == dict.fromkeys([c.key for c in _keyed(commands)], 1)
    # 1,000 minor units pay for the first nine of the rising amounts, in whatever order.
    assert await _rejections(database_url) == 3


@pytest.mark.parametrize("valkey", ["up", "down"])
@pytest.mark.parametrize("first", ["posted", "rejected"])
async def test_a_key_used_for_another_command_is_refused(
    database_url: str, cache_url: str, valkey: str, first: str
) -> None:
    """By the same process and by another one; and the first command still gets its answer."""
    url = cache_url if valkey == "up" else fixtures.CLOSED_CACHE
    settings = fixtures.settings(database_url, url)
    source = "world" if first == "posted" else "poor"
    original = fixtures.transfer("key", source, "alice", 5)
    others = [
        msgspec.structs.replace(original, postings=fixtures.several((source, "alice", 6, "USD"))),
        msgspec.structs.replace(original, description="other"),
        msgspec.structs.replace(original, metadata={}),
    ]
    async with fixtures.writing(settings) as one, fixtures.writing(settings) as two:
        answer = await one.submit(original)
        for writer in (one, two):
            for other in others:
                assert await writer.submit(other) == KeyReused("key")
            replay = await _insisting(writer, original)
            assert (_logged(replay), _replayed(replay)) == (_logged(answer), True)
    assert await _effects(database_url) == {"key": 1}


async def test_the_same_key_in_another_ledger_is_another_command(
    database_url: str, cache_url: str
) -> None:
    """Ledgers share nothing, keys neither."""
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        one = await writer.submit(fixtures.transfer("key"))
        two = await writer.submit(fixtures.transfer("key", ledger="other"))
    assert not _replayed(two)
    assert _logged(one).position != _logged(two).position


async def test_a_key_that_a_dead_process_claimed_is_decided_at_once(
    database_url: str, cache_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it decided twice, nor are its neighbours. It is so after a restore of the log, too."""
    commands = [fixtures.transfer(key) for key in ("one", "claimed", "another")]
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        for key in ("first", "second"):  # From the third on it knows that it is alone.
            await writer.submit(fixtures.transfer(key))
        assert await _claimed(cache_url, [commands[1]]) == []
        assert await _claimed(cache_url, commands[1:2]) == commands[1:2]
        decided = _decided(monkeypatch)
        outcomes = await asyncio.gather(*(writer.submit(command) for command in commands))
    assert decided == commands
    assert [_key(outcome) for outcome in outcomes] == [command.key for command in commands]
    assert not any(_replayed(outcome) for outcome in outcomes)
    assert await _effects(database_url) == dict.fromkeys(
        ["first", "second", *(command.key for command in commands)], 1
    )


async def test_a_cached_plan_counts_only_if_every_key_is_new(
    database_url: str, cache_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process plans from its cache while Valkey answers, and again if a key was used before."""
    done = [fixtures.transfer(f"done{n}", amount=1_000) for n in range(3)]
    new = [fixtures.transfer(f"new{n}", amount=1 + n) for n in range(3)]
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        first = [await writer.submit(command) for command in done]
        appended = _appended(monkeypatch)
        outcomes = await asyncio.gather(
            *(writer.submit(c) for pair in zip(done, new, strict=True) for c in pair)
        )
    again, accepted = outcomes[::2], outcomes[1::2]
    assert appended == [len(new)]
    assert list(map(_logged, again)) == list(map(_logged, first))
    assert all(map(_replayed, again))
    assert [_key(outcome) for outcome in accepted] == [command.key for command in new]
    assert not any(map(_replayed, accepted))
    assert await _effects(database_url) == {command.key: 1 for command in (*done, *new)}


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.QueryCanceledError("by an administrator"),
        asyncpg.InvalidCatalogNameError("no such database"),
        ConnectionResetError("gone"),
    ],
    ids=["cancelled", "misconfigured", "gone"],
)
async def test_what_cannot_be_looked_up_is_decided(
    database_url: str, cache_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A look into the log that fails keeps nobody waiting, now or afterwards."""
    command = fixtures.transfer("again")

    async def failing(*_: object) -> None:
        monkeypatch.undo()
        raise error

    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        first = await writer.submit(command)
        monkeypatch.setattr(writers, "find", failing)
        async with asyncio.timeout(patient_s(10)):
            again = await writer.submit(command)
            other = await writer.submit(fixtures.transfer("other"))
    assert (_logged(again), _replayed(again)) == (_logged(first), True)
    assert not _replayed(other)
    assert await _effects(database_url) == {"again": 1, "other": 1}


async def test_what_is_done_for_valkey_is_answered_without_being_decided_again(
    database_url: str, cache_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look into the log for all of them, and their batch has none of them."""
    settings = fixtures.settings(database_url, cache_url)
    commands = [fixtures.transfer(f"k{n}") for n in range(5)]
    async with fixtures.writing(settings) as one, fixtures.writing(settings) as two:
        first = [await one.submit(command) for command in commands]
        sizes = _batch_sizes(monkeypatch)
        *again, new = await asyncio.gather(
            *(two.submit(command) for command in [*commands, fixtures.transfer("new")])
        )
        await asyncio.gather(*(two.submit(command) for command in commands))
    assert sizes == [1]
    assert list(map(_logged, again)) == list(map(_logged, first))
    assert all(map(_replayed, again))
    assert not _replayed(new)


async def test_terminated_backends_lose_and_double_nothing(
    database_url: str, cache_url: str
) -> None:
    """Every submission ends in an outcome that is in the log, or in Unavailable."""
    settings = fixtures.settings(database_url, cache_url, batch_commands_max=20)
    commands = [fixtures.transfer(f"k{n}", amount=n + 1) for n in range(600)]
    async with fixtures.writing(settings) as one, fixtures.writing(settings) as two:
        killing = asyncio.create_task(_terminations(database_url))
        gate = asyncio.Semaphore(40)

        async def paced(index: int, command: Command) -> Outcome | BaseException:
            async with gate:
                await asyncio.sleep(0.005)
                try:
                    return await (one, two)[index % 2].submit(command)
                except Problem as problem:
                    return problem

        outcomes = await asyncio.gather(*(paced(i, c) for i, c in enumerate(commands)))
        assert await killing == KILLS
        by_position = {r.position: r for r in await fixtures.whole_log(database_url)}
        for command, outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Accepted):
                assert by_position[outcome.position].event == outcome.recorded.event
                assert outcome.recorded.originator_id == transaction_id("demo", command.key)
            else:
                assert isinstance(outcome, Unavailable), repr(outcome)
        # Whoever got no answer sends the same key again, as told.
        await asyncio.gather(*(_insisting(one, command) for command in commands))
    assert await _effects(database_url) == dict.fromkeys([c.key for c in commands], 1)
    async with fixtures.connected(database_url) as connection:
        accounts = await command_accounts(connection, await log.head(connection))
        row = await connection.fetchrow("SELECT * FROM command.accounts WHERE account_id = 'alice'")
    assert accounts.shown(row)["credits_posted"] == sum(
        command.postings[0].amount_minor for command in commands
    )


async def test_a_database_that_is_away_is_said_to_be(cache_url: str) -> None:
    """After a few attempts the waiters are told; none hangs, and the next one is tried again."""
    settings = fixtures.settings("postgresql://nobody@127.0.0.1:1/nothing", cache_url)
    async with fixtures.writing(settings) as writer:
        for _ in range(2):
            outcomes = await asyncio.gather(
                *(writer.submit(fixtures.transfer(f"k{n}")) for n in range(5)),
                return_exceptions=True,
            )
            assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes


async def test_a_poisonous_command_fails_alone(
    database_url: str, cache_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that one command meets is nobody else's."""

    def deciding(command: Decidable, state: State, schema: Schema, at: datetime) -> Decision:
        if isinstance(command, Transfer) and command.key == "poison":
            raise ZeroDivisionError
        return decide(command, state, schema, at)

    monkeypatch.setattr(commits, "decide", deciding)
    commands = [fixtures.transfer(f"k{n}" if n != 7 else "poison") for n in range(20)]
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        outcomes = await asyncio.gather(
            *(writer.submit(command) for command in commands), return_exceptions=True
        )
        assert isinstance(outcomes.pop(7), ZeroDivisionError)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
        after = await writer.submit(fixtures.transfer("after"))
        assert _logged(after).position == 22


async def test_a_command_that_postgresql_refuses_fails_alone(
    database_url: str, cache_url: str
) -> None:
    """U+0000 never comes this far over HTTP; if it did, it would harm nobody else."""
    commands = [fixtures.transfer("k0"), fixtures.transfer("nul", "a\0b"), fixtures.transfer("k1")]
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        outcomes = await asyncio.gather(
            *(writer.submit(command) for command in commands), return_exceptions=True
        )
    assert isinstance(outcomes[1], Exception)
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, True]


@pytest.mark.parametrize("bound", ["waiting_commands_max", "ledger_waiting_commands_max"])
async def test_a_full_queue_refuses_at_once(database_url: str, cache_url: str, bound: str) -> None:
    """Beyond the bound a submitter is told to come again, and those inside are served."""
    bounds: dict[str, Any] = {bound: 3}
    settings = fixtures.settings(database_url, cache_url, **bounds)
    async with fixtures.writing(settings) as writer:
        async with fixtures.held_head(database_url):
            first = asyncio.create_task(writer.submit(fixtures.transfer("in-hand")))
            await fixtures.kept_waiting(database_url)
            waiting = [
                asyncio.create_task(writer.submit(fixtures.transfer(f"k{n}"))) for n in range(3)
            ]
            await asyncio.sleep(0)
            for turned_away in (writer.submit(fixtures.transfer("more")), _asked(writer, "demo")):
                with pytest.raises(Unavailable) as refusal:
                    await turned_away
                assert refusal.value.code == "too_many_waiting"
                assert refusal.value.headers == {"Retry-After": "1"}
        await asyncio.gather(first, *waiting)
    assert await _effects(database_url) == {"in-hand": 1, "k0": 1, "k1": 1, "k2": 1}


async def test_a_quiet_ledger_gets_through_while_another_floods(
    database_url: str, cache_url: str
) -> None:
    """It is let in when the other is full, and decided in the next commit; nothing is lost."""
    settings = fixtures.settings(
        database_url, cache_url, batch_commands_max=10, ledger_waiting_commands_max=100
    )
    flood = [fixtures.transfer(f"k{n}", ledger="flood") for n in range(130)]
    async with fixtures.writing(settings) as writer:
        async with fixtures.held_head(database_url):
            first = asyncio.create_task(writer.submit(fixtures.transfer("in-hand")))
            await fixtures.kept_waiting(database_url)
            flooding = [asyncio.create_task(_outcome(writer, command)) for command in flood]
            await asyncio.sleep(0)
            quiet = asyncio.create_task(writer.submit(fixtures.transfer("quiet")))
            await asyncio.sleep(0)
        position = _logged(await quiet).position
        outcomes = await asyncio.gather(*flooding)
        await first
    done = [outcome.position for outcome in outcomes if isinstance(outcome, Accepted)]
    assert len(done) == 100
    # Behind what was in hand there is one commit at most.
    assert sum(other < position for other in done) < 10
    effects = {f"k{n}": 1 for n in range(100)} | {"in-hand": 1, "quiet": 1}
    assert await _effects(database_url) == effects


async def test_what_waited_for_too_long_is_neither_claimed_nor_decided(
    database_url: str, cache_url: str
) -> None:
    """It is answered, and may be asked again at once, anywhere."""
    settings = fixtures.settings(database_url, cache_url, waiting_s_max=0.05)
    late = fixtures.transfer("late")
    async with fixtures.writing(settings) as one, fixtures.writing(settings) as two:
        async with fixtures.held_head(database_url):
            first = asyncio.create_task(one.submit(fixtures.transfer("in-hand")))
            await fixtures.kept_waiting(database_url)
            waiting = asyncio.create_task(_outcome(one, late))
            await asyncio.sleep(0.1)
        outcome = await waiting
        assert isinstance(outcome, Unavailable)
        assert outcome.code == "waited_too_long"
        assert int(outcome.headers["Retry-After"]) >= 1
        assert not _replayed(await first)
        assert await _claimed(cache_url, [late]) == []
        assert not _replayed(await two.submit(late))
    assert await _effects(database_url) == {"in-hand": 1, "late": 1}


async def test_who_would_wait_for_too_long_is_not_let_in(database_url: str, cache_url: str) -> None:
    """A request is turned away at the door; what was let in earlier goes on, in parts too."""
    settings = fixtures.settings(
        database_url, cache_url, batch_commands_max=2, expected_wait_s_max=1e-6
    )
    async with fixtures.writing(settings) as writer:
        writer.check_room("demo")
        async with fixtures.held_head(database_url):
            first = asyncio.create_task(writer.submit(fixtures.transfer("in-hand")))
            await fixtures.kept_waiting(database_url)
            writer.check_room("demo")
            second = asyncio.create_task(writer.submit(fixtures.transfer("second")))
            await asyncio.sleep(0)
            with pytest.raises(Unavailable) as refusal:
                writer.check_room("demo")
            assert refusal.value.code == "too_many_waiting"
            writer.check_room("quiet")
            third = asyncio.create_task(writer.submit(fixtures.transfer("third")))
        await asyncio.gather(first, second, third)
    assert await _effects(database_url) == {"in-hand": 1, "second": 1, "third": 1}


async def test_a_client_that_goes_away_does_no_harm(database_url: str, cache_url: str) -> None:
    """A command under way stands or not; a queued one is dropped. Both can be sent again."""
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        async with fixtures.held_head(database_url):
            gone = asyncio.create_task(writer.submit(fixtures.transfer("gone")))
            await fixtures.kept_waiting(database_url)
            queued = asyncio.create_task(writer.submit(fixtures.transfer("gone-queued")))
            stays = asyncio.create_task(writer.submit(fixtures.transfer("stays")))
            await asyncio.sleep(0)
            gone.cancel()
            queued.cancel()
            await asyncio.gather(gone, queued, return_exceptions=True)
        assert not _replayed(await stays)
        fixtures.accepted(await writer.submit(fixtures.transfer("gone")))
        assert not _replayed(await writer.submit(fixtures.transfer("gone-queued")))
    assert await _effects(database_url) == {"gone": 1, "gone-queued": 1, "stays": 1}


async def test_a_writer_that_stops_tells_everybody(database_url: str, cache_url: str) -> None:
    """Those in hand and those in the queue get Unavailable; afterwards each key has one effect."""
    settings = fixtures.settings(database_url, cache_url, batch_commands_max=2)
    commands = [fixtures.transfer(f"k{n}") for n in range(6)]
    async with contextlib.AsyncExitStack() as stack:
        writer = await stack.enter_async_context(fixtures.writing(settings))
        async with fixtures.held_head(database_url):
            tasks = [asyncio.create_task(writer.submit(command)) for command in commands]
            await asyncio.sleep(0.2)
            await stack.aclose()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes
    async with fixtures.writing(settings) as writer:
        await asyncio.gather(*(_insisting(writer, command) for command in commands))
    assert await _effects(database_url) == {f"k{n}": 1 for n in range(6)}


async def test_a_cancelled_exchange_with_valkey_ends(cache_url: str) -> None:
    """Wherever the cancellation falls, it is not swallowed: or the process would never stop."""
    for steps in range(60):
        cache = Cache(cache_url)
        if steps % 2:
            await cache.ping()
        call = cache.claim(["claim"], 1_000)
        task = asyncio.create_task(call)
        for _ in range(steps // 2):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        await cache.close()


async def test_account_commands_share_batches_with_transfers(
    database_url: str, cache_url: str
) -> None:
    """Each sees those before it, whatever its kind; a refusal is its own."""
    commands: list[Command] = [
        OpenAccount(ledger="demo", account_id="new", currency="USD"),
        fixtures.transfer("in", "world", "new", 5),
        ChangeAccount(ledger="demo", account_id="new", status=Status.CLOSED, currency="USD"),
        fixtures.transfer("out", "new", "world", 5),
        ChangeAccount(ledger="demo", account_id="new", status=Status.CLOSED, currency="USD"),
        fixtures.transfer("late", "world", "new", 5),
        OpenAccount(ledger="demo", account_id="new", currency="EUR"),
        OpenAccount(ledger="demo", account_id="new", currency="USD"),
    ]
    async with fixtures.writing(fixtures.settings(database_url, cache_url)) as writer:
        outcomes = await asyncio.gather(
            *(writer.submit(command) for command in commands), return_exceptions=True
        )
    assert list(map(_shown, outcomes)) == [
        "account.opened",
        "transfer.posted",
        "account_not_empty",
        "transfer.posted",
        "account.changed",
        "transfer.rejected",
        "account_exists",
        None,
    ]


async def test_recorded_times_never_go_backwards_though_the_clock_does(
    database_url: str, cache_url: str
) -> None:
    """A clock set back repeats the last recorded time until it is passed again."""
    clock = [fixtures.START]
    answers = []
    settings = fixtures.settings(database_url, cache_url)
    async with fixtures.writing(settings, lambda: clock[0]) as writer:
        for second in (10, 3, -500, 11):
            clock[0] = fixtures.START + timedelta(seconds=second)
            answers.append(await writer.submit(fixtures.transfer(f"k{second}")))
    seconds = [
        (_logged(answer).event.recorded_at - fixtures.START).total_seconds() for answer in answers
    ]
    assert seconds == [10, 10, 10, 11]


def _batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    original = commits.append_batch

    async def counted(
        connection: database.Executor,
        commands: Sequence[Command],
        schema: Schema,
        now: datetime,
        cache: AccountCache,
        cached: CachedPlan | None,
    ) -> list[Outcome]:
        sizes.append(len(commands))
        return await original(connection, commands, schema, now, cache, cached)

    monkeypatch.setattr(writers, "append_batch", counted)
    return sizes


def _decided(monkeypatch: pytest.MonkeyPatch) -> list[Decidable]:
    decided: list[Decidable] = []
    original = decide

    def noted(command: Decidable, *more: Any) -> Decision:  # noqa: ANN401 - passed on
        decided.append(command)
        return original(command, *more)

    monkeypatch.setattr(commits, "decide", noted)
    return decided


def _appended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    appended: list[int] = []
    original = log.append

    async def noted(
        connection: database.Executor, head: log.Head, events: Sequence[Any], stored: int
    ) -> log.Head | None:
        appended.append(len(events))
        return await original(connection, head, events, stored)

    monkeypatch.setattr(log, "append", noted)
    return appended


async def _claimed(cache_url: str, commands: Sequence[Keyed]) -> list[Keyed]:
    """Claim as a process does that dies afterwards; return what was claimed before."""
    cache = Cache(cache_url)
    try:
        return await Idempotency(cache, 60).claim(commands)
    finally:
        await cache.close()


async def _insisting(writer: Writer, command: Command) -> Outcome:
    """Submit as a client does: an absence is tried again with the same key."""
    for _ in range(RETRIES_MAX):
        try:
            return await writer.submit(command)
        except Unavailable:
            await asyncio.sleep(0.05)
    raise AssertionError(command)


async def _flushes(cache_url: str) -> None:
    port = urlsplit(cache_url).port
    assert port is not None
    while True:
        await servers.first_line(port, b"FLUSHALL\r\n")
        await asyncio.sleep(0.005)


async def _terminations(database_url: str) -> int:
    """Terminate whatever writers there are, a dozen times; return how often."""
    async with fixtures.connected(database_url) as connection:
        killed = 0
        while killed < KILLS:
            await asyncio.sleep(0.03)
            killed += bool(
                await connection.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name = 'daybook_writer' AND datname = current_database()"
                )
            )
        return killed


async def _outcome(writer: Writer, command: Command) -> Outcome:
    """Return what became of a command, if it is only a problem."""
    (outcome,) = await writer.submit_each([command])
    return outcome


async def _asked(writer: Writer, ledger: str) -> None:
    writer.check_room(ledger)


async def _effects(database_url: str) -> dict[str, int]:
    """Return how many events each idempotency key has."""
    events = [recorded.event for recorded in await fixtures.whole_log(database_url)]
    return dict(Counter(e.key for e in events if isinstance(e, TransferPosted | TransferRejected)))


async def _rejections(database_url: str) -> int:
    events = [recorded.event for recorded in await fixtures.whole_log(database_url)]
    return sum(isinstance(event, TransferRejected) for event in events)


def _keyed(commands: Sequence[Transfer]) -> Sequence[Transfer]:
    return commands


def _logged(outcome: Outcome) -> Recorded:
    """Return the event of an outcome that has one in the log."""
    assert isinstance(outcome, Accepted | Refused), outcome
    assert outcome.recorded is not None, outcome
    return outcome.recorded


def _replayed(outcome: Outcome) -> bool:
    assert isinstance(outcome, Accepted | Refused), outcome
    return outcome.replayed


def _key(outcome: Outcome) -> str:
    event = _logged(outcome).event
    assert isinstance(event, TransferPosted | TransferRejected)
    return event.key


def _shown(outcome: Outcome | BaseException) -> str | None:
    """Return the topic of the event, or the code of a refusal that is not in the log."""
    assert isinstance(outcome, Accepted | Refused | PolicySet), outcome
    if isinstance(outcome, Refused) and outcome.recorded is None:
        return outcome.rejection.code
    return None if outcome.recorded is None else outcome.recorded.event.topic
