"""Read an envelope as any other consumer of the queue would: a CloudEvents batch of events."""

from uuid import UUID

import msgspec

from events import codec
from events.types import Recorded


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of CloudEvents 1.0 that an envelope has, all of them."""

    specversion: str
    id: str
    source: str
    type: str
    subject: UUID
    datacontenttype: str
    streamversion: int
    data: msgspec.Raw


def unpack(body: str) -> list[Recorded]:
    """Return the events in `body`."""
    return [
        Recorded(
            int(event.id),
            event.subject,
            event.streamversion,
            codec.decode(event.type, bytes(event.data)),
        )
        for event in msgspec.json.decode(body, type=list[CloudEvent])
    ]
