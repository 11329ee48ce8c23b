"""Days and moments, as people and programs write them: one parser for API, files and commands.

A *day* is written `YYYY-MM-DD`. It begins and ends at midnight, UTC.

A *moment* is written as RFC 3339 has it, `YYYY-MM-DDTHH:MM:SS.ffffffZ`, where
  - the seconds, or their fraction, may be left out; a fraction has 1 to 9 digits, and what is finer
    than a microsecond is cut off;
  - the offset is `Z` or `±HH:MM`; without one the moment is in UTC;
  - a space may stand for the `T`, and both letters may be small.

Every other form is refused: those that a reader could take for a day (`20250131`, `2025-W05`,
`2025-031`, `2025-01`), a leap second (`23:59:60`), `24:00`, digits that are not ASCII, and moments
outside of the years 0001 to 9999 in UTC.

What a day means depends on where it stands:

    start    of a day its first moment                  the moment itself
    end      of a day the first moment after it         the moment itself (which is not included)
    through  of a day the first moment after it         the first moment after it
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from msgspec import Meta

from runtime.problems import Invalid

# As fine as a time gets here and in PostgreSQL.
TICK = timedelta(microseconds=1)
INVALID = "period_invalid"
DAY_PATTERN = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
_OFFSET = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
MOMENT_PATTERN = f"{DAY_PATTERN}[Tt ]{_CLOCK}{_OFFSET}"
PATTERN = f"^({DAY_PATTERN}|{MOMENT_PATTERN})$"
# The JSON schema of a day or a moment; `format` has no name for the two together.
SCHEMA = {"type": "string", "format": "day-or-moment", "pattern": PATTERN}
# A day or a moment in the JSON of a body: the schema says it, and the functions below read it.
DayOrMoment = Annotated[str, Meta(extra_json_schema=SCHEMA)]
Meaning = Callable[[str, str, str], datetime]

_DAY = re.compile(DAY_PATTERN)
_MOMENT = re.compile(MOMENT_PATTERN)
_WHOLE_DAY = timedelta(days=1)


def start(text: str, name: str, code: str = INVALID) -> datetime:
    """Return where a period begins that begins at `text`, in UTC. Raises Invalid."""
    given = read(text, name, code)
    return given if isinstance(given, datetime) else _midnight(given)


def end(text: str, name: str, code: str = INVALID) -> datetime:
    """Return the first moment after a period that ends at `text`, in UTC. Raises Invalid."""
    given = read(text, name, code)
    if isinstance(given, datetime):
        return given
    return _later(_midnight(given), _WHOLE_DAY, name, code)


def through(text: str, name: str, code: str = INVALID) -> datetime:
    """Return the first moment after all that happened at `text` or before. Raises Invalid."""
    given = read(text, name, code)
    if isinstance(given, datetime):
        return _later(given, TICK, name, code)
    return _later(_midnight(given), _WHOLE_DAY, name, code)


def read(text: str, name: str, code: str = INVALID) -> date | datetime:
    """Return the day, or the moment in UTC, that `text` is. Raises Invalid that names `name`."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
        if _MOMENT.fullmatch(text):
            given = datetime.fromisoformat(text.upper())
            return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # There is no such day, or in UTC it is out of the calendar.
    detail = (
        f"`{name}` must be a day such as 2026-01-31, or a moment such as 2026-01-31T12:00Z or "
        "2026-01-31T12:00:00+01:00; in a URL a + is written %2B."
    )
    raise Invalid(code, detail, field=name)


def parameter(meaning: Meaning, description: str) -> Meta:
    """Return how a parameter of the type `datetime` is read: as `start`, `end` or `through`."""
    return Meta(
        description=description,
        extra={"parse": lambda text, name: meaning(text, name, INVALID), "code": INVALID},
        extra_json_schema=SCHEMA,
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _later(found: datetime, by: timedelta, name: str, code: str) -> datetime:
    try:
        return found + by
    except OverflowError as error:
        detail = f"`{name}` must end before the year 10000."
        raise Invalid(code, detail, field=name) from error
