"""Bodies: a repeated member is refused, however it is written; every other body is taken."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct, UnsetType

from command_side.api.bodies import (
    ChangeBody,
    CloseBody,
    EndBody,
    FollowUpBody,
    OpenBody,
    SubmitBody,
)
from runtime.problems import Invalid
from web.bodies import decode, is_shortest


class Inner(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a body."""

    amount: Raw
    line: int = 0


class Outer(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A body with every kind of value that commands have."""

    name: str
    inner: Inner | None = None
    parts: tuple[Inner, ...] = ()
    notes: dict[str, str | int | bool | None] | None = None
    pending: bool = False
    limit: Raw | UnsetType = UNSET


class Verbose(Struct):
    """A body whose JSON has its defaults, and so may be longer than what was sent."""

    name: str
    pending: bool = False


class Timed(Struct, omit_defaults=True):
    """A body with a number that has shorter forms than JSON's own."""

    factor: Decimal


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
AMOUNTS = st.sampled_from(["1", "1.50", '"1e3"', "0.000"])
INNERS = st.fixed_dictionaries(
    {"amount": st.integers(0, 10**6)}, optional={"line": st.integers(-9, 9)}
)
NOTES = st.dictionaries(TEXTS, TEXTS | st.integers() | st.booleans() | st.none(), max_size=3)
OUTERS = st.fixed_dictionaries(
    {"name": TEXTS},
    optional={
        "inner": st.none() | INNERS,
        "parts": st.lists(INNERS, max_size=3),
        "notes": st.none() | NOTES,
        "pending": st.booleans(),
        "limit": st.integers(0, 99),
    },
)
LAYOUTS = st.fixed_dictionaries(
    {
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]),
        "indent": st.sampled_from([None, None, 1]),
        "ensure_ascii": st.booleans(),
    }
)
DECODER = msgspec.json.Decoder(Outer)


@given(body=OUTERS, layout=LAYOUTS)
def test_a_body_without_repeated_members_is_taken(body: dict[str, Any], layout: Any) -> None:  # noqa: ANN401
    """Whatever its white space and escapes are, and whether it has defaults or not."""
    text = json.dumps(body, **layout).encode()
    assert decode(text, DECODER) == DECODER.decode(text)


@given(body=OUTERS, layout=LAYOUTS, data=st.data())
def test_a_repeated_member_is_refused(
    body: dict[str, Any],
    layout: Any,  # noqa: ANN401
    data: st.DataObject,
) -> None:
    """Also if it has the same value, another spelling, or a default; and inside of others."""
    objects = [each for each in _objects(body) if each]
    chosen = data.draw(st.sampled_from(range(len(objects))))
    name = data.draw(st.sampled_from(sorted(objects[chosen])))
    text = _repeated(body, objects[chosen], name, layout)
    with pytest.raises(Invalid) as refusal:
        decode(text, DECODER)
    assert refusal.value.code == "member_repeated"
    assert refusal.value.extensions == {"field": name}


@pytest.mark.parametrize(
    "body", [SubmitBody, FollowUpBody, EndBody, OpenBody, ChangeBody, CloseBody]
)
def test_bodies_of_commands_are_compared_with_their_shortest_form(body: type[Struct]) -> None:
    """So a repeated member costs only the requests that have one."""
    assert is_shortest(body)
    assert is_shortest(list[body])  # type: ignore[valid-type]


@pytest.mark.parametrize("body", [Verbose, Timed, list[Verbose], dict[str, float]])
def test_a_shape_whose_json_may_be_longer_is_not_compared(body: Any) -> None:  # noqa: ANN401
    """A default that was not sent could be as long as a repeated member."""
    assert not is_shortest(body)


def test_a_default_hides_no_repeated_member() -> None:
    """Its JSON has as many bytes as the repeated member."""
    with pytest.raises(Invalid) as refusal:
        decode(b'{"name":"b123456","name":"b"}', msgspec.json.Decoder(Verbose))
    assert refusal.value.code == "member_repeated"


def _objects(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Return every object in a JSON value, itself included."""
    if isinstance(value, dict):
        return [value, *(found for each in value.values() for found in _objects(each))]
    return [found for each in value for found in _objects(each)] if isinstance(value, list) else []


def _repeated(body: dict[str, Any], chosen: dict[str, Any], name: str, layout: Any) -> bytes:  # noqa: ANN401
    """Return the text of a body in which one object has one of its members twice."""
    value, mark = chosen[name], "\ufffemark"
    chosen[mark] = value
    text = json.dumps(body, **layout)
    del chosen[mark]
    written = json.dumps(mark, ensure_ascii=layout["ensure_ascii"])
    return text.replace(written, json.dumps(name, ensure_ascii=layout["ensure_ascii"])).encode()
