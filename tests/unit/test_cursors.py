"""Cursors and limits: opaque, bounded, and never an error of another kind."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_side.parameters import ListParameters
from runtime.problems import Invalid
from tests.list_requests import parsed
from web import cursors
from web.cursors import BIGGEST, LIMIT_DEFAULT, LIMIT_MAX, Cursor, Cut

POSITION = (0,)
LINE = (0, 0)
ID = ("",)
EXAMPLES = (POSITION, LINE, ID)
PARTS = st.integers(0, BIGGEST)
CUTS = (
    PARTS.map(lambda part: (part,))
    | st.tuples(PARTS, PARTS)
    | st.text("".join(map(chr, range(32, 127))), max_size=130).map(lambda part: (part,))
)
NAMES = st.sampled_from(["transactions", "entries"])


@given(NAMES, st.builds(Cursor, st.booleans(), CUTS))
def test_a_cursor_leads_back_to_its_cut(name: str, cursor: Cursor) -> None:
    """Its text needs no escape in a URL."""
    text = cursors.encode(name, cursor)
    assert cursors.decode(text, name, cursor.cut) == cursor
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)


@given(NAMES, NAMES, CUTS, st.sampled_from(EXAMPLES))
def test_a_cursor_of_another_list_is_refused(name: str, other: str, cut: Cut, example: Cut) -> None:
    """Its name is in it, and a list's key has its own parts."""
    text = cursors.encode(name, Cursor(up=True, cut=cut))
    if name == other and [*map(type, cut)] == [*map(type, example)]:
        assert cursors.decode(text, other, example).cut == cut
        return
    with pytest.raises(Invalid):
        cursors.decode(text, other, example)


@given(st.lists(PARTS.filter(lambda part: part < BIGGEST), min_size=1, max_size=2), PARTS)
def test_nothing_is_between_a_key_and_the_cut_above_it(key: list[int], last: int) -> None:
    """Every other key of the list is below both or above both."""
    other = (*key[:-1], last)
    if other != tuple(key):
        assert (other > tuple(key)) == (other >= cursors.above(tuple(key)))


@given(st.text("-.0:@AZ_az", min_size=1), st.text("-.0:@AZ_az", max_size=3))
def test_no_id_is_between_an_id_and_the_cut_above_it(account_id: str, more: str) -> None:
    """Also the ids that begin with it are above both."""
    assert (account_id,) < cursors.above((account_id,))
    if more:
        assert cursors.above((account_id,)) < (account_id + more,)


def limit_of(text: str | None) -> int:
    """Return the limit that a query string asks for. Raises Invalid."""
    found = parsed([] if text is None else [("limit", text)], ListParameters)
    assert isinstance(found, ListParameters)
    return found.limit


def packed(text: str) -> str:
    """Return a cursor that a client might make up."""
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
        packed("[1]"),
        packed('["entries",true,[1]]'),
        packed('["transactions",1,[1]]'),
        packed('["transactions",true,1]'),
        packed('["transactions",true,[]]'),
        packed('["transactions",true,[1,2]]'),
        packed('["transactions",true,[1],2]'),
        packed('["transactions",true,[-1]]'),
        packed(f'["transactions",true,[{BIGGEST + 1}]]'),
        packed(f'["transactions",true,[{"9" * 5000}]]'),
        packed('["transactions",true,[1.5]]'),
        packed('["transactions",true,["1"]]'),
        packed('["transactions",true,[true]]'),
        packed('["transactions",true,[null]]'),
        packed("{}"),
        packed('["transactions",true,[1'),
        packed("[" * 99_999),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
    ids=lambda cursor: cursor[:24],
)
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    """With the parameter's name."""
    with pytest.raises(Invalid) as refusal:
        cursors.decode(cursor, "transactions", POSITION)
    assert refusal.value.code == "cursor_invalid"
    assert refusal.value.extensions == {"field": "cursor"}


@pytest.mark.parametrize("text", ["\x00", "é", "\n", "x" * 131])
def test_an_id_that_no_account_has_is_no_cut(text: str) -> None:
    """What PostgreSQL cannot hold never reaches it."""
    cursor = cursors.encode("accounts", Cursor(up=True, cut=(text,)))
    with pytest.raises(Invalid):
        cursors.decode(cursor, "accounts", ID)


@given(st.text(max_size=40), st.sampled_from(EXAMPLES))
def test_any_text_is_a_cursor_or_invalid(text: str, example: Cut) -> None:
    """No text makes another kind of error, or a key outside PostgreSQL's bigint."""
    try:
        _, cut = cursors.decode(text, "transactions", example)
    except Invalid:
        return
    assert len(cut) == len(example)


@pytest.mark.parametrize(
    "text, limit", [(None, LIMIT_DEFAULT), ("1", 1), ("50", 50), ("500", 500), ("007", 7)]
)
def test_a_limit_is_a_whole_number(text: str | None, limit: int) -> None:
    """1 to 500; without one, the default."""
    assert limit_of(text) == limit


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
        limit_of(text)
    assert refusal.value.code == "limit_invalid"
    assert refusal.value.extensions == {"field": "limit"}


@given(st.text("0123456789", max_size=20))
def test_a_page_is_never_larger_than_the_largest(text: str) -> None:
    """Whatever is written: at most 500 rows."""
    try:
        limit = limit_of(text)
    except Invalid:
        return
    assert 1 <= limit <= LIMIT_MAX
    assert limit == int(text)
