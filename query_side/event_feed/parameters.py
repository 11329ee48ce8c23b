"""What a request for events asks for: which of them, from where, up to where. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from events.event_filter import Wanted
from events.types import EVENT_TYPES
from query_side import parameters
from query_side.parameters import Order, Paging, Parameters, Period
from runtime.problems import Invalid
from web.cursors import Cut

LIST = "events"
FIRST: Cut = (0,)
FORMATS = ("json", "ndjson")
NDJSON = "application/x-ndjson"
LAST_EVENT_ID = "last-event-id"

# Every type of event, by its topic. (mypy takes literals only.)
Topic = StrEnum("Topic", {kind.topic: kind.topic for kind in EVENT_TYPES})  # type: ignore[misc]


class Asked(NamedTuple):
    """Wanted events after `after`, before `before`, recorded in `period`."""

    wants: Wanted
    after: int
    before: int | None
    period: Period


def events(given: Parameters, ledger: str) -> Asked:
    """Return which events of a ledger are asked for; paging is left. Raises Invalid."""
    return Asked(
        _wants(given, ledger),
        given.position("after") or 0,
        given.position("before"),
        given.period("recorded"),
    )


def page(given: Parameters, ledger: str) -> tuple[Asked, Paging]:
    """Return the same, and which page of it; as the log is read, oldest first. Raises Invalid."""
    asked = events(given, ledger), given.paging(LIST, FIRST, Order.ASCENDING)
    given.done()
    return asked


def lines(given: Parameters, ledger: str) -> Asked:
    """Return the same for whoever takes all of it at once. Raises Invalid."""
    asked = events(given, ledger)
    given.done()
    return asked


def stream(
    given: Parameters, headers: Mapping[str, str], ledger: str
) -> tuple[Wanted, int | None, int | None]:
    """Return which events are followed, after which position, and after which discrepancy.

    None is from now on. A client that comes back repeats its URL, so `Last-Event-ID` goes before
    `after`. It is `POSITION.DISCREPANCY`, or a position alone. Raises Invalid.
    """
    wants, after = _wants(given, ledger), given.position("after")
    given.done()
    last = headers.get(LAST_EVENT_ID)
    if last is None:
        return wants, after, None
    position, dot, told = last.partition(".")
    return (
        wants,
        parameters.position(position, "Last-Event-ID"),
        parameters.position(told, "Last-Event-ID") if dot else None,
    )


def wants_lines(given: Parameters, accept: str) -> bool:
    """Return whether NDJSON is asked for, by `format` or else by `Accept`. Raises Invalid."""
    text = given.text("format")
    if text is None:
        return accept.split(",", maxsplit=1)[0].partition(";")[0].strip().lower() == NDJSON
    if text not in FORMATS:
        raise Invalid("format_invalid", f"`format` must be {', '.join(FORMATS)}.", field="format")
    return text == FORMATS[1]


def check_reached(after: int | None, head: int) -> None:
    """Raise Invalid for a place that the log has not come to: it would be waited for in silence."""
    if after is not None and after > head:
        detail = f"The log ends at position {head}; nothing can be followed from {after}."
        raise Invalid("position_invalid", detail, field="after")


def _wants(given: Parameters, ledger: str) -> Wanted:
    return Wanted(
        ledger,
        given.choice("type", Topic),
        given.account("account_id"),
        given.transaction("transaction_id"),
    )
