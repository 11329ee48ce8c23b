"""What the routes of the log answer with. Pure."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Raw, Struct

from events.envelope import SOURCE
from events.event_filter import event_header
from runtime.sql import Row
from web.answers import ENCODER


class LogEvent(Struct, kw_only=True):
    """An event as it was recorded, as a CloudEvent: `id` is its position, `subject` its stream.

    `data` is what is stored; amounts are minor units.
    """

    specversion: Literal["1.0"]
    id: str
    source: Literal["/daybook/log"]
    type: str
    subject: UUID
    time: datetime
    datacontenttype: Literal["application/json"]
    streamversion: int
    data: Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class LogEvents(Struct):
    """Events, in the order of the log. Only `next: null` is the end, for now."""

    items: list[LogEvent]
    next: str | None
    previous: str


class StreamedDiscrepancy(Struct):
    """A difference that the continuous reconciliation found, as its list shows it."""

    id: int
    kind: str
    view: str
    ledger: str | None
    account_id: str | None
    transaction_id: UUID | None
    position: int
    expected: str
    actual: str
    explanation: str
    found_at: datetime


def event(row: Row) -> LogEvent:
    """Return a stored event, with the time at which it was recorded."""
    return LogEvent(
        specversion="1.0",
        source=SOURCE,
        datacontenttype="application/json",
        id=str(row["notification_id"]),
        type=row["topic"],
        subject=row["originator_id"],
        time=event_header(row).recorded_at,
        streamversion=row["originator_version"],
        data=Raw(row["state"]),
    )


def event_json(row: Row) -> bytes:
    """Return a stored event as JSON."""
    return ENCODER.encode(event(row))


def discrepancy_json(row: Row) -> bytes:
    """Return a discrepancy as JSON."""
    names = StreamedDiscrepancy.__struct_fields__
    return ENCODER.encode(StreamedDiscrepancy(*(row[name] for name in names)))
