"""Any clients, any commands, any time: after every step every promise holds.

`asking` says what is asked, `witness` and `bookkeeper` what must be true of it. Hypothesis looks
for the smallest story that breaks a promise; the seeded runs are long, and the same every time, so
they can be asked whether everything that should be watched has happened.
"""

import random
from collections import Counter

import pytest
from hypothesis import event, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from command_side.domain.commands import Command
from command_side.domain.rejections import Code
from events.types import EVENT_TYPES, Status
from tests.unit import random_commands
from tests.unit.in_memory_writer import cut
from tests.unit.model_checker import Witness
from tests.unit.random_commands import Asking, History

# What fails is made smaller for up to five minutes.
pytestmark = pytest.mark.timeout(900)

RANDOM = st.randoms(use_true_random=False)
WAITING_MAX = 8
STEPS = 40
SEEDS = 60

# What a run must have seen to be worth anything, besides every code and every type of event.
WATCHED = (
    *("replayed", "reused", "opened by use", "several postings", "exchanged", "condition kept"),
    *("all of several", "none of several", "none after some", "dated back", "closed after use"),
    *("capture whole", "capture in part", "expired after a capture", "changed nothing"),
    *("refund whole", "refund in part", "refund of transfer", "refund of capture"),
    *("refund of transfer.scheduled", "settled nothing", "settled hold.expired"),
    *("settled transfer.posted", "settled transfer.rejected"),
    *(f"became {status}" for status in Status),
)


class Business(RuleBasedStateMachine):
    """Some clients who ask, a writer who takes what waits, a sweeper, and a projector."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.witness = Witness()
        self.waiting: list[Command] = []

    def ask(self, asking_for: Asking, rng: random.Random, *, wait: bool = True) -> None:
        """Let one more command wait; commit what waits, if nobody is to wait any longer."""
        command = asking_for(rng, self.history)
        note(f"{self.history.now.isoformat()} {command}")
        self.history.remember(command)
        self.waiting.append(command)
        if not wait or len(self.waiting) >= WAITING_MAX:
            self.commit()

    def commit(self) -> None:
        """Decide all that waits in one batch."""
        self.witness.submit(self.waiting, self.history.now)
        self.waiting = []

    @initialize(rng=RANDOM)
    def begin(self, rng: random.Random) -> None:
        """Bring some money in, so that more is possible from the start."""
        for _ in range(4):
            self.ask(random_commands.fund, rng)
        self.commit()

    @rule(rng=RANDOM, wait=st.booleans())
    def fund(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Bring money in."""
        self.ask(random_commands.fund, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def transfer(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Move some, dated back at times."""
        self.ask(random_commands.transfer, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans(), sure=st.booleans())
    def hold(self, rng: random.Random, wait: bool, sure: bool) -> None:  # noqa: FBT001
        """Reserve some."""
        self.ask(random_commands.reserve if sure else random_commands.hold, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def capture(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Take what was reserved, or part of it."""
        self.ask(random_commands.capture, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def void(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Let go what was reserved."""
        self.ask(random_commands.void, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def refund(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Give back."""
        self.ask(random_commands.refund, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def schedule(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Move some later."""
        self.ask(random_commands.schedule, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def cancel(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Or not at all."""
        self.ask(random_commands.cancel, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def together(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Several, all or none."""
        self.ask(random_commands.together, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def change_accounts(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Open one, or freeze, limit, or close one."""
        ask = rng.choice(
            (
                random_commands.open_account,
                random_commands.change_account,
                random_commands.change_account,
            )
        )
        self.ask(ask, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def close_books(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Let nothing be dated before some day."""
        self.ask(random_commands.close_books, rng, wait=wait)

    @rule(rng=RANDOM, wait=st.booleans())
    def repeat(self, rng: random.Random, wait: bool) -> None:  # noqa: FBT001
        """Send a key again, with the same command or another one."""
        self.ask(
            rng.choice((random_commands.again, random_commands.again, random_commands.reuse)),
            rng,
            wait=wait,
        )

    @rule(rng=RANDOM)
    def let_time_pass(self, rng: random.Random) -> None:
        """Commit what waits, and go on later."""
        self.commit()
        self.history.wait(rng)

    @precondition(lambda self: self.history.asked)
    @rule(rng=RANDOM)
    def sweep(self, rng: random.Random) -> None:
        """Settle one thing, whether it is due or not."""
        self.ask(random_commands.settle, rng, wait=False)

    @rule(page_max=st.integers(1, 9))
    def project(self, page_max: int) -> None:
        """Bring the read models up to date, and compare them."""
        self.witness.project(page_max)

    @invariant()
    def nobody_lost_an_event(self) -> None:
        """Whatever is in the log was checked; this is a promise about the test itself."""
        assert self.witness.books.position == len(self.witness.ledger.log)

    def teardown(self) -> None:
        """Answer whoever still waits, and compare all views at every position."""
        self.commit()
        self.witness.finish([2, 5, 3])
        for name in +self.witness.seen:
            event(name)


class LongBusiness(Business):
    """The same, for longer."""


TestBusiness = Business.TestCase
TestBusiness.settings = settings(max_examples=120, stateful_step_count=40)
TestLongBusiness = pytest.mark.long(LongBusiness.TestCase)
TestLongBusiness.settings = settings(max_examples=1_500, stateful_step_count=60)


def watched(seeds: range, steps: int = STEPS) -> Counter[str]:
    """Return what happened in the seeded runs, all of which keep every promise."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng = random.Random(seed)
        witness = Witness()
        for now, commands in random_commands.hours(rng, steps):
            for batch in cut(commands, [rng.randint(1, 6), rng.randint(1, 6)]):
                witness.submit(batch, now)
            if rng.random() < 0.3:
                witness.project(rng.randint(1, 9))
        witness.finish([rng.randint(1, 20), rng.randint(1, 20)])
        seen += witness.seen
    return seen


def test_the_promises_hold_and_everything_happens() -> None:
    """Every code, every type of event and everything watched, several times over."""
    seen = watched(range(SEEDS))
    expected = {*Code, *(kind.topic for kind in EVENT_TYPES), *WATCHED}
    assert {name: seen[name] for name in expected if seen[name] < 3} == {}


@pytest.mark.long
@pytest.mark.parametrize("first", range(1_000, 5_000, 500))
def test_the_promises_hold_for_long(first: int) -> None:
    """Longer runs, and many more."""
    watched(range(first, first + 100), steps=3 * STEPS)
