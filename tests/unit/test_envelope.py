"""Consecutive events in one message: bounded, in order, CloudEvents 1.0; or not an envelope."""

import logging
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import codec
from events.envelope import UnreadableEnvelopeError, pack, unpack, unpack_or_ignore
from events.vocabulary import Recorded
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


GARBAGE = [
    pytest.param("", id="empty"),
    pytest.param("hello", id="text"),
    pytest.param("null", id="null"),
    pytest.param("{}", id="object"),
    pytest.param("[1]", id="number"),
    pytest.param("[{}]", id="empty event"),
    pytest.param("\ud800", id="surrogate"),
    pytest.param(one() + "x", id="trailing"),
    pytest.param(one()[:-1], id="cut"),
    pytest.param('[{"data":' + "[" * 99_999, id="deep"),
    pytest.param('{"Records":[]}', id="another system's"),
    pytest.param(one(specversion="0.3"), id="specversion"),
    pytest.param(one(source="/elsewhere"), id="source"),
    pytest.param(one(id="x"), id="id of letters"),
    pytest.param(one(id=7), id="id as number"),
    pytest.param(one(id=" 7"), id="id with blank"),
    pytest.param(one(id="1_0"), id="id with underscore"),
    pytest.param(one(id="7\n"), id="id with line end"),
    pytest.param(one(id="9" * 20), id="id beyond bigint"),
    pytest.param(one(id="0"), id="id 0"),
    pytest.param(one(id="-7"), id="id below 0"),
    pytest.param(one(subject="x"), id="subject"),
    pytest.param(one(streamversion=0), id="streamversion 0"),
    pytest.param(one(streamversion="1"), id="streamversion text"),
    pytest.param(one(type="hold.placed"), id="type"),
    pytest.param(one(data=None), id="data null"),
    pytest.param(one(data=[]), id="data list"),
    pytest.param(one(data={}), id="data empty"),
    pytest.param(one(data=["class_version"]), id="data with a mark"),
    pytest.param(one(data={"class_version": 0}), id="data of version 0"),
    pytest.param(one(data={"class_version": "x"}), id="data of version x"),
    pytest.param(one(data={"class_version": 2}), id="data of version 2"),
]


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_is_refused(body: str) -> None:
    """Anything that is not our envelope brings one error, and no event at all."""
    with pytest.raises(UnreadableEnvelopeError, match=r"^not an envelope: "):
        unpack(body)


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_is_ignored_with_a_warning(body: str, caplog: pytest.LogCaptureFixture) -> None:
    """A projector goes on: the log has whatever the message should have brought."""
    with caplog.at_level(logging.WARNING):
        assert unpack_or_ignore(body) == []
    assert "a message is ignored" in caplog.text


@given(st.text(max_size=200))
def test_any_text_is_an_envelope_or_refused(body: str) -> None:
    """No message makes another kind of error."""
    try:
        unpack(body)
    except UnreadableEnvelopeError:
        return
    assert msgspec.json.decode(body) == []
