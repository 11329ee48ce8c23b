"""Days and moments: what is accepted, what it means, and what is refused everywhere alike."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybook.cli.actions import replay
from query_side.accounts.parameters import AccountFilters, PointParameters
from query_side.entries.parameters import EntryFilters
from query_side.event_feed.parameters import EventParameters
from query_side.statements.parameters import StatementParameters
from query_side.transactions.parameters import TransactionFilters
from runtime.problems import Invalid
from tests.list_requests import parsed
from web import times

MIDNIGHT = datetime(2026, 2, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)

MOMENTS: Mapping[str, datetime] = {
    "2026-01-31T12:00": NOON,
    "2026-01-31T12:00Z": NOON,
    "2026-01-31t12:00z": NOON,
    "2026-01-31 12:00:00": NOON,
    "2026-01-31T12:00:00+00:00": NOON,
    "2026-01-31T12:00:00-00:00": NOON,
    "2026-01-31T13:30:00+01:30": NOON,
    "2026-01-30T12:01:00-23:59": NOON,
    "2026-01-31T12:00:00.1Z": NOON + timedelta(milliseconds=100),
    "2026-01-31T12:00:00.000001Z": NOON + TICK,
    "2026-01-31T12:00:00.000001999Z": NOON + TICK,
    "2024-02-29T00:00Z": datetime(2024, 2, 29, tzinfo=UTC),
    "0001-01-01T00:00Z": datetime.min.replace(tzinfo=UTC),
    "9999-12-31T23:59:59.999999Z": datetime.max.replace(tzinfo=UTC),
}
# What a reader could take for a day, and is not written as one.
LIKE_A_DAY = (
    *("20250131", "2025W055", "2025-W05", "2025-W05-5", "2025W05", "2025-031", "2025031"),
    *("2025", "2025-01", "202501", "25-01-31", "2025-1-31", "2025/01/31", "31.01.2025"),
    *("+2025-01-31", "12025-01-31", "--01-31", "2025-01-31Z", "2025-01-31+01:00"),
)
NO_MOMENT = (
    *("", " ", "now", "yesterday", "1738324800", "2026-01-31T", "2026-01-31T12", "T12:00Z"),
    *("20260131T120000Z", "2026-W05-5T12:00Z", "2026-031T12:00Z", "2026-01-31T1200Z"),
    *("2026-01-31T12:00+01", "2026-01-31T12:00+0100", "2026-01-31T12:00 +01:00"),
    *("2026-01-31T12:00 01:00", "2026-01-31T12:00+24:00", "2026-01-31T12:00+01:60"),
    *("2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.1234567890Z"),
    *("2026-01-31  12:00", "2026-01-31_12:00", "2026-01-31T12:00Z ", " 2026-01-31", "2026-01-31\n"),
    # No leap second, and a day ends where the next one begins.
    *("2016-12-31T23:59:60Z", "2026-01-31T24:00Z", "2026-01-31T24:00:00"),
    # No such day, and beyond the calendar.
    *("2026-02-29", "2026-13-01", "2026-00-10", "2026-01-32", "0000-01-01", "2026-02-30T12:00Z"),
    *("0001-01-01T00:00+01:00", "9999-12-31T23:59-00:01", "10000-01-01T00:00Z"),
    # Digits and signs that are not ASCII's.
    *("２０２６-01-31", "٢٠٢٦-٠١-٣١", "2026–01–31", "2026-01-31T12:00:00−01:00"),  # noqa: RUF001
)


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_is_in_utc_unless_it_names_its_offset(text: str) -> None:
    """As a start and as an end it is itself; `through` it everything up to its microsecond."""
    moment = MOMENTS[text]
    assert times.start(text, "t") == times.end(text, "t") == moment
    assert times.start(text, "t").tzinfo is UTC
    if moment < datetime.max.replace(tzinfo=UTC):
        assert times.through(text, "t") == moment + TICK


def test_a_day_is_a_whole_day() -> None:
    """It starts at midnight, UTC, and ends where the next one starts."""
    assert times.start("2026-01-31", "t") == MIDNIGHT - timedelta(days=1)
    assert times.end("2026-01-31", "t") == times.through("2026-01-31", "t") == MIDNIGHT


@pytest.mark.parametrize("meaning", [times.end, times.through])
def test_what_ends_after_the_calendar_is_refused(meaning: times.Meaning) -> None:
    """The last day of the calendar has a start, and no end."""
    assert times.start("9999-12-31", "t") == datetime(9999, 12, 31, tzinfo=UTC)
    with pytest.raises(Invalid, match="year 10000"):
        meaning("9999-12-31", "t", "c")


@pytest.mark.parametrize("text", [*LIKE_A_DAY, *NO_MOMENT])
def test_every_other_form_is_refused(text: str) -> None:
    """With a message that names the field and shows what is accepted; the schema agrees."""
    with pytest.raises(Invalid) as refusal:
        times.read(text, "created_from", "time_invalid")
    assert refusal.value.code == "time_invalid"
    assert refusal.value.extensions == {"field": "created_from"}
    for shown in ("`created_from`", "2026-01-31,", "2026-01-31T12:00Z"):
        assert shown in refusal.value.detail


@given(
    st.datetimes(
        datetime(2, 1, 1),  # noqa: DTZ001 - the offset is drawn beside
        datetime(9998, 12, 31),  # noqa: DTZ001
        timezones=st.integers(-1439, 1439).map(
            lambda minutes: timezone(timedelta(minutes=minutes))
        ),
    )
)
def test_what_python_writes_is_read_back(moment: datetime) -> None:
    """And fits the pattern that the document shows."""
    assert times.start(moment.isoformat(), "t") == moment
    assert re.search(times.PATTERN, moment.isoformat())
    assert re.search(times.PATTERN, moment.date().isoformat())


@given(st.text("0123456789-:.+TtZz W", max_size=32) | st.text(max_size=12))
def test_any_text_is_a_time_that_fits_the_pattern_or_invalid(text: str) -> None:
    """What the schema refuses is refused; what is read fits the schema."""
    try:
        times.read(text, "t")
    except Invalid:
        return
    assert re.fullmatch(times.PATTERN, text)


@pytest.mark.parametrize("text", LIKE_A_DAY)
def test_no_place_takes_a_form_like_a_day(text: str) -> None:
    """Lists, points, periods of statements, and the command line: all by the same parser."""
    for code, struct, query in (
        ("time_invalid", TransactionFilters, {"created_from": text}),
        ("time_invalid", EntryFilters, {"recorded_to": text}),
        ("time_invalid", AccountFilters, {"opened_to": text}),
        ("time_invalid", EventParameters, {"recorded_from": text}),
        ("period_invalid", PointParameters, {"effective_at": text}),
        ("period_invalid", StatementParameters, {"from": "2026-01-01", "to": text}),
    ):
        with pytest.raises(Invalid) as refusal:
            parsed(query.items(), struct)
        assert refusal.value.code == code
    if not text.isdigit():  # A number alone is a position there.
        with pytest.raises(Invalid):
            replay.point(text, "--until")


def test_a_parameter_says_what_it_takes() -> None:
    """Its schema is the pattern, and its parser refuses what does not fit."""
    meta = times.parameter(times.through, "The point.")
    schema = msgspec.json.schema(Annotated[datetime, meta])
    assert schema == {**times.SCHEMA, "description": "The point."}
    extra: Any = meta.extra
    assert extra["parse"]("2026-01-31", "at") == MIDNIGHT
    with pytest.raises(Invalid) as refusal:
        extra["parse"]("20260131", "at")
    assert refusal.value.code == extra["code"] == "period_invalid"


def test_a_body_s_time_is_text_with_a_pattern() -> None:
    """So that what is refused names the field and shows an example, and not a pattern."""
    assert msgspec.json.schema(times.DayOrMoment) == times.SCHEMA
    assert msgspec.json.decode(b'"20260131"', type=times.DayOrMoment) == "20260131"
