"""Commands: their identity, and what must be known to decide them."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from command_side.domain.commands import (
    Atomic,
    Condition,
    FollowUp,
    Keyed,
    Needs,
    Part,
    Refund,
    Rehearsal,
    Transfer,
    needs,
)
from events.types import Posting, Rate, transaction_id
from tests.unit.decide_examples import (
    AB,
    LEDGER,
    SETTLE,
    TOMORROW,
    cancel,
    capture,
    change,
    closing,
    hold,
    opening,
    postings,
    refund,
    schedule,
    transfer,
    void,
)
from tests.unit.examples import NOON


def test_a_fingerprint_differs_with_every_field_and_not_with_order() -> None:
    """One key, two commands: any difference is noticed; the order of metadata is none."""
    base = transfer(description="d", metadata={"a": 1, "b": "x"})
    replace = msgspec.structs.replace
    condition = Condition(account_id="customer:a", version=1)
    differing: list[Keyed] = [
        base,
        replace(base, postings=postings(("customer:c", "customer:b", 1_00))),
        replace(base, postings=postings(("customer:a", "customer:c", 1_00))),
        replace(base, postings=postings(("customer:a", "customer:b", 10**37))),
        replace(base, postings=postings(("customer:a", "customer:b", 1_00, "EUR"))),
        replace(base, postings=AB + AB),
        replace(base, rate=Rate("USD", "EUR", "0.92")),
        replace(base, rate=Rate("USD", "EUR", "0.920")),
        replace(base, conditions=(condition,)),
        replace(base, conditions=(replace(condition, version=2),)),
        replace(base, conditions=(Condition(account_id="customer:a", balance_min=1),)),
        replace(base, conditions=(Condition(account_id="customer:a", balance_max=1),)),
        replace(base, effective_at=NOON),
        replace(base, reference="r"),
        replace(base, description=None),
        replace(base, metadata=None),
        replace(base, metadata={"a": "1", "b": "x"}),
        replace(base, ledger="other"),
        replace(base, key="other"),
        *(hold(), hold(expires_at=NOON), hold(expires_at=TOMORROW)),
        *(schedule(), schedule(due_at=NOON)),
        *(refund(key="k"), refund(Part(0, 1), key="k"), refund(Part(1, 1), key="k")),
        *(refund(Part(0, 1, "USD"), key="k"), refund(key="k", about=UUID(int=9))),
        *(refund(key="k", effective_at=NOON), capture(key="k"), capture(Part(0, 1), key="k")),
        *(capture(key="k", effective_at=NOON), void(key="k"), cancel(key="k")),
    ]
    assert len({command.fingerprint for command in differing}) == len(differing)
    other_order = replace(base, metadata={"b": "x", "a": 1})
    assert other_order.fingerprint == base.fingerprint


def test_a_fingerprint_never_changes() -> None:
    """A retry is compared with what an earlier release of Daybook wrote to the log."""
    moved = (
        Posting("a", "b", 10**37, "USD"),
        Posting("a", "c", 5, "EUR", 2),
    )
    condition = Condition(account_id="a", version=2, balance_min=-5, balance_max=10**30)
    command = Transfer(
        ledger="l",
        key="k",
        postings=moved,
        rate=Rate("USD", "EUR", "0.9"),
        conditions=(condition,),
        description="ü",
        reference="r",
        metadata={"b": 1, "a": "x"},
        effective_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert command.fingerprint == "78477ebeca294aee019e0346a37a2293"
    parts = (Part(0, 5), Part(1, 6, "USD"))
    back = Refund(ledger="l", key="k", about=UUID(int=5), parts=parts)
    assert back.fingerprint == "5505ea924d9ee0f8eadab7e865fe6279"


def test_a_key_is_the_identity_of_whatever_is_asked_with_it() -> None:
    """So one key has one effect, whatever it is."""
    keyed: list[Keyed] = [transfer(), hold(), schedule(), refund(), capture(), void(), cancel()]
    for command in keyed:
        assert command.transaction_id == transaction_id(LEDGER, command.key)


def test_what_must_be_known_to_decide_a_command() -> None:
    """Its own stream, the transaction that it is about, its accounts; closed books for a date."""
    both = {(LEDGER, "customer:a"), (LEDGER, "customer:b")}
    for movement in (transfer(), hold(), schedule()):
        assert needs([movement]) == Needs(1, {movement.transaction_id}, set(), both)
    follow_ups: list[FollowUp] = [refund(), capture(), void(), cancel()]
    for command in follow_ups:
        assert needs([command]) == Needs(1, {command.transaction_id}, {command.about})
    for unkeyed in (opening("world"), change("world")):
        assert needs([unkeyed]) == Needs(1, accounts={(LEDGER, "world")})
    assert needs([SETTLE]) == Needs(1, earlier={SETTLE.about})
    assert needs([closing(NOON)]) == Needs(1, dated={LEDGER})
    dated: list[Keyed] = [
        transfer(effective_at=NOON),
        refund(effective_at=NOON),
        capture(effective_at=NOON),
    ]
    assert [needs([command]).dated for command in dated] == [{LEDGER}] * 3


def test_a_group_needs_what_its_commands_need() -> None:
    """A rehearsal may hold an atomic command; each counts with the commands inside it."""
    both = (transfer(), transfer("world", "customer:c"))
    several = Atomic(ledger=LEDGER, commands=both)
    rehearsal = Rehearsal(ledger=LEDGER, commands=(several, refund()))
    assert needs([several, SETTLE]) == needs([*both, SETTLE])
    assert needs([rehearsal]) == needs([*both, refund()])
    assert [each.weight for each in (several, rehearsal, transfer(), SETTLE)] == [2, 3, 1, 1]
