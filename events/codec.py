"""Bytes ↔ event, by the `eventsourcing` library's convention.

State is JSON without the originator's id and version (they are columns). From class version 2 on
it carries `"class_version"`, and the class has static methods `upcast_v1_v2(state)`, … that bring
an older dictionary up to date in place, one version at a time.
"""

import uuid
from typing import Protocol

import msgspec

from events.vocabulary import EVENT_TYPES, Event, Recorded

_ENCODER = msgspec.json.Encoder(order="deterministic")
_TYPES: dict[str, type[Event]] = {kind.topic: kind for kind in EVENT_TYPES}
_DECODERS = {kind.topic: msgspec.json.Decoder(kind) for kind in EVENT_TYPES}
_VERSION_MARK = b'"class_version"'


class UnreadableEventError(ValueError):
    """An event in the log cannot be read: unknown topic, newer version, or damaged bytes."""


class Row(Protocol):
    """The columns of a stored event."""

    def __getitem__(self, column: str, /) -> object:
        """Return one column."""


def encode(event: Event) -> bytes:
    """Return the state bytes of `event`; the same event gives the same bytes."""
    state = _ENCODER.encode(event)
    if event.class_version == 1:
        return state
    fields = msgspec.json.decode(state)
    return _ENCODER.encode(fields | {"class_version": event.class_version})


def decode(topic: str, state: bytes) -> Event:
    """Return the event of `topic` in `state`, upcast if it is old. Raises UnreadableEventError."""
    decoder = _DECODERS.get(topic)
    if decoder is None:
        message = f"unknown topic {topic!r}: a newer Daybook wrote this event"
        raise UnreadableEventError(message)
    try:
        if _TYPES[topic].class_version == 1 and _VERSION_MARK not in state:
            return decoder.decode(state)
        return _upcast(_TYPES[topic], msgspec.json.decode(state))
    except msgspec.DecodeError as error:
        message = f"the state of a {topic!r} event cannot be read: {error}"
        raise UnreadableEventError(message) from error


def recorded(row: Row) -> Recorded:
    """Return the event of a stored row, in its place. Raises UnreadableEventError."""
    topic, state = str(row["topic"]), row["state"]
    position, version, originator = (
        row["notification_id"],
        row["originator_version"],
        row["originator_id"],
    )
    assert isinstance(state, bytes)
    assert isinstance(position, int)
    assert isinstance(version, int)
    assert isinstance(originator, uuid.UUID)
    try:
        return Recorded(position, originator, version, decode(topic, state))
    except UnreadableEventError as error:
        message = f"position {position}: {error}"
        raise UnreadableEventError(message) from error


def _upcast(kind: type[Event], fields: dict[str, object]) -> Event:
    version = fields.pop("class_version", 1)
    assert isinstance(version, int)
    if version > kind.class_version:
        message = f"{kind.topic!r} has version {version}, newer than {kind.class_version}"
        raise UnreadableEventError(message)
    while version < kind.class_version:
        getattr(kind, f"upcast_v{version}_v{version + 1}")(fields)
        version += 1
    return msgspec.convert(fields, kind)
