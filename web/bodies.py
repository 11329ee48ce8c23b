"""Bodies of requests: read whole or line by line, always bounded, and decoded strictly."""

import json
import re
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Protocol, TypeVar

import msgspec
from litestar.types import Receive
from msgspec import inspect

from runtime.problems import Invalid, TooLarge

Shape = TypeVar("Shape")
_ENCODER = msgspec.json.Encoder()
_WHITE_SPACE = b" \t\r\n"
_SHORTEST = (
    inspect.NoneType,
    inspect.BoolType,
    inspect.IntType,
    inspect.StrType,
    inspect.EnumType,
    inspect.LiteralType,
    inspect.RawType,
)
# Every string of a JSON text, and whether a colon follows: then it is a member's name.
_STRINGS = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?')


class Incoming(Protocol):
    """A request whose body can be received."""

    @property
    def receive(self) -> Receive:
        """Return ASGI's `receive`."""


async def read_body(request: Incoming, bytes_max: int) -> bytes:
    """Return the whole body. Raises TooLarge before more than `bytes_max` are kept, Invalid."""
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise Invalid("body_incomplete", "The request ended before its body did.")
        body += message.get("body", b"")
        if len(body) > bytes_max:
            raise TooLarge(
                "body_too_large", f"The request body may have at most {bytes_max} bytes."
            )
        if not message.get("more_body"):
            return bytes(body)


async def read_lines(request: Incoming, line_bytes_max: int) -> AsyncIterator[bytes]:
    """Yield the body's lines as they arrive, without the blank ones.

    Raises TooLarge before more than `line_bytes_max` of a line are kept, Invalid.
    """
    rest = b""
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise Invalid("body_incomplete", "The request ended before its body did.")
        more = message.get("more_body", False)
        *lines, rest = (rest + message.get("body", b"")).split(b"\n")
        if not more:
            lines.append(rest)
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > line_bytes_max:
            raise TooLarge("body_too_large", f"A line may have at most {line_bytes_max} bytes.")


def decode(body: bytes, decoder: msgspec.json.Decoder[Shape]) -> Shape:
    """Return `body` in the decoder's shape, without repeated members.

    Raises Invalid that names the field.
    """
    decoded = shaped(body, decoder)
    if not (is_shortest(decoder.type) and _is_all(body, decoded)):  # type: ignore[arg-type]
        check_members(body)
    return decoded


def shaped(body: bytes, decoder: msgspec.json.Decoder[Shape]) -> Shape:
    """Return `body` in the decoder's shape; of repeated members, the last one counts.

    Raises Invalid that names the field.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        place = where.strip("`").removeprefix("$.")
        detail = f"{place}: {what}" if place else what
        raise Invalid("body_invalid", detail, field=place or None) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("body_not_json", f"The body is not JSON: {error}") from error


def _is_all(body: bytes, decoded: object) -> bool:
    """Return whether `body` says no more than `decoded`, so that no member is repeated.

    The JSON of `decoded` is the shortest that means the same, but for white space: what a repeated
    member adds makes `body` longer. This takes a fraction of the time of looking at every name.
    """
    shortest = _ENCODER.encode(decoded)
    if len(shortest) == len(body):
        return True
    return len(shortest.translate(None, _WHITE_SPACE)) == len(body.translate(None, _WHITE_SPACE))


@cache
def is_shortest(shape: Any) -> bool:  # noqa: ANN401 - any annotation
    """Return whether the JSON of a value of this shape is the shortest that decodes to it.

    All structs must omit their defaults, because JSON of a member that was not sent could be as
    long as a repeated one. The other types must have no text that is shorter than JSON's own.
    """
    return _all_shortest(inspect.type_info(shape))


def _all_shortest(info: inspect.Type) -> bool:
    match info:
        case inspect.StructType():
            return info.cls.__struct_config__.omit_defaults and all(
                field.default_factory in (list, dict, msgspec.NODEFAULT)
                and _all_shortest(field.type)
                for field in info.fields
            )
        case inspect.UnionType():
            return all(map(_all_shortest, info.types))
        case inspect.ListType():
            return _all_shortest(info.item_type)
        case inspect.VarTupleType():
            return _all_shortest(info.item_type)
        case inspect.DictType():
            return _all_shortest(info.key_type) and _all_shortest(info.value_type)
        case inspect.Metadata():
            return _all_shortest(info.type)
        case _:
            return isinstance(info, _SHORTEST)


def check_members(body: bytes) -> None:
    """Raise Invalid if an object of this JSON text has two members of the same name.

    A decoder takes the last one, and a reader may have meant the first. Most texts have no name
    twice; only where one occurs again, perhaps in another object, each object is looked at.
    """
    names = [name for name, colon in _STRINGS.findall(body) if colon]
    if len(set(names)) < len(names) or any(b"\\" in name for name in names):
        json.loads(body, object_pairs_hook=_members)


def _members(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            detail = f"An object of the body has the member `{name}` twice."
            raise Invalid("member_repeated", detail, field=name)
        names.add(name)
