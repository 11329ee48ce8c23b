"""Bytes ↔ event: what is written can be read for ever, and what cannot be read is said so."""

from typing import Any, ClassVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from events import codec
from events.codec import UnreadableEventError
from events.types import (
    EVENT_TYPES,
    AccountType,
    Event,
    Kind,
    Recorded,
    Side,
    account_stream_id,
    books_stream_id,
    transaction_id,
)
from tests.unit.examples import (
    BOOKS,
    CANCELLED,
    CHANGED,
    EXAMPLES,
    EXPIRED,
    HELD,
    OPENED,
    POSTED,
    REJECTED,
    SCHEDULED,
    STREAM,
    VOIDED,
    events,
)

_HELD = b'"postings":[{"debit":"customer:1","credit":"world","amount":"500","currency":"USD"}],'
_NOON = b'"recorded_at":"2026-01-31T12:00:00.123456Z"'
GOLDEN: dict[str, tuple[Event, bytes]] = {
    "account.opened": (
        OPENED,
        b'{"ledger":"main","account_id":"customer:1","account_class":"customer",'
        b'"account_type":"liability","currency":"USD","normal_side":"credit",'
        b'"overdraft_limit":"0",' + _NOON + b',"class_version":2}',
    ),
    "account.changed": (
        CHANGED,
        b'{"ledger":"main","account_id":"customer:1","status":"frozen","overdraft_limit":null,'
        + _NOON
        + b"}",
    ),
    "books.closed": (
        BOOKS,
        b'{"ledger":"main","closed_before":"2026-01-31T12:00:00.123456Z",' + _NOON + b"}",
    ),
    "transfer.posted": (
        POSTED,
        b'{"ledger":"main","key":"key-1","fingerprint":"00","postings":[{"debit":"world",'
        b'"credit":"customer:1","amount":"12345","currency":"USD"}],'
        + _NOON
        + b',"metadata":{"a":null,"b":1},"class_version":2}',
    ),
    "transfer.rejected": (
        REJECTED,
        b'{"ledger":"main","key":"key-2","fingerprint":"01","postings":[],'
        + _NOON
        + b',"kind":"refund","about":"6f1c1f0e-8f5a-5b60-9d7a-3b5a0f0d9c11",'
        b'"code":"insufficient_funds","detail":"No money.","class_version":2}',
    ),
    "hold.placed": (
        HELD,
        b'{"ledger":"main","key":"key-3","fingerprint":"02",'
        + _HELD
        + _NOON
        + b',"kind":"hold","reference":"AUTH-1","expires_at":"2026-01-31T12:00:00.123456Z"}',
    ),
    "hold.voided": (
        VOIDED,
        b'{"ledger":"main","key":"key-4","fingerprint":"03",'
        + _HELD
        + _NOON
        + b',"kind":"void","about":"6f1c1f0e-8f5a-5b60-9d7a-3b5a0f0d9c11"}',
    ),
    "hold.expired": (
        EXPIRED,
        b'{"ledger":"main","key":"key-3",' + _HELD + _NOON + b"}",
    ),
    "transfer.scheduled": (
        SCHEDULED,
        b'{"ledger":"main","key":"key-5","fingerprint":"04",'
        + _HELD
        + _NOON
        + b',"rate":{"sold":"USD","bought":"EUR","rate":"0.92"},'
        b'"due_at":"2026-01-31T12:00:00.123456Z"}',
    ),
    "transfer.cancelled": (
        CANCELLED,
        b'{"ledger":"main","key":"key-6","fingerprint":"05",'
        + _HELD
        + _NOON
        + b',"kind":"cancellation","about":"6f1c1f0e-8f5a-5b60-9d7a-3b5a0f0d9c11"}',
    ),
}

# As the first version of Daybook wrote them: its logs are there, and are never rewritten.
FIRST: list[tuple[str, bytes, Event]] = [
    (
        "account.opened",
        b'{"ledger":"main","account_id":"customer:1","account_class":"customer","currency":"USD",'
        b'"normal_side":"credit","overdraft_limit":"0",' + _NOON + b"}",
        OPENED,
    ),
    (
        "account.opened",
        b'{"ledger":"main","account_id":"bank:1","account_class":"bank","currency":"USD",'
        b'"normal_side":"debit","overdraft_limit":null,' + _NOON + b"}",
        replace(
            OPENED,
            account_id="bank:1",
            account_class="bank",
            account_type=AccountType.ASSET,
            normal_side=Side.DEBIT,
            overdraft_limit=None,
        ),
    ),
    (
        "transfer.posted",
        b'{"ledger":"main","key":"key-1","fingerprint":"00","postings":[{"debit":"world",'
        b'"credit":"customer:1","amount":"12345","currency":"USD"}],'
        + _NOON
        + b',"metadata":{"a":null,"b":1}}',
        POSTED,
    ),
    (
        "transfer.posted",
        b'{"ledger":"main","key":"key-1","fingerprint":"00","postings":[{"debit":"world",'
        b'"credit":"customer:1","amount":"12345","currency":"USD"}],'
        + _NOON
        + b',"description":"back","metadata":{"class_version":2,"n":%d},' % (10**30)
        + b'"refund_of":"6f1c1f0e-8f5a-5b60-9d7a-3b5a0f0d9c11"}',
        replace(
            POSTED,
            description="back",
            metadata={"class_version": 2, "n": 10**30},
            kind=Kind.REFUND,
            about=STREAM,
        ),
    ),
    # What ends as a second version does is in the metadata, one bracket deeper.
    (
        "transfer.posted",
        b'{"ledger":"main","key":"key-1","fingerprint":"00","postings":[{"debit":"world",'
        b'"credit":"customer:1","amount":"12345","currency":"USD"}],'
        + _NOON
        + b',"metadata":{"a":1,"class_version":2}}',
        replace(POSTED, metadata={"a": 1, "class_version": 2}),
    ),
    (
        "transfer.rejected",
        b'{"ledger":"main","key":"key-2","fingerprint":"01","postings":[],'
        + _NOON
        + b',"code":"insufficient_funds","detail":"No money.",'
        b'"refund_of":"6f1c1f0e-8f5a-5b60-9d7a-3b5a0f0d9c11"}',
        REJECTED,
    ),
    (
        "transfer.rejected",
        b'{"ledger":"main","key":"key-2","fingerprint":"01","postings":[],'
        + _NOON
        + b',"code":"insufficient_funds","detail":"No money."}',
        replace(REJECTED, kind=Kind.TRANSFER, about=None),
    ),
]


def test_every_event_type_has_its_bytes_written_down() -> None:
    """The table above is complete, and each topic belongs to one type."""
    assert [kind.topic for kind in EVENT_TYPES] == list(GOLDEN)
    assert [type(event) for event in EXAMPLES] == list(EVENT_TYPES)


@pytest.mark.parametrize("topic", GOLDEN)
def test_the_bytes_of_an_event_never_change(topic: str) -> None:
    """Logs that exist must stay readable: changed bytes need a new class version."""
    event, state = GOLDEN[topic]
    assert codec.encode(event) == state
    assert codec.decode(topic, state) == event


@pytest.mark.parametrize("topic, state, event", FIRST)
def test_what_the_first_version_wrote_is_read_for_ever(
    topic: str, state: bytes, event: Event
) -> None:
    """And written anew it is of the current version."""
    assert codec.decode(topic, state) == event
    assert codec.decode(topic, codec.encode(event)) == event


@given(events())
def test_an_event_reads_back_as_it_was_written(event: Event) -> None:
    """Also with metadata keys that look like the codec's own mark."""
    assert codec.decode(event.topic, codec.encode(event)) == event


@given(events())
def test_the_same_event_is_the_same_bytes(event: Event) -> None:
    """Decoded and encoded again, nothing moves."""
    state = codec.encode(event)
    assert codec.encode(codec.decode(event.topic, state)) == state


def test_metadata_in_another_order_is_the_same_bytes() -> None:
    """Dictionaries have an order; the log's bytes do not depend on it."""
    turned = msgspec.structs.replace(POSTED, metadata={"a": None, "b": 1})
    assert codec.encode(turned) == codec.encode(POSTED)


def test_an_unknown_topic_is_unreadable() -> None:
    """And the message says who may have written it."""
    with pytest.raises(
        UnreadableEventError, match=r"unknown topic 'loan\.granted': a newer Daybook"
    ):
        codec.decode("loan.granted", b"{}")


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b"{}",
        b"\xff",
        GOLDEN["transfer.posted"][1][:-1],
        GOLDEN["transfer.posted"][1] + b"x",
        GOLDEN["transfer.posted"][1].replace(b'"key-1"', b"5"),
        GOLDEN["transfer.posted"][1].replace(b"key-1", b"\xff"),
        GOLDEN["transfer.posted"][1].replace(b"2026-01-31T", b"yesterday "),
        b'["class_version"]',
        b'"class_version"',
        b'{"class_version":"1"}',
        b'{"class_version":null}',
        b'{"class_version":1.0}',
        b'{"class_version":1}',
        b'{"class_version":1,"ledger":"\xff"}',
        b'{"class_version":0}',
        b'{"class_version":-1}',
        pytest.param(b'{"x":' * 99_999, id="deep"),
        pytest.param(b'{"class_version":1,"x":' + b"[" * 99_999, id="deep list"),
    ],
)
def test_damaged_bytes_are_unreadable(state: bytes) -> None:
    """There is one error for it, whatever is wrong; it names the topic."""
    with pytest.raises(UnreadableEventError, match="transfer\\.posted"):
        codec.decode("transfer.posted", state)


@pytest.mark.parametrize("topic", GOLDEN)
def test_a_newer_version_is_unreadable(topic: str) -> None:
    """An old Daybook does not guess what a newer one meant."""
    event, state = GOLDEN[topic]
    known = event.class_version
    state = state.replace(b',"class_version":%d}' % known, b"}")
    newer = state[:-1] + b',"class_version":%d}' % (known + 1)
    with pytest.raises(UnreadableEventError, match=f"version {known + 1}, newer than {known}"):
        codec.decode(topic, newer)


def test_an_unreadable_row_names_its_position() -> None:
    """So that a person finds it."""
    row = {
        "notification_id": 77,
        "originator_id": STREAM,
        "originator_version": 1,
        "topic": "transfer.posted",
        "state": b"{}",
    }
    with pytest.raises(UnreadableEventError, match=r"^position 77: "):
        codec.recorded(row)
    row |= {"state": GOLDEN["transfer.posted"][1]}
    assert codec.recorded(row) == Recorded(77, STREAM, 1, POSTED)


class OpenedLater(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The event as a Daybook of the future may define it: version 3."""

    topic: ClassVar[str] = "account.opened"
    class_version: ClassVar[int] = 3

    ledger: str
    account_id: str
    owner: str
    tags: tuple[str, ...]

    @staticmethod
    def upcast_v1_v2(state: dict[str, object]) -> None:
        """Version 2 knew the owner."""
        state["owner"] = f"owner of {state['account_id']}"

    @staticmethod
    def upcast_v2_v3(state: dict[str, object]) -> None:
        """Version 3 knows tags, the owner's first."""
        state["tags"] = [state["owner"]]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the codec know the later version."""
    later: Any = OpenedLater
    monkeypatch.setitem(codec._FORMS, "account.opened", codec.form(later))  # noqa: SLF001


@pytest.mark.usefixtures("later")
def test_an_old_event_is_upcast_version_by_version() -> None:
    """Each step sees what the step before it left."""
    found: object = codec.decode("account.opened", FIRST[0][1])
    expected = OpenedLater(
        ledger="main",
        account_id="customer:1",
        owner="owner of customer:1",
        tags=("owner of customer:1",),
    )
    assert found == expected
    second = b'{"class_version":2,"ledger":"main","account_id":"customer:1","owner":"Ada"}'
    again: object = codec.decode("account.opened", second)
    assert again == msgspec.structs.replace(expected, owner="Ada", tags=("Ada",))


@pytest.mark.usefixtures("later")
def test_a_later_version_carries_its_number() -> None:
    """From version 2 on, by the library's convention; and reads back."""
    event: Any = OpenedLater(ledger="main", account_id="a", owner="Ada", tags=("x",))
    state = codec.encode(event)
    assert msgspec.json.decode(state)["class_version"] == 3
    found: object = codec.decode("account.opened", state)
    assert found == event
    newer = state.replace(b'"class_version":3', b'"class_version":4')
    with pytest.raises(UnreadableEventError, match="version 4, newer than 3"):
        codec.decode("account.opened", newer)


def test_ids_of_streams_never_change() -> None:
    """Identity is idempotency: other ids would let an old key happen twice."""
    assert transaction_id("main", "key-1") == UUID("67e78a6a-484d-59ce-a5d2-fb364a70ae92")
    assert account_stream_id("main", "customer:1") == UUID("d2f761b5-9723-571a-b1e4-4292305492e1")
    assert books_stream_id("main") == UUID("6154041f-5d8e-59ac-9aaa-5ecd5744f97c")
    assert transaction_id("main", "a") != account_stream_id("main", "a")


def test_an_event_carries_its_version_from_the_second_on() -> None:
    """As the library writes them."""
    for event, state in GOLDEN.values():
        marked = msgspec.json.decode(state).get("class_version", 1)
        assert marked == event.class_version
        assert (b"class_version" in state) is (marked > 1)
