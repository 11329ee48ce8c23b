"""Consecutive events in one message: bounded, in order, CloudEvents 1.0; or not an envelope."""

from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import codec
from events.envelope import pack
from events.types import Recorded
from tests.envelopes import unpack
from tests.unit.examples import EXAMPLES, POSTED, STREAM, runs


def log_of(count: int, first: int = 1) -> list[Recorded]:
    """Return `count` consecutive events of all types."""
    return [
        Recorded(first + n, uuid5(STREAM, str(n)), 1, EXAMPLES[n % len(EXAMPLES)])
        for n in range(count)
    ]


def rows_of(events: list[Recorded]) -> list[dict[str, Any]]:
    """Return events as the log stores them."""
    return [
        {
            "notification_id": recorded.position,
            "originator_id": recorded.originator_id,
            "originator_version": recorded.version,
            "topic": recorded.event.topic,
            "state": codec.encode(recorded.event),
        }
        for recorded in events
    ]


def one(**fields: object) -> str:
    """Return an envelope of one event, written by hand, with some fields replaced."""
    (envelope,) = pack(rows_of([Recorded(7, STREAM, 1, POSTED)]), 10_000, 1)
    (event,) = msgspec.json.decode(envelope.body)
    return msgspec.json.encode([event | fields]).decode()


@given(events=runs(), bytes_max=st.integers(0, 4_000), events_max=st.integers(1, 5))
def test_every_event_is_packed_once_in_order_within_the_bounds(
    events: list[Recorded], bytes_max: int, events_max: int
) -> None:
    """Only an event that is too big by itself may exceed the bytes, and then it is alone."""
    envelopes = list(pack(rows_of(events), bytes_max, events_max))
    unpacked = [unpack(envelope.body) for envelope in envelopes]
    assert [event for events in unpacked for event in events] == events
    for envelope, inside in zip(envelopes, unpacked, strict=True):
        assert (envelope.first, envelope.last) == (inside[0].position, inside[-1].position)
        assert 1 <= len(inside) <= events_max
        assert len(envelope.body.encode()) <= bytes_max or len(inside) == 1


@given(events=runs(), bytes_max=st.integers(0, 4_000))
def test_envelopes_are_not_needlessly_small(events: list[Recorded], bytes_max: int) -> None:
    """The first event of an envelope would not have fitted into the one before it."""
    envelopes = list(pack(rows_of(events), bytes_max, 1_000))
    for before, after in pairwise(envelopes):
        (head, *_) = pack(rows_of(unpack(after.body)[:1]), 0, 1)
        joined = len(before.body.encode()) + len(head.body.encode()) - 1
        assert joined >= bytes_max


def test_no_envelope_is_a_byte_too_big() -> None:
    """Brackets and commas count, too: around the exact size of everything the bound holds."""
    rows = rows_of(log_of(20))
    (everything,) = pack(rows, 10**6, 1_000)
    exact = len(everything.body.encode())
    for bytes_max in range(exact - 25, exact + 2):
        sizes = [len(envelope.body.encode()) for envelope in pack(rows, bytes_max, 1_000)]
        assert max(sizes) <= bytes_max
    assert list(pack(rows, exact + 1, 1_000)) == [everything]


def test_nothing_makes_no_envelope() -> None:
    """A relay with nothing to say sends nothing."""
    assert list(pack([], 10_000, 10)) == []
    assert unpack("[]") == []


@pytest.mark.parametrize("count, sizes", [(10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_an_envelope_holds_at_most_so_many_events(count: int, sizes: list[int]) -> None:
    """The bound is exact."""
    envelopes = list(pack(rows_of(log_of(count, first=100)), 10**6, 10))
    assert [envelope.last - envelope.first + 1 for envelope in envelopes] == sizes
    assert (envelopes[0].first, envelopes[-1].last) == (100, 99 + count)


def test_an_envelope_is_a_cloudevents_batch() -> None:
    """Each event has CloudEvents 1.0's required attributes, with the types that it demands."""
    (envelope,) = pack(rows_of(log_of(4, first=9)), 10**6, 10)
    batch = msgspec.json.decode(envelope.body)
    for position, event in enumerate(batch, start=9):
        assert event["specversion"] == "1.0"
        assert event["id"] == str(position)
        assert event["source"] == "/daybook/log"
        assert event["type"] == EXAMPLES[position - 9].topic
        assert UUID(event["subject"]).version == 5
        assert event["datacontenttype"] == "application/json"
        assert event["data"] == msgspec.json.decode(codec.encode(EXAMPLES[position - 9]))
        # The names of attributes are lower-case letters and digits, extensions' too.
        assert all(name.isascii() and name.islower() and name.isalnum() for name in event)
    ids = {(event["source"], event["id"]) for event in batch}
    assert len(ids) == len(batch)


def test_the_hand_written_envelope_is_readable() -> None:
    """The refusals below are about the field that they change."""
    assert unpack(one()) == [Recorded(7, STREAM, 1, POSTED)]
    assert unpack(one(unknownextension="x")) == [Recorded(7, STREAM, 1, POSTED)]
