"""Transfers, holds and scheduled transfers: every refusal, and which one comes first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from command_side.domain.account import AccountState
from command_side.domain.commands import Condition, Hold, Schedule, Settle, Transfer
from command_side.domain.decide import Decidable
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import State
from events.types import (
    AccountOpened,
    HoldExpired,
    HoldPlaced,
    Posting,
    Rate,
    Side,
    Stage,
    Status,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
)
from tests.unit.decide_examples import (
    AB,
    LEDGER,
    SETTLE,
    TOMORROW,
    YESTERDAY,
    A,
    B,
    Pair,
    account,
    code_of,
    decided,
    earlier,
    events_of,
    hold,
    pairs,
    placed,
    postings,
    schedule,
    scheduled,
    state,
    transfer,
    with_all_later,
)
from tests.unit.examples import NOON

# An account that is at fault, by the code that it must bring.
FAULTY: dict[Code, dict[str, Any]] = {
    Code.CURRENCY_MISMATCH: {"currency": "EUR"},
    Code.ACCOUNT_CLOSED: {"status": Status.CLOSED},
    Code.ACCOUNT_FROZEN: {"status": Status.FROZEN},
    Code.INSUFFICIENT_FUNDS: {"credits_posted": 0},
}
OF_ACCOUNTS = (
    Code.ACCOUNT_NOT_FOUND,
    Code.CURRENCY_MISMATCH,
    Code.ACCOUNT_CLOSED,
    Code.ACCOUNT_FROZEN,
    Code.AMOUNT_OVER_LIMIT,
    Code.INSUFFICIENT_FUNDS,
)
TRANSFER_FAULTS = (
    Code.ACCOUNT_NOT_FOUND,
    Code.VERSION_CONFLICT,
    Code.CURRENCY_MISMATCH,
    Code.ACCOUNT_CLOSED,
    Code.ACCOUNT_FROZEN,
    Code.EFFECTIVE_AT_IN_FUTURE,
    Code.PERIOD_CLOSED,
    Code.AMOUNT_OVER_LIMIT,
    Code.INSUFFICIENT_FUNDS,
    Code.BALANCE_BELOW_MINIMUM,
    Code.BALANCE_ABOVE_MAXIMUM,
)
HOLD_FAULTS = (
    *TRANSFER_FAULTS[:5],
    Code.EXPIRES_AT_PASSED,
    *TRANSFER_FAULTS[7:],
)
CONDITIONS = {
    Code.VERSION_CONFLICT: Condition(account_id="customer:b", version=2),
    Code.BALANCE_BELOW_MINIMUM: Condition(account_id="customer:b", balance_min=10**6),
    Code.BALANCE_ABOVE_MAXIMUM: Condition(account_id="customer:b", balance_max=-1),
}
ONE_STATUS = {Code.ACCOUNT_CLOSED, Code.ACCOUNT_FROZEN}


class Faulty(NamedTuple):
    """Postings with some faults, and the accounts that they are of."""

    postings: tuple[Posting, ...]
    accounts: tuple[AccountState, ...]
    conditions: tuple[Condition, ...]


def one_posting_each(faults: Sequence[Code], *, into: bool) -> Faulty:
    """Return one posting for each fault of an account, in the order that is given."""
    made, accounts = [("customer:a", "customer:b", 1_00)], [A, B]
    for index, fault in enumerate(code for code in faults if code in OF_ACCOUNTS):
        kind, amount = "customer", 1_00
        if fault is Code.ACCOUNT_NOT_FOUND:
            kind = "listed"
        elif fault is Code.AMOUNT_OVER_LIMIT:
            kind, amount = "capped", 100_01
        name = f"{kind}:{index}"
        if fault is not Code.ACCOUNT_NOT_FOUND:
            accounts.append(account(name, **FAULTY.get(fault, {})))
        comes_in = into and fault is not Code.INSUFFICIENT_FUNDS
        made.append(("customer:a", name, amount) if comes_in else (name, "customer:b", amount))
    conditions = tuple(CONDITIONS[code] for code in faults if code in CONDITIONS)
    return Faulty(postings(*made), tuple(accounts), conditions)


def all_on_one(faults: Sequence[Code]) -> Faulty:
    """Return a single posting out of an account with all these faults."""
    over = Code.AMOUNT_OVER_LIMIT in faults
    name = "capped:a" if over else "customer:x"
    policy: dict[str, Any] = {}
    for fault in faults:
        policy |= FAULTY.get(fault, {})
    conditions = tuple(CONDITIONS[code] for code in faults if code in CONDITIONS)
    moved = postings((name, "customer:b", 100_01 if over else 1_00))
    return Faulty(moved, (account(name, **policy), B), conditions)


def placements(faults: set[Code]) -> list[Faulty]:
    """Return the same faults on one account and on several, on either side, in either order."""
    forth = [code for code in Code if code in faults]
    made = [
        one_posting_each(order, into=into)
        for order in (forth, forth[::-1])
        for into in (True, False)
    ]
    if Code.ACCOUNT_NOT_FOUND not in faults and not faults >= ONE_STATUS:
        made.append(all_on_one(forth))
    return made


def dated(faults: set[Code]) -> dict[str, Any]:
    """Return the fields of a transfer with these faults in its date."""
    if Code.EFFECTIVE_AT_IN_FUTURE in faults:
        return {"effective_at": TOMORROW}
    return {"effective_at": YESTERDAY} if Code.PERIOD_CLOSED in faults else {}


def faulty_transfers(faults: set[Code]) -> list[tuple[Transfer, State]]:
    """Return transfers with exactly these faults."""
    closed_before = TOMORROW + (TOMORROW - NOON) if Code.PERIOD_CLOSED in faults else None
    return [
        (
            transfer(postings=made.postings, conditions=made.conditions, **dated(faults)),
            state(*made.accounts, closed_before=closed_before),
        )
        for made in placements(faults)
    ]


def faulty_holds(faults: set[Code]) -> list[tuple[Hold, State]]:
    """Return holds with exactly these faults."""
    expires_at = NOON if Code.EXPIRES_AT_PASSED in faults else TOMORROW
    return [
        (
            hold(postings=made.postings, conditions=made.conditions, expires_at=expires_at),
            state(*made.accounts),
        )
        for made in placements(faults)
    ]


def faulty_settlements(faults: set[Code]) -> list[tuple[Settle, State]]:
    """Return scheduled transfers that are due, with exactly these faults."""
    return [
        (SETTLE, state(*made.accounts, about=earlier(scheduled(*made.postings))))
        for made in placements(faults)
    ]


@pytest.mark.parametrize("fault", TRANSFER_FAULTS)
def test_a_transfer_with_one_fault_is_refused_for_it(fault: Code) -> None:
    """Wherever the fault is."""
    for command, given in faulty_transfers({fault}):
        assert code_of(command, given) is fault


@pytest.mark.parametrize("fault", HOLD_FAULTS)
def test_a_hold_with_one_fault_is_refused_for_it(fault: Code) -> None:
    """Wherever the fault is."""
    for command, given in faulty_holds({fault}):
        assert code_of(command, given) is fault


@pytest.mark.parametrize("pair", pairs(TRANSFER_FAULTS))
def test_of_two_faults_of_a_transfer_the_earlier_code_wins(pair: Pair) -> None:
    """Also with every later fault added; whichever account has which."""
    for faults in with_all_later(pair, TRANSFER_FAULTS):
        for command, given in faulty_transfers(faults):
            assert code_of(command, given) is pair[0]


@pytest.mark.parametrize("pair", pairs(HOLD_FAULTS))
def test_of_two_faults_of_a_hold_the_earlier_code_wins(pair: Pair) -> None:
    """Also with every later fault added; whichever account has which."""
    for faults in with_all_later(pair, HOLD_FAULTS):
        for command, given in faulty_holds(faults):
            assert code_of(command, given) is pair[0]


@pytest.mark.parametrize("fault", OF_ACCOUNTS)
def test_what_was_scheduled_fails_for_what_is_wrong_when_it_is_due(fault: Code) -> None:
    """Nobody waits for the answer, so it is an event of its own."""
    for command, given in faulty_settlements({fault}):
        (event,) = events_of(decided(command, given))
        assert isinstance(event, TransferRejected)
        assert (event.code, event.recorded_at) == (fault, NOON)
        assert event.postings == given.transactions[SETTLE.about].event.postings


@pytest.mark.parametrize("pair", pairs(OF_ACCOUNTS))
def test_of_two_faults_of_a_settlement_the_earlier_code_wins(pair: Pair) -> None:
    """As if it had been asked for at that moment."""
    for faults in with_all_later(pair, OF_ACCOUNTS):
        for command, given in faulty_settlements(faults):
            (event,) = events_of(decided(command, given))
            assert isinstance(event, TransferRejected)
            assert event.code == pair[0]


def test_a_schedule_is_refused_for_its_time_alone() -> None:
    """What its accounts will be is not known yet."""
    assert code_of(schedule(due_at=NOON), state()) is Code.DUE_AT_PASSED
    nobody = postings(("nobody", "customer:b", 10**37, "EUR"))
    (event,) = events_of(decided(schedule(postings=nobody), state()))
    assert isinstance(event, TransferScheduled)
    assert (event.postings, event.due_at) == (nobody, TOMORROW)


# What one fault alone looks like, where there is more to say than above.

ROWS: list[tuple[Code, Decidable, State]] = [
    (Code.ACCOUNT_NOT_FOUND, transfer(source="no-class"), state(B)),
    (Code.ACCOUNT_NOT_FOUND, transfer(destination="no-class"), state(A)),
    (
        Code.ACCOUNT_NOT_FOUND,
        transfer(source="listed:a"),
        state(account("listed:a", ledger="other"), B),
    ),
    (
        Code.VERSION_CONFLICT,
        transfer(conditions=(Condition(account_id="customer:a", version=1),)),
        state(account("customer:a", version=2), B),
    ),
    (Code.CURRENCY_MISMATCH, transfer(currency="EUR"), state(A, B)),
    (
        Code.CURRENCY_MISMATCH,
        transfer(postings=postings(("world", "customer:n", 1), ("world", "asset:n", 1, "EUR"))),
        state(),
    ),
    (
        Code.BALANCE_BELOW_MINIMUM,
        transfer(conditions=(Condition(account_id="customer:a", balance_min=499_01),)),
        state(A, B),
    ),
    (
        Code.BALANCE_ABOVE_MAXIMUM,
        transfer(conditions=(Condition(account_id="customer:b", balance_max=500_99),)),
        state(A, B),
    ),
    (
        Code.BALANCE_BELOW_MINIMUM,
        hold(conditions=(Condition(account_id="customer:a", balance_min=500_01),)),
        state(A, B),
    ),
    (Code.INSUFFICIENT_FUNDS, transfer(), state(B)),
]


@pytest.mark.parametrize("code, command, given", ROWS)
def test_a_refusal_has_its_code(code: Code, command: Decidable, given: State) -> None:
    """One fault, one code, and a sentence for people."""
    assert code_of(command, given) is code


@pytest.mark.parametrize(
    "condition",
    [
        Condition(account_id="customer:a", version=1),
        Condition(account_id="customer:a", balance_min=499_00),
        Condition(account_id="customer:b", balance_max=501_00),
        Condition(account_id="customer:b", version=1, balance_min=501_00, balance_max=501_00),
    ],
)
def test_a_condition_that_holds_lets_a_transfer_pass(condition: Condition) -> None:
    """To the last minor unit; balances are those afterwards."""
    assert events_of(decided(transfer(conditions=(condition,)), state(A, B)))


def test_a_condition_of_a_hold_is_about_what_is_posted() -> None:
    """A hold posts nothing, so the balance afterwards is the balance now."""
    bounds = (Condition(account_id="customer:a", balance_min=500_00, balance_max=500_00),)
    assert events_of(decided(hold(conditions=bounds), state(A, B)))


FREEZING = [
    (Status.FROZEN, Status.OPEN, False),
    (Status.FROZEN_OUT, Status.OPEN, False),
    (Status.FROZEN_IN, Status.OPEN, True),
    (Status.OPEN, Status.FROZEN, False),
    (Status.OPEN, Status.FROZEN_IN, False),
    (Status.OPEN, Status.FROZEN_OUT, True),
    (Status.FROZEN_IN, Status.FROZEN_OUT, True),
    (Status.FROZEN_OUT, Status.FROZEN_IN, False),
]


@pytest.mark.parametrize("source, destination, accepted", FREEZING)
@pytest.mark.parametrize("kind", ["customer", "asset"])
@pytest.mark.parametrize("asked", [transfer, hold])
def test_a_frozen_account_lets_pass_what_its_freezing_lets(
    asked: Any,  # noqa: ANN401 - either maker
    kind: str,
    source: Status,
    destination: Status,
    accepted: bool,  # noqa: FBT001
) -> None:
    """In and out are the account's own: what a debit takes out of one, it brings into another."""
    rich = {"debits_posted": 10**6, "credits_posted": 10**6, "overdraft_limit": None}
    out, into = f"{kind}:out", f"{kind}:in"
    sides = (out, into) if kind == "customer" else (into, out)
    given = state(
        account(out, status=source, **rich),
        account(into, status=destination, **rich),
    )
    decision = decided(asked(postings=postings((*sides, 1))), given)
    assert isinstance(decision, Rejection) is not accepted
    if isinstance(decision, Rejection):
        assert decision.code is Code.ACCOUNT_FROZEN


@pytest.mark.parametrize("status", [Status.CLOSED, Status.FROZEN])
def test_the_same_fault_on_both_sides_always_names_the_source(status: Status) -> None:
    """The same state and command give the same bytes in every process: no set decides an order."""
    for number in range(20):
        source, destination = f"customer:{number}", f"customer:x{number}"
        sides = (account(source, status=status), account(destination, status=status))
        decision = decided(transfer(source, destination), state(*sides))
        assert isinstance(decision, Rejection)
        assert decision.detail.startswith(f"Account {source} ")


@pytest.mark.parametrize(
    "source, amount, accepted",
    [
        (account("customer:a"), 500_00, True),
        (account("customer:a"), 500_01, False),
        (account("customer:a", overdraft_limit=1), 500_01, True),
        (account("customer:a", overdraft_limit=1), 500_02, False),
        (account("customer:a", overdraft_limit=None), 10**38 - 1, True),
        (account("customer:a", debits_pending=1), 500_00, False),
        (account("customer:a", credits_pending=1), 500_01, False),
        (account("customer:a", debits_posted=400_00), 100_00, True),
        (account("customer:a", debits_posted=400_00), 100_01, False),
        (account("customer:a", debits_posted=600_00, overdraft_limit=0), 1, False),
        # Debit-normal: being debited is an increase.
        (account("asset:a", credits_posted=0), 10**9, True),
    ],
)
@pytest.mark.parametrize("asked", [transfer, hold])
def test_money_leaves_down_to_the_overdraft_limit(
    asked: Any,  # noqa: ANN401 - either maker
    source: AccountState,
    amount: int,
    accepted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """To the last minor unit and not one further; what is held counts as gone."""
    command = asked(postings=postings((source.account_id, "customer:b", amount)))
    assert isinstance(decided(command, state(source, B)), Rejection) is not accepted


@pytest.mark.parametrize("held, accepted", [(0, True), (1, False)])
def test_a_debit_normal_account_is_emptied_by_credits(held: int, accepted: bool) -> None:  # noqa: FBT001
    """An asset account pays out as a destination."""
    asset = account("asset:b", credits_posted=0, debits_posted=1_00, credits_pending=held)
    decision = decided(transfer("customer:a", "asset:b"), state(A, asset))
    assert isinstance(decision, Rejection) is not accepted


def test_what_comes_in_pays_for_what_goes_out_of_the_same_transfer() -> None:
    """All postings are one: but a hold reserves, and what is reserved is not there yet."""
    empty = account("customer:x", credits_posted=0)
    through = postings(("customer:x", "customer:b", 500_00), ("customer:a", "customer:x", 500_00))
    assert events_of(decided(transfer(postings=through), state(A, B, empty)))
    assert code_of(hold(postings=through), state(A, B, empty)) is Code.INSUFFICIENT_FUNDS
    dear = postings(("customer:x", "customer:b", 500_01), ("customer:a", "customer:x", 500_00))
    assert code_of(transfer(postings=dear), state(A, B, empty)) is Code.INSUFFICIENT_FUNDS


def test_several_postings_of_one_account_are_taken_together() -> None:
    """Each alone could be paid."""
    twice = postings(("customer:a", "customer:b", 300_00), ("customer:a", "customer:c", 200_01))
    for command in (transfer(postings=twice), hold(postings=twice)):
        assert code_of(command, state(A, B)) is Code.INSUFFICIENT_FUNDS


def test_an_exchange_moves_two_currencies_at_a_rate() -> None:
    """The rate is kept as it was said; each currency balances by itself."""
    both = postings(
        ("customer:a", "exchange:USD", 100), ("exchange:EUR", "customer:euro", 92, "EUR")
    )
    rate = Rate("USD", "EUR", "0.92")
    events = events_of(decided(transfer(postings=both, rate=rate), state(A)))
    opened, moved = events[:-1], events[-1]
    assert [(e.account_id, e.currency) for e in opened if isinstance(e, AccountOpened)] == [
        ("exchange:USD", "USD"),
        ("exchange:EUR", "EUR"),
        ("customer:euro", "EUR"),
    ]
    assert isinstance(moved, TransferPosted)
    assert (moved.postings, moved.rate) == (both, rate)


def test_a_transfer_opens_unknown_accounts_first() -> None:
    """By use, in the order of source and destination, with their classes' policies."""
    world, customer, moved = events_of(
        decided(transfer("world", "customer:new", currency="EUR"), state())
    )
    assert isinstance(world, AccountOpened)
    assert isinstance(customer, AccountOpened)
    assert isinstance(moved, TransferPosted)
    assert (world.account_id, world.overdraft_limit) == ("world", None)
    assert (customer.account_id, customer.overdraft_limit) == ("customer:new", "0")
    assert {world.currency, customer.currency, moved.postings[0].currency} == {"EUR"}


def test_an_account_named_twice_is_opened_once() -> None:
    """A hold opens by use, too; and what is opened has its class's type and side."""
    twice = postings(("asset:new", "world", 1), ("asset:new", "world", 2))
    asset, world, held = events_of(decided(hold(postings=twice), state()))
    assert isinstance(world, AccountOpened)
    assert isinstance(asset, AccountOpened)
    assert isinstance(held, HoldPlaced)
    assert (asset.account_type, asset.normal_side) == ("asset", Side.DEBIT)


def test_a_refused_transfer_opens_nothing() -> None:
    """A refusal leaves no account behind."""
    given = state()
    assert code_of(transfer("customer:x", "customer:y"), given) is Code.INSUFFICIENT_FUNDS
    assert given.accounts == {}


@pytest.mark.parametrize("effective_at", [YESTERDAY, NOON])
def test_a_transfer_may_be_dated_back_to_where_the_books_are_closed(effective_at: Any) -> None:  # noqa: ANN401
    """The day itself is open; without a date nothing is looked up."""
    command = transfer(effective_at=effective_at)
    (event,) = events_of(decided(command, state(A, B, closed_before=YESTERDAY)))
    assert isinstance(event, TransferPosted)
    assert event.effective_at == effective_at


# What comes to its time.


def test_a_hold_expires_with_what_is_left_of_it() -> None:
    """A line of which nothing is left is not mentioned."""
    lines = postings(("customer:a", "customer:b", 10), ("customer:a", "customer:c", 20))
    held = earlier(placed(*lines, expires_at=NOON), 10, 5)
    (event,) = events_of(decided(SETTLE, state(A, B, about=held)))
    assert event == HoldExpired(
        ledger=LEDGER,
        key="o",
        postings=(Posting("customer:a", "customer:c", 15, "USD", 1),),
        recorded_at=NOON,
    )


@pytest.mark.parametrize(
    "about",
    [
        None,
        earlier(placed()),
        earlier(placed(expires_at=TOMORROW)),
        earlier(placed(expires_at=YESTERDAY), stage=Stage.VOIDED, due_at=None),
        earlier(placed(expires_at=YESTERDAY), 10_00, stage=Stage.CAPTURED, due_at=None),
        earlier(placed(expires_at=YESTERDAY), stage=Stage.EXPIRED, due_at=None),
        earlier(scheduled(due_at=TOMORROW)),
        earlier(scheduled(due_at=YESTERDAY), stage=Stage.CANCELLED, due_at=None),
        earlier(scheduled(due_at=YESTERDAY), stage=Stage.COMPLETED, due_at=None),
        earlier(scheduled(due_at=YESTERDAY), stage=Stage.FAILED, due_at=None),
    ],
)
def test_what_is_not_due_is_left_alone(about: Any) -> None:  # noqa: ANN401
    """The sweeper may ask for anything, and be late."""
    assert events_of(decided(SETTLE, state(A, B, about=about))) == []


def test_a_scheduled_transfer_is_posted_as_it_was_asked_for() -> None:
    """Everything of it but the time; accounts open by use only now."""
    said = scheduled(
        *postings(("customer:a", "customer:new", 5)),
        description="rent",
        reference="R-1",
        metadata={"n": 1},
        due_at=NOON,
    )
    opened, moved = events_of(decided(SETTLE, state(A, about=earlier(said))))
    assert isinstance(opened, AccountOpened)
    assert isinstance(moved, TransferPosted)
    assert (moved.key, moved.fingerprint, moved.postings) == ("o", "", said.postings)
    assert (moved.description, moved.reference, moved.metadata) == ("rent", "R-1", {"n": 1})
    assert (moved.recorded_at, moved.about, moved.completes) == (NOON, None, False)


def test_a_hold_keeps_its_time_and_its_reference() -> None:
    """The event says all that the command said."""
    (event,) = events_of(decided(hold(expires_at=TOMORROW, reference="AUTH"), state(A, B)))
    assert isinstance(event, HoldPlaced)
    assert (event.expires_at, event.reference, event.postings) == (TOMORROW, "AUTH", AB)
    assert event.stage is Stage.PENDING


def test_a_schedule_and_a_transfer_of_the_same_postings_are_two_commands() -> None:
    """One key serves one of them."""
    one, other = transfer(key="k"), schedule(key="k")
    assert isinstance(other, Schedule)
    assert len({one.fingerprint, other.fingerprint, hold(key="k").fingerprint}) == 3
