"""The fair queue: in turn between ledgers, in order within one, and within its bounds."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_side.domain.commands import Atomic, CloseBooks, Command, Settle, Transfer
from command_side.writer.fair_queue import FairQueue, Overload, QueuedRequest
from command_side.writer.outcomes import Outcome

COMMIT = 10
QUEUE_MAX = 1_000
LEDGER_MAX = 500
NOW = 100.0


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return a loop that never runs: futures must be of one."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def transfer(ledger: str) -> Transfer:
    """Return a command of `ledger`; which one is all that the queue looks at."""
    return Transfer(ledger=ledger, key="k", postings=())


class Asked:
    """A queue, and the requests that join it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.queue = FairQueue(COMMIT, QUEUE_MAX, LEDGER_MAX)
        self._loop = loop

    def ask(self, ledger: str, count: int = 1, since_s: float = NOW) -> QueuedRequest:
        """Let a request for `count` transactions wait."""
        return self.wait([transfer(ledger)] * count, since_s)

    def ask_atomic(self, ledger: str, count: int) -> QueuedRequest:
        """Let a request for `count` transactions, all or none, wait."""
        return self.wait([Atomic(ledger=ledger, commands=(transfer(ledger),) * count)])

    def wait(self, commands: list[Command], since_s: float = NOW) -> QueuedRequest:
        """Let a request wait."""
        outcomes: asyncio.Future[list[Outcome]] = self._loop.create_future()
        waiting = QueuedRequest(commands, outcomes, since_s)
        self.queue.add(waiting)
        return waiting

    def take(self) -> list[QueuedRequest]:
        """Return the next commit's."""
        return self.queue.take(0).batch


@pytest.fixture
def asked(loop: asyncio.AbstractEventLoop) -> Asked:
    """Return an empty queue."""
    return Asked(loop)


def test_one_ledger_is_served_in_order_a_commit_at_a_time(asked: Asked) -> None:
    """First come, first served, up to the bound of a commit."""
    requests = [asked.ask("a") for _ in range(25)]
    assert [len(asked.take()) for _ in range(4)] == [10, 10, 5, 0]
    requests = [asked.ask("a", 3) for _ in range(5)]
    assert asked.take() == requests[:4]  # The last one is taken whole.
    taken = asked.queue.take(0)
    assert (taken.batch, taken.ledgers_left, asked.queue.weight) == (requests[4:], 0, 0)


@pytest.mark.parametrize("flood", [1, 3, COMMIT, 5 * COMMIT])
def test_a_quiet_ledger_is_in_the_next_commit(asked: Asked, flood: int) -> None:
    """However much another one has waiting, in requests of whatever size."""
    for _ in range(40):
        asked.ask("flood", flood)
    for _ in range(3):
        asked.take()
        quiet = asked.ask("quiet")
        assert quiet in asked.take()


def test_a_quiet_ledger_is_in_the_next_commit_among_many_floods(asked: Asked) -> None:
    """What counts is what each of them asks for at once, not how many they are."""
    for number in range(8):
        for _ in range(20):
            asked.ask(f"flood-{number}", COMMIT)
    for _ in range(20):
        quiet = asked.ask("quiet")
        assert quiet in asked.take()


@pytest.mark.parametrize("one, other", [(1, 1), (1, 3), (1, COMMIT), (3, 7), (COMMIT, COMMIT)])
def test_two_floods_get_the_same(asked: Asked, one: int, other: int) -> None:
    """In transactions, whatever the size of their requests."""
    for _ in range(600 // one):
        asked.ask("one", one)
    for _ in range(600 // other):
        asked.ask("other", other)
    had: dict[str, int] = defaultdict(int)
    for _ in range(40):
        for waiting in asked.take():
            had[waiting.ledger] += waiting.weight
        assert abs(had["one"] - had["other"]) <= 2 * COMMIT


def test_who_waits_one_at_a_time_gets_no_more_than_a_flood(asked: Asked) -> None:
    """A ledger that had more than its share is behind when it comes again."""
    for _ in range(600):
        asked.ask("flood")
    had: dict[str, int] = defaultdict(int)
    alone = asked.ask("alone", COMMIT)
    for _ in range(40):
        if alone.outcomes.done():
            alone = asked.ask("alone", COMMIT)
        for waiting in asked.take():
            had[waiting.ledger] += waiting.weight
            waiting.outcomes.set_result([])
    assert abs(had["flood"] - had["alone"]) <= 2 * COMMIT


def test_the_largest_request_has_its_turn_beside_a_flood(asked: Asked) -> None:
    """Its order is that of a commit; then the others have what it had before it comes again."""
    for _ in range(300):
        asked.ask("flood")
    large = asked.ask_atomic("large", 10 * COMMIT)
    again = asked.ask("large")
    assert large in asked.take() + asked.take()
    for _ in range(8):
        assert again not in asked.take()
    assert again in asked.take() + asked.take()


def test_who_was_ahead_of_an_empty_queue_starts_anew(asked: Asked) -> None:
    """Nobody was kept waiting by it."""
    asked.ask_atomic("large", 10 * COMMIT)
    assert len(asked.take()) == 1
    again = asked.ask("large")
    for _ in range(50):
        asked.ask("flood")
    assert again in asked.take()


def test_what_is_due_waits_as_a_ledger_of_its_own(asked: Asked) -> None:
    """Settlements name no ledger."""
    for _ in range(100):
        asked.ask("flood")
    due = asked.wait([Settle(about=UUID(int=1))])
    books = asked.wait([CloseBooks(ledger="quiet", closed_before=datetime(2026, 1, 1, tzinfo=UTC))])
    batch = asked.take()
    assert due in batch
    assert books in batch


def test_a_full_ledger_leaves_room_for_others(asked: Asked) -> None:
    """Its bound is reached first, then that of the whole queue; both end with what is taken."""
    for _ in range(LEDGER_MAX // 10):
        assert asked.queue.full("flood") is None
        asked.ask("flood", 10)
    assert asked.queue.full("flood") is Overload.LEDGER_FULL
    assert asked.queue.full("quiet") is None
    asked.ask("other", LEDGER_MAX)
    assert asked.queue.full("quiet") is Overload.QUEUE_FULL
    asked.take()
    assert asked.queue.full("quiet") is None
    assert asked.queue.full("flood") is None


def test_a_request_larger_than_the_queue_closes_it_for_its_own_ledger_alone(asked: Asked) -> None:
    """Of one ledger no more counts for the others than its bound."""
    asked.ask_atomic("large", 10 * QUEUE_MAX)
    assert asked.queue.full("large") is Overload.LEDGER_FULL
    assert asked.queue.full("quiet") is None
    assert len(asked.take()) == 1
    asked.ask("other", LEDGER_MAX)
    assert asked.queue.full("quiet") is None


@pytest.mark.parametrize(
    "waiting, ledger, before",
    [
        ({}, "a", 0),
        ({"a": 7}, "a", 7),
        ({"a": 7}, "b", 0),
        ({"a": 100, "b": 3}, "b", 6),
        ({"a": 100, "b": 3}, "a", 103),
    ],
)
def test_what_is_before_a_ledgers_next_one(
    asked: Asked, waiting: dict[str, int], ledger: str, before: int
) -> None:
    """As much of every ledger as of its own, and never more than there is."""
    for name, count in waiting.items():
        asked.ask(name, count)
    assert asked.queue.before(ledger) == before


def test_who_waits_no_more_takes_nobodys_turn(asked: Asked) -> None:
    """What came too early, and what nobody waits for, comes out beside a whole commit."""
    late = [asked.ask("flood", 2, since_s=NOW - 5) for _ in range(20)]
    gone = [asked.ask("flood", 2) for _ in range(20)]
    stays = [asked.ask("flood") for _ in range(COMMIT + 1)]
    for waiting in gone:
        waiting.outcomes.cancel()
    taken = asked.queue.take(NOW - 1)
    assert (taken.late, taken.batch) == (late + gone, stays[:COMMIT])
    assert asked.queue.weight == 1
    assert asked.take() == stays[COMMIT:]


REQUEST_MAX = 2 * COMMIT
WAIT_AT_LEAST = 30
REQUESTS = st.tuples(st.sampled_from("abcd"), st.integers(1, REQUEST_MAX), st.integers(0, 9))
STEPS = st.lists(st.lists(REQUESTS, max_size=12), max_size=30)


@given(STEPS)
def test_nothing_is_lost_or_doubled_or_overtaken(
    loop: asyncio.AbstractEventLoop, steps: list[list[tuple[str, int, int]]]
) -> None:
    """Whatever comes between commits: each comes out once, in its ledger's order, in bounds."""
    asked = Asked(loop)
    came: dict[str, list[QueuedRequest]] = defaultdict(list)
    left: dict[str, list[QueuedRequest]] = defaultdict(list)
    inside = 0

    def take() -> None:
        nonlocal inside
        taken = asked.queue.take(NOW)
        assert not any(w.outcomes.done() or w.since_s < NOW for w in taken.batch)
        assert all(w.outcomes.cancelled() or w.since_s < NOW for w in taken.late)
        assert sum(w.weight for w in taken.batch[:-1]) < COMMIT
        of_ledger: dict[str, list[QueuedRequest]] = defaultdict(list)
        for waiting in taken.batch + taken.late:
            of_ledger[waiting.ledger].append(waiting)
            inside -= waiting.weight
        for ledger, several in of_ledger.items():
            expected = came[ledger][len(left[ledger]) :][: len(several)]
            assert sorted(map(id, several)) == sorted(map(id, expected))
            left[ledger] += several
        for each in (taken.batch, taken.late):
            for ledger, order in came.items():
                places = [order.index(w) for w in each if w.ledger == ledger]
                assert places == sorted(places)
        assert asked.queue.weight == inside

    for step in steps:
        for ledger, count, kind in step:
            waiting = asked.ask(ledger, count, since_s=NOW - 1 if kind == 0 else NOW)
            if kind == 1:
                waiting.outcomes.cancel()
            came[ledger].append(waiting)
            inside += count
        take()
    while asked.queue.weight:
        take()
    assert {ledger: len(several) for ledger, several in left.items()} == {
        ledger: len(several) for ledger, several in came.items()
    }


@given(STEPS, st.data())
def test_no_ledger_that_waits_falls_behind(
    loop: asyncio.AbstractEventLoop, steps: list[list[tuple[str, int, int]]], data: st.DataObject
) -> None:
    """While two ledgers wait, each gets what the other gets, but for two commits and requests."""
    asked = Asked(loop)
    for ledger in "xy":
        for count in data.draw(
            st.lists(st.integers(1, REQUEST_MAX), min_size=WAIT_AT_LEAST, max_size=60)
        ):
            asked.ask(ledger, count)
    had = {"x": 0, "y": 0}
    taken = {"x": 0, "y": 0}
    for step in steps:
        for ledger, count, _ in step:
            asked.ask(ledger, count)
        for waiting in asked.take():
            if waiting.ledger in had:
                had[waiting.ledger] += waiting.weight
                taken[waiting.ledger] += 1
        if max(taken.values()) >= WAIT_AT_LEAST:
            return
        assert abs(had["x"] - had["y"]) <= 2 * (COMMIT + REQUEST_MAX)
