"""What a request for a balance or a statement means, and what its text may hold."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_side.accounts.parameters import PointParameters, PointRequest
from query_side.statements import as_camt053
from query_side.statements.parameters import StatementParameters
from runtime.csv_cells import guarded
from runtime.problems import Invalid
from tests.list_requests import parsed

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
MIDNIGHT = datetime(2026, 2, 1, tzinfo=UTC)


def point(**given: str) -> PointRequest:
    """Return the point that a query string names. Raises Invalid."""
    found = parsed(given.items(), PointParameters)
    assert isinstance(found, PointParameters)
    return found.point()


def statement(given: str) -> StatementParameters:
    """Return what a query string asks of a statement. Raises Invalid."""
    found = parsed(given, StatementParameters)
    assert isinstance(found, StatementParameters)
    return found


@pytest.mark.parametrize(
    "text, before",
    [
        ("2026-01-31", MIDNIGHT),
        ("2026-01-31T23:59:59.999999Z", MIDNIGHT),
        ("2026-02-01T00:59:59.999999+01:00", MIDNIGHT),
        ("2026-02-01T00:00Z", MIDNIGHT + timedelta(microseconds=1)),
        ("2026-02-01T00:00", MIDNIGHT + timedelta(microseconds=1)),
    ],
)
def test_a_point_in_time_includes_what_was_recorded_just_then(text: str, before: datetime) -> None:
    """A day includes all of it, and a moment its own microsecond."""
    assert point(at=text) == PointRequest(recorded_before=before)
    both = point(position="7", effective_at=text)
    assert both == PointRequest(position=7, effective_before=before)


def test_without_parameters_it_is_now() -> None:
    """A point that names nothing."""
    assert point() == PointRequest()


@pytest.mark.parametrize(
    "given_, code",
    [
        ({"position": "1", "at": "2026-01-01"}, "point_ambiguous"),
        ({"position": ""}, "position_invalid"),
        ({"position": "-1"}, "position_invalid"),
        ({"position": "1.0"}, "position_invalid"),
        ({"position": "\u0661"}, "position_invalid"),
        ({"position": str(2**63)}, "position_invalid"),
        ({"at": ""}, "period_invalid"),
        ({"at": "9999-12-31"}, "period_invalid"),
        ({"at": "9999-12-31T23:59:59.999999Z"}, "period_invalid"),
        ({"at": "0001-01-01T00:00+01:00"}, "period_invalid"),
        ({"effektive_at": "2026-01-01"}, "parameter_unknown"),
    ],
)
def test_what_is_no_point_is_refused(given_: Mapping[str, str], code: str) -> None:
    """By its code, at the end of the calendar too."""
    with pytest.raises(Invalid) as caught:
        point(**given_)
    assert caught.value.code == code


def test_a_period_is_of_whole_days() -> None:
    """The last one included; its end is the next one's beginning."""
    january = statement("from=2026-01-01&to=2026-01-31").period()
    february = statement("from=2026-02-01&to=2026-02-28").period()
    assert january.end == february.start == MIDNIGHT


@pytest.mark.parametrize(
    "query, code",
    [
        ("from=2026-01-01", "period_invalid"),
        ("to=2026-01-01", "period_invalid"),
        ("from=2026-01-02&to=2026-01-01", "period_invalid"),
        ("from=2026-01-02T00:00Z&to=2026-01-02T00:00Z", "period_invalid"),
        ("from=2026-01-01&to=2026-01-31&basis=booked", "basis_invalid"),
        ("from=2026-01-01&to=2026-01-31&format=pdf", "format_invalid"),
        ("from=2026-01-01&to=2026-01-31&to=2026-01-31", "parameter_repeated"),
    ],
)
def test_what_is_no_period_is_refused(query: str, code: str) -> None:
    """By its code."""
    with pytest.raises(Invalid) as caught:
        statement(query).period()
    assert caught.value.code == code


@given(st.text(st.characters(exclude_characters="\x00")))
def test_a_cell_is_no_formula_and_can_be_read_back(text: str) -> None:
    """One apostrophe before, taken away again; everything else is the csv module's."""
    cell = guarded(text)
    assert not cell.startswith(FORMULAS)
    assert cell.removeprefix("'") == text
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerow([cell, "x"])
    buffer.seek(0)
    assert list(csv.reader(buffer, strict=True)) == [[cell, "x"]]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_in_the_message(text: str) -> None:
    """What XML cannot hold is replaced, one for one; everything else comes back."""
    read = ET.fromstring(f"<a>{as_camt053._text(text)}</a>").text or ""  # noqa: S314, SLF001
    assert len(read) == len(text)
    assert all(one in (other, "\ufffd") for one, other in zip(read, text, strict=True))
