"""No text of a client becomes a formula in the spreadsheet of whoever opens a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.csv_cells import guarded, plain


@pytest.mark.parametrize(
    "text",
    ["=1", "+1", "-1", "@A1", "\t=1", "\r", "\n", "'", "\uff1d1", "\uff0d1", "\u22121"],
)
def test_what_begins_like_a_formula_is_guarded(text: str) -> None:
    """By an apostrophe, in every spelling of the sign."""
    assert guarded(text) == f"'{text}"


def test_other_text_stays() -> None:
    """Also where a sign comes later; nothing is nothing."""
    assert [guarded(text) for text in ("a=1", " x", "", None)] == ["a=1", " x", "", ""]


@given(st.text())
def test_a_reader_gets_the_text_back(text: str) -> None:
    """Whatever it is."""
    assert plain(guarded(text)) == text
