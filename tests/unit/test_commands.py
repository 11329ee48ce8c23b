"""Commands: their identity, the accounts that they name, and what may be attached to them."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from command_side.domain.commands import (
    Atomic,
    Condition,
    Keyed,
    Part,
    Refund,
    Rehearsal,
    Single,
    Transfer,
    accounts_of,
    check_account_id,
    check_attachments,
    check_key,
    singles,
    weight,
)
from events import schema as schemas
from events.types import Metadata, Posting, Rate, transaction_id
from runtime.problems import Invalid
from tests.unit.deciding import (
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
from tests.unit.examples import NOON, SCHEMA, SCHEMA_TEXT


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


def test_a_command_names_its_accounts() -> None:
    """The writer loads these; those of an earlier transaction come with it."""
    both = [(LEDGER, "customer:a"), (LEDGER, "customer:b")]
    assert accounts_of(transfer()) == accounts_of(hold()) == accounts_of(schedule()) == both
    assert accounts_of(opening("world")) == accounts_of(change("world")) == [(LEDGER, "world")]
    nobodys: list[Single] = [refund(), capture(), void(), cancel(), SETTLE, closing(NOON)]
    assert all(accounts_of(command) == [] for command in nobodys)


def test_an_atomic_command_is_all_that_is_in_it() -> None:
    """So is a rehearsal, which may hold one: what is looked up, and how much is decided."""
    both = (transfer(), transfer("world", "customer:c"))
    several = Atomic(ledger=LEDGER, commands=both)
    rehearsal = Rehearsal(ledger=LEDGER, commands=(several, refund()))
    assert list(singles([several, SETTLE])) == [*both, SETTLE]
    assert list(singles([rehearsal])) == [*both, refund()]
    assert [weight(each) for each in (several, rehearsal, transfer(), SETTLE)] == [2, 3, 1, 1]


@pytest.mark.parametrize(
    "in_body, in_header, code",
    [
        ("a", "b", "idempotency_key_ambiguous"),
        ("", "b", "idempotency_key_ambiguous"),
        (None, None, "idempotency_key_missing"),
        ("", None, "idempotency_key_invalid"),
        (None, "", "idempotency_key_invalid"),
        ("k" * 256, None, "idempotency_key_invalid"),
        (None, "k" * 256, "idempotency_key_invalid"),
        ("a b", None, "idempotency_key_invalid"),
        ("k\n", None, "idempotency_key_invalid"),
        ("\u0000", None, "idempotency_key_invalid"),
        ("é", None, "idempotency_key_invalid"),
    ],
)
def test_a_wrong_idempotency_key_is_refused(
    in_body: str | None, in_header: str | None, code: str
) -> None:
    """Missing, in doubt, too long, or of other than visible ASCII."""
    with pytest.raises(Invalid) as refusal:
        check_key(in_body, in_header)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "in_body, in_header", [("k", None), (None, "k"), ("k", "k"), ("k" * 255, None), ("~!/?%", None)]
)
def test_a_key_may_come_in_the_body_or_the_header(
    in_body: str | None, in_header: str | None
) -> None:
    """Or in both, if they agree."""
    assert check_key(in_body, in_header) == in_body or in_header


@pytest.mark.parametrize("account_id", ["a", "A-1", "bank:main", "x" * 128, "9_.:@-", "a@b.c"])
def test_an_account_id_is_kept_as_it_is(account_id: str) -> None:
    """No folding, no trimming."""
    assert check_account_id(account_id, "account_id") == account_id


def test_metadata_that_the_schema_requires_must_be_there() -> None:
    """Absent metadata lacks every key; a key with null is there."""
    strict = schemas.parse(f'{SCHEMA_TEXT}\n[limits]\nmetadata_required = ["order", "shop"]\n')
    check_attachments(None, None, {"order": 1, "shop": None}, strict)
    cases: list[tuple[Metadata | None, str]] = [
        (None, "order, shop"),
        ({}, "order, shop"),
        ({"order": 1}, "shop"),
    ]
    for metadata, named in cases:
        with pytest.raises(Invalid, match=f"keys {named}") as refusal:
            check_attachments(None, None, metadata, strict)
        assert refusal.value.code == "metadata_required"


@pytest.mark.parametrize("allowed", ["\t", "\n", "\r\n", "é", "😀", "\u200f", "'; DROP TABLE"])
def test_text_of_people_is_allowed(allowed: str) -> None:
    """Only control characters that no reader wants are refused."""
    check_attachments(allowed, allowed, {allowed: allowed}, SCHEMA)
