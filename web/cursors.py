"""Opaque keyset cursors: each names a place in a list, and never counts the rows before it.

A cut lies between two neighbouring keys of a list: the rows below it have lesser keys, and the rows
above it have its own key or greater ones. A cursor is a cut and the direction in which a page goes
on from it. Two pages that go on from one cut in both directions share no row, and leave none out.
"""

import base64
import binascii
import re
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from runtime.problems import Invalid

# Integers or text, as the key of the list is.
Cut = tuple[Any, ...]

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(tuple[str, bool, tuple[int | str, ...]])
_TEXT = re.compile(r"[ -~]{0,130}", re.ASCII)
LIMIT_DEFAULT = 50
LIMIT_MAX = 500
BIGGEST = 2**63 - 1
LINE_MAX = 2**15 - 1
# The two parameters of every list.
Limit = Annotated[
    int,
    Meta(ge=1, le=LIMIT_MAX, description="How many items.", extra={"code": "limit_invalid"}),
]
CursorText = Annotated[
    str,
    Meta(
        description="The `next` or `previous` of a page, sent with the same filters.",
        extra={"code": "cursor_invalid"},
    ),
]


class Cursor(NamedTuple):
    """A page goes on from `cut`: `up` to greater keys, or down to lesser ones."""

    up: bool
    cut: Cut


def encode(name: str, cursor: Cursor) -> str:
    """Return `cursor` of the list `name`, as text that needs no escape in a URL."""
    return base64.urlsafe_b64encode(_ENCODER.encode((name, *cursor))).decode().rstrip("=")


def decode(text: str, name: str, example: Cut) -> Cursor:
    """Return the cursor in `text`, whose cut has the types of `example`. Raises Invalid."""
    try:
        named, up, cut = _DECODER.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError) as error:
        raise _not_ours() from error
    if named != name or [*map(type, cut)] != [*map(type, example)] or not all(map(_sound, cut)):
        raise _not_ours()
    return Cursor(up, cut)


def above(key: Cut) -> Cut:
    """Return the lowest cut above the row of `key`."""
    *parts, last = key
    # No id holds a space, and every character that an id may hold is greater.
    return (*parts, last + 1 if isinstance(last, int) else last + " ")


def _sound(part: int | str) -> bool:
    if isinstance(part, str):
        return _TEXT.fullmatch(part) is not None
    return 0 <= part <= BIGGEST


def _not_ours() -> Invalid:
    return Invalid(
        "cursor_invalid",
        "`cursor` must be the `next` or `previous` of a page of this list.",
        field="cursor",
    )
