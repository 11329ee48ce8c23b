"""How commands are cut into batches, and events into pages, changes nothing that anybody sees.

That what is seen is right is the business of `test_ledger_machine.py`.
"""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from command_side.domain.commands import Command, Keyed, Settle
from command_side.writer.outcomes import KeyReused, Outcome, of_event
from events.types import Recorded, TransactionEvent
from runtime.problems import Problem
from tests.unit import random_commands
from tests.unit.in_memory_writer import Hour, Ledger, cut, projected, run

HOURS = st.builds(random_commands.hours, st.randoms(use_true_random=False), st.integers(3, 12))
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@settings(max_examples=60)
@given(hours=HOURS, sizes=SIZES)
def test_batches_change_nothing(hours: list[Hour], sizes: list[int]) -> None:
    """One by one or many at once: the same events in the same places, the same answers."""
    singly, one_by_one = run(hours, [1])
    together, in_batches = run(hours, sizes)
    assert together.log == singly.log
    assert kept(together) == kept(singly)
    assert [shown(o) for o in in_batches] == [shown(o) for o in one_by_one]


@settings(max_examples=60)
@given(hours=HOURS, pages=SIZES, others=SIZES)
def test_read_models_are_the_same_bytes_whatever_the_pages(
    hours: list[Hour], pages: list[int], others: list[int]
) -> None:
    """Replaying is deterministic."""
    log = run(hours, [5])[0].log
    assert projected(log, others).everything() == projected(log, pages).everything()


@settings(max_examples=60)
@given(data=st.data(), hours=HOURS, sizes=SIZES)
def test_a_repeated_command_is_answered_again_and_does_nothing(
    data: st.DataObject, hours: list[Hour], sizes: list[int]
) -> None:
    """Retries in any order, any number of times, in any batches: not one more event."""
    ledger, _ = run(hours, sizes)
    before, length = kept(ledger), len(ledger.log)
    now = hours[-1][0]
    # A key of an atomic command that was refused has not been used at all.
    keyed = [c for c in all_of(hours) if isinstance(c, Keyed) and c.transaction_id in ledger.first]
    retries = data.draw(st.lists(st.sampled_from(keyed), max_size=20) if keyed else st.just([]))
    for batch in cut(retries, sizes):
        for command, outcome in zip(batch, ledger.append(batch, now), strict=True):
            check_replayed(command, ledger.first[command.transaction_id], outcome)
    assert len(ledger.log) == length
    assert kept(ledger) == before


@settings(max_examples=40)
@given(hours=HOURS, copies=st.integers(2, 4))
def test_duplicates_within_one_batch_make_one_effect(hours: list[Hour], copies: int) -> None:
    """A storm of the same command in a single batch appends what one of them would."""
    asked = [(now, [c for c in commands if isinstance(c, Keyed)]) for now, commands in hours]
    stormy = [(now, [c for c in commands for _ in range(copies)]) for now, commands in asked]
    once, storm = run(asked, [100])[0], run(stormy, [1000])[0]
    assert storm.log == once.log
    assert kept(storm) == kept(once)


@settings(max_examples=60)
@given(hours=HOURS, sizes=SIZES)
def test_ledgers_share_nothing(hours: list[Hour], sizes: list[int]) -> None:
    """What happens in one ledger is the same whether another one is busy or not."""
    both, _ = run(hours, sizes)
    for name in set(random_commands.LEDGERS):
        # The sweeper serves all ledgers; elsewhere it finds nothing.
        own = [
            (now, [c for c in commands if isinstance(c, Settle) or c.ledger == name])
            for now, commands in hours
        ]
        alone, _ = run(own, [3])
        assert [r.event for r in both.log if r.event.ledger == name] == [r.event for r in alone.log]


def all_of(hours: Sequence[Hour]) -> list[Command]:
    """Return all commands in order."""
    return [command for _, commands in hours for command in commands]


def kept(ledger: Ledger) -> object:
    """Return what the command side keeps, in a form that compares."""
    return dict(ledger.accounts), dict(ledger.transaction_states), dict(ledger.books)


def shown(outcome: Outcome) -> object:
    """Return what a client sees of an outcome, in a form that compares."""
    if isinstance(outcome, Problem):
        return type(outcome), str(outcome), outcome.extensions
    return outcome


def check_replayed(command: Keyed, first: Recorded, outcome: Outcome) -> None:
    """Assert the answer to a command whose key was used: the same again, or `reused`."""
    assert isinstance(first.event, TransactionEvent)
    if first.event.fingerprint == command.fingerprint:
        assert outcome == of_event(first, replayed=True)
    else:
        assert outcome == KeyReused(command.key)
