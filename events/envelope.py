"""Consecutive events in one message: a CloudEvents 1.0 batch (JSON format).

    [{"specversion": "1.0", "id": "<position>", "source": "/daybook/log", "type": "<topic>",
      "subject": "<stream id>", "time": …, "datacontenttype": "application/json",
      "streamversion": 1, "data": {…the event's state…}}, …]

An envelope is a hint and a cache, never a truth: a reader that misses one reads the log.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events import codec
from events.vocabulary import Recorded

log = logging.getLogger(__name__)

SOURCE = "/daybook/log"
BRACKETS_BYTES = 2


class UnreadableEnvelopeError(ValueError):
    """A message is not an envelope of ours."""


class _CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: UUID
    time: datetime
    datacontenttype: str = "application/json"
    streamversion: int
    data: msgspec.Raw


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(list[_CloudEvent])


class Envelope(msgspec.Struct, frozen=True):
    """Events `first` to `last`, and the body that carries them."""

    first: int
    last: int
    body: str


def pack(events: Sequence[Recorded], bytes_max: int, events_max: int) -> Iterator[Envelope]:
    """Yield envelopes of consecutive events, each within both bounds.

    An event that alone is over `bytes_max` gets an envelope of its own; events are bounded by the
    request body's bound, which is smaller than what SQS takes.
    """
    parts: list[bytes] = []
    size = BRACKETS_BYTES
    first = 0
    for stored in events:
        part = _ENCODER.encode(_cloud_event(stored))
        if parts and (size + len(part) + 1 > bytes_max or len(parts) >= events_max):
            yield _envelope(first, parts)
            parts, size = [], BRACKETS_BYTES
        if not parts:
            first = stored.position
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield _envelope(first, parts)


def unpack(body: str) -> list[Recorded]:
    """Return the events in `body`. Raises UnreadableEnvelopeError."""
    try:
        return [
            Recorded(
                int(event.id),
                event.subject,
                event.streamversion,
                codec.decode(event.type, bytes(event.data)),
            )
            for event in _DECODER.decode(body)
        ]
    except (ValueError, msgspec.MsgspecError) as error:
        raise UnreadableEnvelopeError(f"not an envelope: {error}") from error


def unpack_or_ignore(body: str) -> list[Recorded]:
    """Return the events in `body`; none, with a warning, if it is not an envelope of ours.

    Nothing is lost by that: an envelope carries nothing that the log doesn't have.
    """
    try:
        return unpack(body)
    except UnreadableEnvelopeError as error:
        log.warning("a message is ignored: %s", error)
        return []


def _cloud_event(stored: Recorded) -> _CloudEvent:
    return _CloudEvent(
        id=str(stored.position),
        type=stored.event.topic,
        subject=stored.originator_id,
        time=stored.event.recorded_at,
        streamversion=stored.version,
        data=msgspec.Raw(codec.encode(stored.event)),
    )


def _envelope(first: int, parts: list[bytes]) -> Envelope:
    return Envelope(first, first + len(parts) - 1, f"[{b','.join(parts).decode()}]")
