"""Consecutive events in one message: a CloudEvents 1.0 batch (JSON format).

    [{"specversion": "1.0", "id": "<position>", "source": "/daybook/log", "type": "<topic>",
      "subject": "<stream id>", "datacontenttype": "application/json",
      "streamversion": 1, "data": {…the event's state…}}, …]

An envelope is a hint and a cache, never a truth: a reader that misses one reads the log. Packing
copies the stored state without decoding it. That costs little, and an event that the relay does not
know does not stop it. A client that reads the log over HTTP gets the same form, and the time.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from runtime.sql import Row

SOURCE: Final = "/daybook/log"
BRACKETS_BYTES = 2


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log as others see it: `id` is its position, `subject` its stream."""

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, msgspec.Meta(pattern=r"\A[1-9][0-9]{0,18}\Z")]
    source: Literal["/daybook/log"] = SOURCE
    type: str
    subject: UUID
    time: datetime | msgspec.UnsetType = msgspec.UNSET
    datacontenttype: str = "application/json"
    streamversion: Annotated[int, msgspec.Meta(ge=1)]
    data: msgspec.Raw


_ENCODER = msgspec.json.Encoder()


class Envelope(msgspec.Struct, frozen=True):
    """Events `first` to `last`, and the body that carries them."""

    first: int
    last: int
    body: str


def pack(rows: Sequence[Row], bytes_max: int, events_max: int) -> Iterator[Envelope]:
    """Yield envelopes of consecutive stored events (rows of the log), each within both bounds.

    An event that alone is over `bytes_max` gets an envelope of its own; events are bounded by the
    request body's bound, which is smaller than what SQS takes.
    """
    parts: list[bytes] = []
    size = BRACKETS_BYTES
    first = 0
    for row in rows:
        part = cloud_event(row)
        if parts and (size + len(part) + 1 > bytes_max or len(parts) >= events_max):
            yield _envelope(first, parts)
            parts, size = [], BRACKETS_BYTES
        if not parts:
            first = row["notification_id"]
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield _envelope(first, parts)


def cloud_event(row: Row, time: datetime | msgspec.UnsetType = msgspec.UNSET) -> bytes:
    """Return a stored event as a CloudEvent in JSON."""
    return _ENCODER.encode(
        CloudEvent(
            id=str(row["notification_id"]),
            type=row["topic"],
            subject=row["originator_id"],
            time=time,
            streamversion=row["originator_version"],
            data=msgspec.Raw(row["state"]),
        )
    )


def _envelope(first: int, parts: list[bytes]) -> Envelope:
    return Envelope(first, first + len(parts) - 1, f"[{b','.join(parts).decode()}]")
