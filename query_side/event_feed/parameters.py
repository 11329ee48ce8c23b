"""What the routes of the log take: which events, from where, up to where. Pure."""

import re
from enum import StrEnum
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct, field

from events.event_filter import EventFilter
from events.types import EVENT_TYPES
from query_side.list_query import FIRST, PageRequest, Period
from query_side.parameters import (
    AccountId,
    ListParameters,
    Order,
    Position,
    RecordedFrom,
    RecordedTo,
    TransactionId,
)
from runtime.problems import Invalid
from web.cursors import BIGGEST, LIMIT_DEFAULT
from web.freshness import wait
from web.media import JSON, NDJSON

LIST = "events"
_LAST_EVENT_ID = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19})?")

# Every type of event, by its topic. (mypy takes literals only.)
Topic = StrEnum("Topic", {kind.topic: kind.topic for kind in EVENT_TYPES})  # type: ignore[misc]


class LogFormat(StrEnum):
    """What the log may be written as."""

    JSON = "json"
    NDJSON = "ndjson"


FORMAT_OF = {JSON: LogFormat.JSON, NDJSON: LogFormat.NDJSON}


class EventQuery(NamedTuple):
    """Events after the position `after`, before `before`, recorded in `period`."""

    wanted: EventFilter
    after: int
    before: int | None
    period: Period


class LastSeen(NamedTuple):
    """The position, and perhaps the discrepancy, that a client of a stream got last."""

    position: int
    discrepancy_id: int | None


def checked_event_id(text: str, name: str) -> str:
    """Return a `Last-Event-ID`: `POSITION.DISCREPANCY`, or a position alone. Raises Invalid."""
    if not _LAST_EVENT_ID.fullmatch(text) or any(int(part) > BIGGEST for part in text.split(".")):
        raise Invalid("position_invalid", f"`{name}` is not an id of this stream.", field=name)
    return text


def last_seen(text: str) -> LastSeen:
    """Return what a `Last-Event-ID` names."""
    position, dot, discrepancy_id = text.partition(".")
    return LastSeen(int(position), int(discrepancy_id) if dot else None)


_ACCOUNT = "Events that move this account, change it or name it."
_TRANSACTION = "Events of this transaction, and of those about it."
_TYPE = Meta(description="Of this type.", extra={"code": "type_unknown"})


class EventParameters(ListParameters, frozen=True, kw_only=True):
    """Which events of the log, and which page of them; oldest first, as the log is read."""

    order: Annotated[Order, Meta(description="By position.", extra={"code": "order_unknown"})] = (
        Order.ASCENDING
    )
    account_id: Annotated[AccountId, Meta(description=_ACCOUNT)] | None = None
    transaction_id: Annotated[TransactionId, Meta(description=_TRANSACTION)] | None = None
    type: Annotated[Topic, _TYPE] | None = None
    after: Annotated[Position, Meta(description="Events after this position.")] = 0
    before: Annotated[Position, Meta(description="Events before this position.")] | None = None
    recorded_from: RecordedFrom | None = None
    recorded_to: RecordedTo | None = None
    format: (
        Annotated[
            LogFormat,
            Meta(
                description="`ndjson`: all of them, one a line, without paging. "
                "Without it the media type that `Accept` prefers.",
                extra={"code": "format_invalid"},
            ),
        ]
        | None
    ) = None

    def query(self, ledger: str) -> EventQuery:
        """Return which events of a ledger are asked for."""
        return EventQuery(
            EventFilter(ledger, self.type, self.account_id, self.transaction_id),
            self.after,
            self.before,
            Period(self.recorded_from, self.recorded_to),
        )

    def events_page(self) -> PageRequest:
        """Return the page asked for. Raises Invalid."""
        return self.page(LIST, FIRST)

    def check_whole(self) -> None:
        """Raise Invalid if a page is asked for: as NDJSON the log has no pages."""
        for name, given in (
            ("cursor", self.cursor is not None),
            ("limit", self.limit != LIMIT_DEFAULT),
            ("order", self.order is not Order.ASCENDING),
        ):
            if given:
                detail = f"NDJSON has no pages, and so no parameter `{name}`."
                raise Invalid("parameter_unknown", detail, field=name)


class FollowParameters(Struct, frozen=True, kw_only=True):
    """Which events are followed, and from where on."""

    account_id: Annotated[AccountId, Meta(description=_ACCOUNT)] | None = None
    transaction_id: Annotated[TransactionId, Meta(description=_TRANSACTION)] | None = None
    type: Annotated[Topic, _TYPE] | None = None
    after: (
        Annotated[Position, Meta(description="Begin after this position; without it, now.")] | None
    ) = None

    def wanted(self, ledger: str) -> EventFilter:
        """Return which events of a ledger are followed."""
        return EventFilter(ledger, self.type, self.account_id, self.transaction_id)


class FollowHeaders(Struct, frozen=True, kw_only=True):
    """Where a client that comes back goes on, and when it wants to be let go."""

    last_event_id: (
        Annotated[
            str,
            Meta(
                pattern=f"^{_LAST_EVENT_ID.pattern}$",
                description="The last `id` that came, `POSITION.DISCREPANCY`: "
                "go on after it, whatever `after` says.",
                extra={"parse": checked_event_id, "code": "position_invalid"},
            ),
        ]
        | None
    ) = field(default=None, name="Last-Event-ID")
    prefer: Annotated[int, wait("`wait=S`: end when nothing came for S seconds.")] | None = None


def resumed(query: FollowParameters, headers: FollowHeaders) -> LastSeen | None:
    """Return what the client got last; None if it begins now.

    A client that comes back repeats its URL, so `Last-Event-ID` goes before `after`.
    """
    if headers.last_event_id is not None:
        return last_seen(headers.last_event_id)
    return None if query.after is None else LastSeen(query.after, None)


def check_reached(after: int, head: int) -> None:
    """Raise Invalid for a position beyond the log's end: its client would wait in silence."""
    if after > head:
        detail = f"The log ends at position {head}; nothing can be followed from {after}."
        raise Invalid("position_invalid", detail, field="after")
