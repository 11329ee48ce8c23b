"""Refunds, captures, voids and cancellations: every refusal, and which one comes first."""

from typing import Any

import msgspec
import pytest

from command_side.domain.account import AccountState
from command_side.domain.commands import Cancel, Capture, FollowUp, Part, Refund, Void
from command_side.domain.records import refused
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import EarlierTransaction, State
from events.types import (
    HoldVoided,
    Kind,
    Posting,
    Stage,
    Status,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
)
from tests.unit.decide_examples import (
    ABOUT,
    LEDGER,
    TOMORROW,
    YESTERDAY,
    A,
    B,
    Pair,
    account,
    cancel,
    capture,
    code_of,
    decided,
    earlier,
    events_of,
    pairs,
    placed,
    posted,
    postings,
    refund,
    scheduled,
    state,
    transfer,
    void,
    with_all_later,
)
from tests.unit.examples import NOON

REFUND_FAULTS = (
    Code.TRANSACTION_NOT_FOUND,
    Code.TRANSACTION_NOT_REFUNDABLE,
    Code.CURRENCY_MISMATCH,
    Code.ACCOUNT_CLOSED,
    Code.ACCOUNT_FROZEN,
    Code.EFFECTIVE_AT_IN_FUTURE,
    Code.PERIOD_CLOSED,
    Code.AMOUNT_OVER_LIMIT,
    Code.REFUND_EXCEEDS_ORIGINAL,
    Code.INSUFFICIENT_FUNDS,
)
ENDED = {
    Code.HOLD_CAPTURED: Stage.CAPTURED,
    Code.HOLD_VOIDED: Stage.VOIDED,
    Code.HOLD_EXPIRED: Stage.EXPIRED,
}
VOID_FAULTS = (Code.TRANSACTION_NOT_FOUND, Code.TRANSACTION_NOT_A_HOLD, *ENDED)
CAPTURE_FAULTS = (
    *VOID_FAULTS,
    *REFUND_FAULTS[2:7],
    Code.CAPTURE_EXCEEDS_HOLD,
)
CANCEL_FAULTS = (
    Code.TRANSACTION_NOT_FOUND,
    Code.TRANSACTION_NOT_SCHEDULED,
    Code.SCHEDULE_EXECUTED,
    Code.SCHEDULE_CANCELLED,
)
# A transaction stands in one way only; but one that was ended may have been due, too.
ONE_STAGE = (
    {Code.HOLD_CAPTURED, Code.HOLD_VOIDED},
    {Code.SCHEDULE_EXECUTED, Code.SCHEDULE_CANCELLED},
)


def accounts(faults: set[Code], payee: str = "customer:b") -> tuple[AccountState, AccountState]:
    """Return the accounts of the earlier transaction: one closed, one frozen, one poor."""
    payer = {"status": Status.CLOSED} if Code.ACCOUNT_CLOSED in faults else {}
    of_payee: dict[str, Any] = {}
    if Code.ACCOUNT_FROZEN in faults:
        of_payee["status"] = Status.FROZEN
    if Code.INSUFFICIENT_FUNDS in faults:
        of_payee["credits_posted"] = 0
    return account("customer:a", **payer), account(payee, **of_payee)


def asking(faults: set[Code], whole: int) -> dict[str, Any]:
    """Return the fields of a refund or capture with these faults, of line 0."""
    exceeds = faults & {Code.REFUND_EXCEEDS_ORIGINAL, Code.CAPTURE_EXCEEDS_HOLD}
    currency = "EUR" if Code.CURRENCY_MISMATCH in faults else "USD"
    dated = YESTERDAY if Code.PERIOD_CLOSED in faults else None
    return {
        "ledger": "other" if Code.TRANSACTION_NOT_FOUND in faults else LEDGER,
        "parts": (Part(0, whole + 1 if exceeds else whole, currency),),
        "effective_at": TOMORROW if Code.EFFECTIVE_AT_IN_FUTURE in faults else dated,
    }


def closed_books(faults: set[Code]) -> dict[str, Any]:
    """Return books that are closed beyond any date, if that is one of the faults."""
    far = TOMORROW + (TOMORROW - NOON)
    return {"closed_before": far if Code.PERIOD_CLOSED in faults else None}


def faulty_refund(faults: set[Code]) -> tuple[Refund, State]:
    """Return a refund with exactly these faults, of a transaction from customer:a."""
    over = Code.AMOUNT_OVER_LIMIT in faults
    payee, amount = ("capped:b", 200_00) if over else ("customer:b", 10_00)
    kind = Kind.REFUND if Code.TRANSACTION_NOT_REFUNDABLE in faults else Kind.TRANSFER
    original = posted(*postings(("customer:a", payee, amount)), kind=kind)
    given = state(*accounts(faults, payee), about=earlier(original), **closed_books(faults))
    return refund(**asking(faults, amount)), given


def held(faults: set[Code]) -> EarlierTransaction:
    """Return a hold that stands as these faults say, or what is none."""
    event: TransactionEvent = placed()
    if Code.TRANSACTION_NOT_A_HOLD in faults:
        event = posted()
    standing: dict[str, Any] = {}
    for code, stage in ENDED.items():
        if code in faults:
            standing = standing or {"stage": stage}
    if Code.HOLD_EXPIRED in faults:
        standing["due_at"] = NOON
    return earlier(event, **standing)


def faulty_capture(faults: set[Code]) -> tuple[Capture, State]:
    """Return a capture with exactly these faults."""
    given = state(*accounts(faults), about=held(faults), **closed_books(faults))
    return capture(**asking(faults, 10_00)), given


def faulty_void(faults: set[Code]) -> tuple[Void, State]:
    """Return a void with exactly these faults."""
    return void(ledger=asking(faults, 1)["ledger"]), state(A, B, about=held(faults))


def faulty_cancellation(faults: set[Code]) -> tuple[Cancel, State]:
    """Return a cancellation with exactly these faults."""
    event: TransactionEvent = scheduled()
    if Code.TRANSACTION_NOT_SCHEDULED in faults:
        event = placed()
    standing: dict[str, Any] = {}
    if Code.SCHEDULE_EXECUTED in faults:
        standing["stage"] = Stage.COMPLETED
    if Code.SCHEDULE_CANCELLED in faults:
        standing["stage"] = Stage.CANCELLED
    about = earlier(event, **standing)
    return cancel(ledger=asking(faults, 1)["ledger"]), state(A, B, about=about)


OF_EACH_KIND: list[tuple[Any, tuple[Code, ...]]] = [
    (faulty_refund, REFUND_FAULTS),
    (faulty_capture, CAPTURE_FAULTS),
    (faulty_void, VOID_FAULTS),
    (faulty_cancellation, CANCEL_FAULTS),
]


@pytest.mark.parametrize(
    "faulty, fault", [(faulty, fault) for faulty, faults in OF_EACH_KIND for fault in faults]
)
def test_a_follow_up_with_one_fault_is_refused_for_it(faulty: Any, fault: Code) -> None:  # noqa: ANN401
    """And without any it is not."""
    assert code_of(*faulty({fault})) is fault
    assert events_of(decided(*faulty(set())))


@pytest.mark.parametrize(
    "faulty, pair, faults",
    [
        (faulty, pair, faults)
        for faulty, faults in OF_EACH_KIND
        for pair in pairs(faults, *ONE_STAGE)
    ],
)
def test_of_two_faults_of_a_follow_up_the_earlier_code_wins(
    faulty: Any,  # noqa: ANN401 - one of four makers
    pair: Pair,
    faults: tuple[Code, ...],
) -> None:
    """Also with every later fault added."""
    for several in with_all_later(pair, faults, *ONE_STAGE):
        assert code_of(*faulty(several)) is pair[0]


NOT_SCHEDULED = refused(transfer(), Rejection(Code.ACCOUNT_CLOSED, ""), NOON)
ROWS: list[tuple[Code, FollowUp, State]] = [
    (Code.TRANSACTION_NOT_FOUND, refund(), state(A, B)),
    (Code.TRANSACTION_NOT_FOUND, capture(), state(A, B)),
    (Code.TRANSACTION_NOT_FOUND, void(), state(A, B)),
    (Code.TRANSACTION_NOT_FOUND, cancel(), state(A, B)),
    (Code.TRANSACTION_NOT_REFUNDABLE, refund(), state(A, B, about=earlier(NOT_SCHEDULED))),
    (Code.TRANSACTION_NOT_REFUNDABLE, refund(), state(A, B, about=earlier(placed()))),
    (Code.TRANSACTION_NOT_REFUNDABLE, refund(), state(A, B, about=earlier(scheduled()))),
    (
        Code.TRANSACTION_NOT_REFUNDABLE,
        refund(),
        state(A, B, about=earlier(scheduled(), stage=Stage.FAILED, due_at=None)),
    ),
    (
        Code.TRANSACTION_NOT_REFUNDABLE,
        refund(),
        state(A, B, about=earlier(placed(), 10_00, stage=Stage.CAPTURED)),
    ),
    (Code.TRANSACTION_NOT_A_HOLD, capture(), state(A, B, about=earlier(scheduled()))),
    (Code.TRANSACTION_NOT_A_HOLD, void(), state(A, B, about=earlier(NOT_SCHEDULED))),
    (
        Code.HOLD_EXPIRED,
        capture(),
        state(A, B, about=earlier(placed(expires_at=NOON))),
    ),
    (Code.HOLD_EXPIRED, void(), state(A, B, about=earlier(placed(expires_at=YESTERDAY)))),
    (
        Code.SCHEDULE_EXECUTED,
        cancel(),
        state(A, B, about=earlier(scheduled(), stage=Stage.FAILED, due_at=None)),
    ),
    (
        Code.ACCOUNT_FROZEN,
        refund(),
        state(account("customer:a", status=Status.FROZEN_IN), B, about=earlier(posted())),
    ),
    (
        Code.ACCOUNT_FROZEN,
        capture(),
        state(account("customer:a", status=Status.FROZEN_OUT), B, about=earlier(placed())),
    ),
    (Code.REFUND_EXCEEDS_ORIGINAL, refund(Part(0, 1)), state(A, B, about=earlier(posted(), 10_00))),
    (Code.REFUND_EXCEEDS_ORIGINAL, refund(), state(A, B, about=earlier(posted(), 10_00))),
    (Code.REFUND_EXCEEDS_ORIGINAL, refund(Part(1, 1)), state(A, B, about=earlier(posted()))),
    (
        Code.REFUND_EXCEEDS_ORIGINAL,
        refund(Part(0, 5_01), Part(0, 5_00)),
        state(A, B, about=earlier(posted())),
    ),
    (Code.CAPTURE_EXCEEDS_HOLD, capture(Part(0, 9_01)), state(A, B, about=earlier(placed(), 1_00))),
    (Code.CAPTURE_EXCEEDS_HOLD, capture(Part(1, 1)), state(A, B, about=earlier(placed()))),
    (
        Code.CAPTURE_EXCEEDS_HOLD,
        capture(Part(0, 10_00), Part(0, 1)),
        state(A, B, about=earlier(placed())),
    ),
    (
        Code.INSUFFICIENT_FUNDS,
        refund(),
        state(A, account("customer:b", credits_posted=9_99), about=earlier(posted())),
    ),
]


@pytest.mark.parametrize("code, command, given", ROWS)
def test_a_refusal_has_its_code(code: Code, command: FollowUp, given: State) -> None:
    """One fault, one code, and a sentence for people."""
    assert code_of(command, given) is code


def test_a_refund_reverses_sides_and_takes_what_is_left() -> None:
    """Without parts it gives back the rest, in the original's currency."""
    (event,) = events_of(decided(refund(), state(A, B, about=earlier(posted(), 3_00))))
    assert isinstance(event, TransferPosted)
    assert event.postings == (Posting("customer:b", "customer:a", 700, "USD"),)
    assert (event.about, event.kind) == (ABOUT, Kind.REFUND)


SPLIT = postings(("customer:a", "customer:b", 10), ("customer:a", "customer:c", 20))
THREE = (A, B, account("customer:c"))


def test_a_refund_may_be_of_some_lines() -> None:
    """Each names its line; what is left of all lines leaves out those of which nothing is."""
    given = state(*THREE, about=earlier(posted(*SPLIT), 10, 5))
    back = (Posting("customer:c", "customer:a", 15, "USD", 1),)
    for command in (refund(), refund(Part(1, 15)), refund(Part(1, 7), Part(1, 8))):
        (event,) = events_of(decided(command, given))
        assert isinstance(event, TransferPosted)
        assert sum(posting.amount_minor for posting in event.postings) == 15
        assert {posting.line for posting in event.postings} == {1}
        assert command.parts is not None or event.postings == back


@pytest.mark.parametrize(
    "event",
    [
        posted(kind=Kind.CAPTURE, about=ABOUT),
        scheduled(),
    ],
)
def test_captures_and_executed_schedules_are_refunded_as_transfers_are(
    event: TransactionEvent,
) -> None:
    """Money moved, so it can go back."""
    original = earlier(event, stage=Stage.COMPLETED, due_at=None)
    (back,) = events_of(decided(refund(), state(A, B, about=original)))
    assert isinstance(back, TransferPosted)


@pytest.mark.parametrize(
    "parts, used, completes",
    [
        ((), (0, 0), True),
        ((Part(0, 10), Part(1, 20)), (0, 0), True),
        ((Part(1, 20),), (0, 0), False),
        ((Part(0, 9), Part(1, 20)), (0, 0), False),
        ((Part(1, 20),), (10, 0), True),
        ((), (3, 4), True),
    ],
)
def test_a_capture_completes_when_nothing_is_held_any_more(
    parts: tuple[Part, ...],
    used: tuple[int, ...],
    completes: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Once, or bit by bit, line by line."""
    given = state(*THREE, about=earlier(placed(*SPLIT, expires_at=TOMORROW), *used))
    (event,) = events_of(decided(capture(*parts), given))
    assert isinstance(event, TransferPosted)
    assert event.completes is completes
    assert (event.kind, event.about) == (Kind.CAPTURE, ABOUT)
    assert all(posting.debit == "customer:a" for posting in event.postings)


def test_a_capture_needs_no_money_but_what_was_held() -> None:
    """It was reserved: a limit lowered since is no reason to break a promise."""
    poor = account("customer:a", credits_posted=0, debits_pending=10_00)
    assert events_of(decided(capture(), state(poor, B, about=earlier(placed()))))


def test_a_void_releases_what_is_left() -> None:
    """Whatever its accounts allow by now."""
    frozen = account("customer:a", status=Status.FROZEN)
    given = state(frozen, *THREE[1:], about=earlier(placed(*SPLIT), 10, 5))
    (event,) = events_of(decided(void(), given))
    assert isinstance(event, HoldVoided)
    assert event.postings == (Posting("customer:a", "customer:c", 15, "USD", 1),)


def test_a_cancellation_says_what_will_not_happen() -> None:
    """Also when it is due already, as long as nobody executed it."""
    (event,) = events_of(decided(cancel(), state(about=earlier(scheduled(due_at=YESTERDAY)))))
    assert isinstance(event, TransferCancelled)
    assert (event.postings, event.about) == (scheduled().postings, ABOUT)


def test_a_follow_up_may_be_dated_back() -> None:
    """As a transfer may."""
    for command, about in ((refund(), posted()), (capture(), placed())):
        dated = msgspec.structs.replace(command, effective_at=YESTERDAY)
        given = state(A, B, about=earlier(about), closed_before=YESTERDAY)
        (event,) = events_of(decided(dated, given))
        assert isinstance(event, TransferPosted)
        assert event.effective_at == YESTERDAY
