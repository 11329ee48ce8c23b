"""Accounts and books: every refusal, which one comes first, and what needs no event."""

from datetime import timedelta
from typing import Any

import pytest

from command_side.domain.commands import ChangeAccount, CloseBooks, OpenAccount
from command_side.domain.decide import Decidable
from command_side.domain.rejections import Code
from command_side.domain.state import State
from events.types import (
    AccountChanged,
    AccountOpened,
    AccountType,
    BooksClosed,
    Metadata,
    Side,
    Status,
)
from tests.unit.decide_examples import (
    TOMORROW,
    YESTERDAY,
    A,
    B,
    Pair,
    account,
    change,
    closing,
    code_of,
    decided,
    events_of,
    opening,
    pairs,
    state,
    with_all_later,
)
from tests.unit.examples import NOON

OPENING_FAULTS = (Code.ACCOUNT_NOT_FOUND, Code.ACCOUNT_EXISTS)
CHANGE_FAULTS = (
    Code.ACCOUNT_NOT_FOUND,
    Code.VERSION_CONFLICT,
    Code.CURRENCY_MISMATCH,
    Code.ACCOUNT_CLOSED,
    Code.ACCOUNT_NOT_EMPTY,
)
CLOSING_FAULTS = (Code.CLOSING_IN_FUTURE, Code.CLOSING_BACKWARDS)


def faulty_opening(faults: set[Code]) -> tuple[OpenAccount, State]:
    """Return an opening with exactly these faults."""
    name = "no-class" if Code.ACCOUNT_NOT_FOUND in faults else "customer:n"
    there = [account(name, currency="EUR")] if Code.ACCOUNT_EXISTS in faults else []
    return opening(name), state(*there)


def faulty_change(faults: set[Code]) -> tuple[ChangeAccount, State]:
    """Return a change with exactly these faults."""
    empties = faults >= {Code.ACCOUNT_NOT_EMPTY}
    fields: dict[str, Any] = {"status": Status.CLOSED if empties else Status.FROZEN}
    if Code.VERSION_CONFLICT in faults:
        fields["expected_version"] = 2
    if faults & {Code.CURRENCY_MISMATCH, Code.ACCOUNT_CLOSED}:
        # One that is closed may be closed again, so that is not all that is asked.
        fields |= {"overdraft_limit": 1}
    if Code.CURRENCY_MISMATCH in faults:
        fields["currency"] = "EUR"
    status = Status.CLOSED if Code.ACCOUNT_CLOSED in faults else Status.OPEN
    there = account("customer:a", status=status)
    return change(**fields), state(*([] if Code.ACCOUNT_NOT_FOUND in faults else [there]))


def faulty_closing(faults: set[Code]) -> tuple[CloseBooks, State]:
    """Return a closing with exactly these faults."""
    closed_before = TOMORROW if Code.CLOSING_IN_FUTURE in faults else YESTERDAY
    backwards = Code.CLOSING_BACKWARDS in faults
    return closing(closed_before), state(
        closed_before=closed_before + timedelta(days=3) if backwards else None
    )


OF_EACH_KIND: list[tuple[Any, tuple[Code, ...]]] = [
    (faulty_opening, OPENING_FAULTS),
    (faulty_change, CHANGE_FAULTS),
    (faulty_closing, CLOSING_FAULTS),
]
# Nothing else can be said of an account that is not there.
NOTHING_ELSE = tuple({Code.ACCOUNT_NOT_FOUND, code} for code in CHANGE_FAULTS[1:])


@pytest.mark.parametrize(
    "faulty, fault", [(faulty, fault) for faulty, faults in OF_EACH_KIND for fault in faults]
)
def test_a_command_with_one_fault_is_refused_for_it(faulty: Any, fault: Code) -> None:  # noqa: ANN401
    """And without any it is not."""
    assert code_of(*faulty({fault})) is fault
    assert events_of(decided(*faulty(set())))


@pytest.mark.parametrize(
    "faulty, pair, faults",
    [
        (faulty, pair, faults)
        for faulty, faults in OF_EACH_KIND
        for pair in pairs(faults, *NOTHING_ELSE)
    ],
)
def test_of_two_faults_of_a_command_the_earlier_code_wins(
    faulty: Any,  # noqa: ANN401 - one of three makers
    pair: Pair,
    faults: tuple[Code, ...],
) -> None:
    """Also with every later fault added."""
    for several in with_all_later(pair, faults, *NOTHING_ELSE):
        assert code_of(*faulty(several)) is pair[0]


ROWS: list[tuple[Code, Decidable, State]] = [
    (Code.ACCOUNT_NOT_FOUND, change(status=Status.FROZEN), state(B)),
    (Code.ACCOUNT_NOT_FOUND, change(expected_version=1), state(B)),
    (Code.ACCOUNT_EXISTS, opening("customer:a", overdraft_limit=1), state(A)),
    (Code.ACCOUNT_EXISTS, opening("customer:a", overdraft_limit=None), state(A)),
    (Code.ACCOUNT_EXISTS, opening("customer:a", metadata={"a": 1}), state(A)),
    # Somebody else was faster, even if he did the same.
    (
        Code.VERSION_CONFLICT,
        change(status=Status.FROZEN, expected_version=1),
        state(account("customer:a", status=Status.FROZEN, version=2)),
    ),
    (Code.VERSION_CONFLICT, change(expected_version=0), state(A)),
    (
        Code.ACCOUNT_CLOSED,
        change(status=Status.OPEN),
        state(account("customer:a", status=Status.CLOSED)),
    ),
    (
        Code.ACCOUNT_CLOSED,
        change(metadata={"a": 1}),
        state(account("customer:a", status=Status.CLOSED)),
    ),
    *(
        (
            Code.ACCOUNT_NOT_EMPTY,
            change(status=Status.CLOSED),
            state(account("customer:a", **{"credits_posted": 0, "overdraft_limit": 9} | full)),
        )
        for full in (
            {"credits_posted": 1},
            {"debits_posted": 1},
            {"credits_pending": 1},
            {"debits_pending": 1},
            {"debits_pending": 1, "credits_pending": 1},
        )
    ),
    # 100 yen are not 1.00 dollars: equal minor units make no equal policy.
    (
        Code.CURRENCY_MISMATCH,
        change(overdraft_limit=100),
        state(account("customer:a", currency="JPY", overdraft_limit=100)),
    ),
    (Code.CLOSING_IN_FUTURE, closing(NOON + timedelta(microseconds=1)), state()),
    (Code.CLOSING_BACKWARDS, closing(YESTERDAY), state(closed_before=NOON)),
]


@pytest.mark.parametrize("code, command, given", ROWS)
def test_a_refusal_has_its_code(code: Code, command: Decidable, given: State) -> None:
    """One fault, one code, and a sentence for people."""
    assert code_of(command, given) is code


@pytest.mark.parametrize(
    "command, given",
    [
        (opening("customer:a"), state(A)),
        (opening("customer:a", overdraft_limit=0), state(A)),
        (change(), state(A)),
        (change(expected_version=1), state(A)),
        (change(status=Status.OPEN, overdraft_limit=0, metadata=None), state(A)),
        (change(status=Status.CLOSED), state(account("customer:a", status=Status.CLOSED))),
        (closing(YESTERDAY), state(closed_before=YESTERDAY)),
    ],
)
def test_what_is_so_already_needs_no_event(command: Decidable, given: State) -> None:
    """Commands without a key may be repeated."""
    assert events_of(decided(command, given)) == []


@pytest.mark.parametrize(
    "command, status, limit, metadata",
    [
        (change(status=Status.FROZEN), Status.FROZEN, "0", {"a": 1}),
        (change(status=Status.FROZEN_IN, expected_version=3), Status.FROZEN_IN, "0", {"a": 1}),
        (change(overdraft_limit=700), Status.OPEN, "700", {"a": 1}),
        (change(overdraft_limit=None, currency="EUR"), Status.OPEN, None, {"a": 1}),
        (change(status=Status.FROZEN_OUT, overdraft_limit=None), Status.FROZEN_OUT, None, {"a": 1}),
        (change(metadata=None), Status.OPEN, "0", None),
        (change(metadata={"b": 2}), Status.OPEN, "0", {"b": 2}),
    ],
)
def test_a_change_says_the_whole_policy(
    command: ChangeAccount, status: Status, limit: str | None, metadata: Metadata | None
) -> None:
    """What is not mentioned stays as it was."""
    given = state(account("customer:a", metadata={"a": 1}, version=3))
    (event,) = events_of(decided(command, given))
    assert isinstance(event, AccountChanged)
    assert (event.status, event.overdraft_limit, event.metadata) == (status, limit, metadata)


def test_an_empty_account_closes() -> None:
    """Zero, with nothing held, is the condition; also for one that is frozen."""
    for status in (Status.OPEN, Status.FROZEN):
        given = state(account("customer:a", debits_posted=500_00, status=status))
        (event,) = events_of(decided(change(status=Status.CLOSED), given))
        assert isinstance(event, AccountChanged)
        assert event.status is Status.CLOSED


def test_an_opening_takes_its_class_or_what_is_asked() -> None:
    """Type and side are the class's; the limit and the metadata may be given."""
    asked = opening("asset:n", overdraft_limit=7, metadata={"a": 1})
    (event,) = events_of(decided(asked, state()))
    assert isinstance(event, AccountOpened)
    assert (event.account_type, event.normal_side) == (AccountType.ASSET, Side.DEBIT)
    assert (event.overdraft_limit, event.metadata) == ("7", {"a": 1})
    (event,) = events_of(decided(opening("line:n"), state()))
    assert isinstance(event, AccountOpened)
    assert (event.account_class, event.overdraft_limit) == ("credit-line", "5000")


@pytest.mark.parametrize("closed_before", [None, YESTERDAY])
def test_books_are_closed_up_to_now_at_most(closed_before: Any) -> None:  # noqa: ANN401
    """And further every time."""
    (event,) = events_of(decided(closing(NOON), state(closed_before=closed_before)))
    assert isinstance(event, BooksClosed)
    assert event.closed_before == NOON
