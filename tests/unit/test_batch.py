"""A batch as it grows: each decision sees those before it, and a bad command fails alone."""

from typing import Any

import pytest

from command_side.api.problems import problem_of
from command_side.domain.commands import Atomic, Command, Keyed
from command_side.writer.outcomes import Accepted, AllAccepted, Outcome, PolicySet
from events.types import AccountOpened, HoldPlaced, TransferPosted, TransferRejected, transaction_id
from runtime.problems import Invalid, Outdated, Problem, Rejected
from tests.unit.decide_examples import (
    LEDGER,
    capture,
    change,
    hold,
    postings,
    refund,
    schedule,
    transfer,
)
from tests.unit.examples import NOON
from tests.unit.in_memory_writer import Ledger

FUND = transfer("world", "customer:a", 100, key="fund")
SPEND = transfer("customer:a", "customer:b", 60, key="spend")
SPEND_AGAIN = transfer("customer:a", "customer:b", 60, key="again")
REST = hold(key="rest", postings=postings(("customer:a", "customer:b", 40)))
# The class of `line:` has its overdraft in units, and florins have no decimals that anybody knows.
UNKNOWN = transfer("world", "line:1", 1, key="unknown", currency="FLORIN")


def together(*commands: Any) -> Atomic:  # noqa: ANN401 - movements
    """Return the command that takes all of `commands` or none."""
    return Atomic(ledger=LEDGER, commands=commands)


def topics(ledger: Ledger) -> list[type]:
    """Return the types of all events but the openings."""
    events = (recorded.event for recorded in ledger.log)
    return [type(event) for event in events if not isinstance(event, AccountOpened)]


def problem(outcome: Outcome) -> Problem:
    """Return the problem that a client gets."""
    found = problem_of(outcome)
    assert found is not None, outcome
    return found


def accepted(outcome: Outcome) -> Accepted:
    """Return an outcome that must be a success."""
    assert isinstance(outcome, Accepted), outcome
    return outcome


def all_accepted(outcome: Outcome) -> AllAccepted:
    """Return the outcome of an atomic command that must be a success."""
    assert isinstance(outcome, AllAccepted), outcome
    return outcome


def test_all_of_an_atomic_command_is_taken_in_order() -> None:
    """Each sees those before it; the place of the whole is that of its last."""
    ledger = Ledger()
    (outcome,) = ledger.append([together(FUND, SPEND, REST)], NOON)
    assert len(all_accepted(outcome).parts) == 3
    assert topics(ledger) == [TransferPosted, TransferPosted, HoldPlaced]
    assert all_accepted(outcome).position == len(ledger.log)


@pytest.mark.parametrize(
    "bad, code, kind",
    [
        (SPEND_AGAIN, "insufficient_funds", Rejected),
        (transfer("customer:a", "customer:b", 1, key="fund"), "idempotency_key_reused", Rejected),
        (schedule(key="late", due_at=NOON), "due_at_passed", Rejected),
        (UNKNOWN, "currency_unknown", Invalid),
    ],
)
@pytest.mark.parametrize("after", [(), (transfer("world", "customer:c", 1, key="c"),)])
def test_nothing_of_an_atomic_command_is_taken_if_one_of_it_is_bad(
    bad: Keyed, code: str, kind: type[Problem], after: tuple[Command, ...]
) -> None:
    """It says which one; nothing is left in the log, the accounts, or the keys."""
    ledger = Ledger()
    outcomes = ledger.append([FUND, together(SPEND, bad, *after), FUND], NOON)
    refusal = problem(outcomes[1])
    assert (type(refusal), refusal.code) == (kind, code)
    assert refusal.extensions["index"] == 1
    assert refusal.extensions["idempotencyKey"] == bad.key
    assert topics(ledger) == [TransferPosted]
    assert accepted(outcomes[2]).replayed
    assert ledger.accounts[LEDGER, "customer:a"].balance == 100
    assert (LEDGER, "customer:b") not in ledger.accounts
    (spent,) = ledger.append([SPEND], NOON)
    assert not accepted(spent).replayed


def test_an_atomic_command_is_answered_again_as_a_whole() -> None:
    """Also if some of it was done before, one by one."""
    ledger = Ledger()
    first, second, again = ledger.append([FUND, together(FUND, SPEND), together(FUND, SPEND)], NOON)
    assert not accepted(first).replayed
    assert [part.replayed for part in all_accepted(second).parts] == [True, False]
    assert not all_accepted(second).replayed
    assert all_accepted(again).replayed
    assert all_accepted(again).position == all_accepted(second).position
    assert topics(ledger) == [TransferPosted, TransferPosted]


def test_what_was_refused_before_is_refused_within_an_atomic_command() -> None:
    """A refusal is the answer to its key for ever."""
    ledger = Ledger()
    outcomes = ledger.append([SPEND, FUND, together(SPEND)], NOON)
    assert problem(outcomes[2]).code == "insufficient_funds"
    assert topics(ledger) == [TransferRejected, TransferPosted]


def test_a_follow_up_sees_what_it_is_about_in_the_same_batch() -> None:
    """Nothing of it has been stored yet."""
    ledger = Ledger()
    held = hold(key="held")
    taken = capture(about=held.transaction_id, key="taken")
    back = refund(about=taken.transaction_id, key="back")
    outcomes = ledger.append([transfer("world", "customer:a", key="f"), held, taken, back], NOON)
    assert [accepted(outcome).replayed for outcome in outcomes] == [False] * 4
    assert topics(ledger) == [TransferPosted, HoldPlaced, TransferPosted, TransferPosted]
    assert ledger.earlier(transaction_id(LEDGER, "taken")).used == (100,)


def test_one_bad_command_fails_alone() -> None:
    """Whatever is wrong with it."""
    ledger = Ledger()
    outcomes = ledger.append([FUND, UNKNOWN, SPEND], NOON)
    assert problem(outcomes[1]).code == "currency_unknown"
    assert topics(ledger) == [TransferPosted, TransferPosted]


def test_who_comes_too_late_reads_again() -> None:
    """A version that has passed is a conflict of its own kind."""
    ledger = Ledger()
    ledger.append([FUND], NOON)
    first, second = ledger.append(
        [change(overdraft_limit=7, expected_version=1), change(expected_version=1)], NOON
    )
    assert isinstance(first, PolicySet)
    assert first.account.version == 2
    assert isinstance(problem(second), Outdated)
