"""What a request asks for: points, periods and formats, out of its parameters. Pure.

A date means its whole day, in UTC: as a point or an end it is the day's end, as a beginning the
day's first moment. A time as a point includes what was recorded just then.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from query_side.parameters import position as position_in
from runtime.problems import Invalid
from web import times
from web.times import moment


class Basis(StrEnum):
    """Which of an entry's two times places it in a period."""

    RECORDED = "recorded"
    EFFECTIVE = "effective"


class Format(StrEnum):
    """What a statement may be written as."""

    JSON = "json"
    CSV = "csv"
    CAMT053 = "camt.053"


MEDIA_TYPES = {
    "application/json": Format.JSON,
    "text/csv": Format.CSV,
    "application/xml": Format.CAMT053,
    "text/xml": Format.CAMT053,
}


class Asked(msgspec.Struct, frozen=True):
    """A point: at a position, or at what was recorded before a time; None twice is now.

    `effective_before` asks, of what was known there, for what took effect before another time.
    """

    position: int | None = None
    recorded_before: datetime | None = None
    effective_before: datetime | None = None


class Period(msgspec.Struct, frozen=True):
    """From `start` up to and without `end`."""

    start: datetime
    end: datetime


def parameters(pairs: Iterable[tuple[str, str]], known: Collection[str]) -> dict[str, str]:
    """Return the parameters of a URL. Raises Invalid for one that is not `known`, or repeated."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            detail = f"There is no parameter {name!r} here; there are {', '.join(known)}."
            raise Invalid("parameter_unknown", detail, field=name)
        if name in given:
            raise Invalid("parameter_repeated", f"`{name}` is given twice.", field=name)
        given[name] = value
    return given


def point(
    given: Mapping[str, str], position: str = "position", at: str = "at", effective: str = ""
) -> Asked:
    """Return the point that the parameters of these names ask for. Raises Invalid."""
    if position in given and at in given:
        detail = f"`{position}` and `{at}` are two ways to name one point: send one of them."
        raise Invalid("point_ambiguous", detail, field=at)
    return Asked(
        None if position not in given else position_in(given[position], position),
        _after(given.get(at), at),
        _after(given.get(effective), effective),
    )


def period(given: Mapping[str, str]) -> Period:
    """Return the period from `from` to `to`. Raises Invalid."""
    start = moment(given.get("from"), "from", whole_day=False)
    end = moment(given.get("to"), "to", whole_day=True)
    if start is None or end is None:
        missing = "from" if start is None else "to"
        raise Invalid("period_invalid", "A period needs `from` and `to`.", field=missing)
    if start >= end:
        raise Invalid("period_invalid", "`from` must be before `to`.", field="from")
    return Period(start, end)


def basis(given: Mapping[str, str]) -> Basis:
    """Return the basis, by effective time without one. Raises Invalid."""
    text = given.get("basis", Basis.EFFECTIVE)
    if text not in list(Basis):
        detail = f"`basis` must be {' or '.join(Basis)}."
        raise Invalid("basis_invalid", detail, field="basis")
    return Basis(text)


def form(
    given: Mapping[str, str], accept: str, offered: Collection[Format] = tuple(Format)
) -> Format:
    """Return the format: `format`, or the first of `Accept` that is offered, or JSON.

    Raises Invalid for a `format` that is not offered; an `Accept` that names none is no request.
    """
    text = given.get("format")
    if text is None:
        ranges = (part.partition(";")[0].strip().lower() for part in accept.split(","))
        named = (MEDIA_TYPES[name] for name in ranges if name in MEDIA_TYPES)
        return next((found for found in named if found in offered), Format.JSON)
    if text not in list(offered):
        raise Invalid("format_invalid", f"`format` must be {', '.join(offered)}.", field="format")
    return Format(text)


def _after(text: str | None, field: str) -> datetime | None:
    """Return the first moment after the time, or after the day, that `text` means."""
    return None if text is None else times.through(text, field)
