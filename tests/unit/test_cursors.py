"""Cursors and limits: opaque, bounded, and never an error of another kind."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_side import cursors
from query_side.cursors import BIGGEST, LIMIT_DEFAULT, LIMIT_MAX
from runtime.problems import Invalid

PARTS = st.integers(0, BIGGEST)


@given(st.lists(PARTS, min_size=1, max_size=3))
def test_a_cursor_leads_back_to_its_key(key: list[int]) -> None:
    """And needs no escape in a URL."""
    cursor = cursors.encode(*key)
    assert cursors.decode(cursor, len(key)) == tuple(key)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)


@given(st.lists(PARTS, min_size=1, max_size=3), st.integers(1, 3))
def test_a_cursor_of_another_list_is_refused(key: list[int], length: int) -> None:
    """A list's key has its own number of parts."""
    if len(key) != length:
        with pytest.raises(Invalid):
            cursors.decode(cursors.encode(*key), length)


def test_without_a_cursor_a_list_starts_at_its_newest_row() -> None:
    """Before every row there can be."""
    assert cursors.decode(None, 2) == (BIGGEST, BIGGEST)


def packed(text: str) -> str:
    """Return what a client might make up."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "=",
        "A",
        "é",
        "5",
        "x" * 10_000,
        packed(""),
        packed("5"),
        packed("[]"),
        packed("[1,2]"),
        packed("[-1]"),
        packed(f"[{BIGGEST + 1}]"),
        packed(f"[{'9' * 5000}]"),
        packed("[1.5]"),
        packed('["1"]'),
        packed("[true]"),
        packed("[null]"),
        packed("{}"),
        packed("[1"),
        packed("[" * 99_999),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
    ids=lambda cursor: cursor[:24],
)
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    """With the parameter's name."""
    with pytest.raises(Invalid) as refusal:
        cursors.decode(cursor, 1)
    assert refusal.value.code == "cursor_invalid"
    assert refusal.value.extensions == {"field": "cursor"}


@given(st.text(max_size=40), st.integers(1, 2))
def test_any_text_is_a_cursor_or_invalid(text: str, length: int) -> None:
    """No text makes another kind of error, or a key outside PostgreSQL's bigint."""
    try:
        key = cursors.decode(text, length)
    except Invalid:
        return
    assert len(key) == length
    assert all(0 <= part <= BIGGEST for part in key)


@pytest.mark.parametrize(
    "text, limit", [(None, LIMIT_DEFAULT), ("1", 1), ("50", 50), ("500", 500), ("007", 7)]
)
def test_a_limit_is_a_whole_number(text: str | None, limit: int) -> None:
    """1 to 500; without one, the default."""
    assert cursors.limit(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "x", "0", "-1", "+1", "501", "1.0", "1e2", " 1", "1 ", "1_0", "٣", "²"),
        "9" * 30,
        "0" * 30,
        "000000500999",
        "000000001" + "9" * 20,
        "000000001" + "9" * 5_000,
    ],
    ids=lambda text: text[:16],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    """With the parameter's name."""
    with pytest.raises(Invalid) as refusal:
        cursors.limit(text)
    assert refusal.value.code == "limit_invalid"
    assert refusal.value.extensions == {"field": "limit"}


@given(st.text("0123456789", max_size=20))
def test_a_page_is_never_larger_than_the_largest(text: str) -> None:
    """Whatever is written: at most 500 rows."""
    try:
        limit = cursors.limit(text)
    except Invalid:
        return
    assert 1 <= limit <= LIMIT_MAX
    assert limit == int(text)
