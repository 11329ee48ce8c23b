"""Parameters of the path, the query and the headers, declared as msgspec Structs.

    class Paging(Struct, frozen=True, kw_only=True):
        limit: Limit = 50                      # `?limit=20`
        cursor: str | None = None              # not required
        type_: Kind | None = field(name="type", default=None)
        metadata: dict[str, str] = {}          # `?metadata.KEY=VALUE` or `?metadata[KEY]=VALUE`

A field's type says how its text is read: str, int, bool, UUID, an enum or a Literal. Anything else
names its own parser. `msgspec.Meta` bounds and describes it, and `Meta(extra=…)` may hold

    code        the problem's code if the text is refused or missing; without one it is
                `parameter_invalid` or `parameter_missing`
    parse       a function (text, name) -> value that raises Invalid

From the same Struct come the parsing (`Reader`) and the OpenAPI document (`web/openapi.py`).
"""

import re
import types
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from msgspec import NODEFAULT, Meta, Struct, UnsetType

from runtime.problems import Invalid

Place = Literal["path", "query", "header"]
Parse = Callable[[str, str], Any]

PARAMETERS_MAX = 100
MEMBERS_MAX = 20
INVALID = "parameter_invalid"
MISSING = "parameter_missing"
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_MEMBER = re.compile(r"(?P<name>[^.\[\]]+)(?:\.(?P<dotted>.+)|\[(?P<bracketed>.+)\])", re.DOTALL)


class Parameter(NamedTuple):
    """One field of a Struct of parameters."""

    attribute: str
    name: str
    type: Any
    code: str
    parse: Parse
    default: Any
    members: bool
    description: str

    @property
    def required(self) -> bool:
        """Return whether a request must have it."""
        return self.default is NODEFAULT


class Reader:
    """Reads parameters of one place into a Struct."""

    def __init__(self, struct: type[Struct], place: Place) -> None:
        self.struct = struct
        self.place = place
        self.parameters = tuple(_parameters(struct, place))
        self._by_name = {
            each.name.lower() if place == "header" else each.name: each for each in self.parameters
        }
        required = any(each.required for each in self.parameters)
        # Most requests send no parameters at all, and a frozen Struct can be shared.
        self._nothing = None if required else struct()

    def query(self, query_string: bytes) -> Struct:
        """Return what a query string says. Raises Invalid; what is unknown or repeated is."""
        if not query_string and self._nothing is not None:
            return self._nothing
        return self.named(query_pairs(query_string))

    def named(self, pairs: Iterable[tuple[str, str]]) -> Struct:
        """Return what names and their texts say. Raises Invalid."""
        values: dict[str, Any] = {}
        for name, text in pairs:
            parameter = self._by_name.get(name)
            if parameter is not None and not parameter.members:
                if parameter.attribute in values:
                    raise repeated(name)
                values[parameter.attribute] = parameter.parse(text, name)
            else:
                self._member(values, name, text)
        return self._made(values)

    def headers(self, headers: Mapping[str, str]) -> Struct:
        """Return what headers say; names in `headers` are in lower case. Raises Invalid."""
        values = {}
        for name, parameter in self._by_name.items():
            text = headers.get(name)
            if text is not None:
                values[parameter.attribute] = parameter.parse(text, parameter.name)
        if not values and self._nothing is not None:
            return self._nothing
        return self._made(values)

    def path(self, segments: Mapping[str, str]) -> Struct:
        """Return what the variable segments of a path say. Raises Invalid."""
        return self._made(
            {each.attribute: each.parse(segments[each.name], each.name) for each in self.parameters}
        )

    def codes(self) -> set[str]:
        """Return the codes with which parameters of this Struct are refused."""
        return {each.code for each in self.parameters}

    def _member(self, values: dict[str, Any], name: str, text: str) -> None:
        match = _MEMBER.fullmatch(name)
        parameter = None if match is None else self._by_name.get(match["name"])
        if match is None or parameter is None or not parameter.members:
            raise unknown(name)
        members = values.setdefault(parameter.attribute, {})
        key = match["dotted"] or match["bracketed"]
        if key in members:
            raise repeated(name)
        if len(members) == MEMBERS_MAX:
            detail = f"At most {MEMBERS_MAX} parameters `{parameter.name}.KEY` can be given."
            raise Invalid(parameter.code, detail, field=name)
        members[_text(key, name)] = _text(text, name)

    def _made(self, values: dict[str, Any]) -> Struct:
        for each in self.parameters:
            if each.required and each.attribute not in values:
                detail = f"The {self.place} parameter `{each.name}` is missing. {each.description}"
                code = MISSING if each.code == INVALID else each.code
                raise Invalid(code, detail.rstrip(), field=each.name)
        return self.struct(**values)


def query_pairs(query_string: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query string, decoded. Raises Invalid."""
    try:
        return parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError as error:
        detail = f"The query must be percent-encoded UTF-8 of at most {PARAMETERS_MAX} parameters."
        raise Invalid("query_invalid", detail) from error


def refuse_all(query_string: bytes) -> None:
    """Raise Invalid if there is any parameter, for a route that has none."""
    if query_string:
        for name, _ in query_pairs(query_string):
            raise unknown(name)


def unknown(name: str) -> Invalid:
    """Return the refusal of a parameter that the route does not have."""
    return Invalid("parameter_unknown", f"This route has no parameter `{name}`.", field=name)


def repeated(name: str) -> Invalid:
    """Return the refusal of a parameter that was given twice."""
    return Invalid("parameter_repeated", f"`{name}` is given twice.", field=name)


def _parameters(struct: type[Struct], place: Place) -> Iterable[Parameter]:
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        type_, metas = _unwrapped(hints[field.name])
        extra = {key: value for meta in metas for key, value in (meta.extra or {}).items()}
        name = field.encode_name
        if place == "header" and name == field.name:
            name = "-".join(part.capitalize() for part in name.split("_"))
        code = extra.get("code", INVALID)
        default = field.default
        if field.default_factory is not NODEFAULT:
            default = field.default_factory()
        bare = _bare(type_)
        members = get_origin(bare) is dict
        parse = extra.get("parse") or _parse_of(bare, type_, code)
        description = next((meta.description for meta in metas if meta.description), "")
        yield Parameter(field.name, name, type_, code, parse, default, members, description)


def _unwrapped(hint: Any) -> tuple[Any, list[Meta]]:  # noqa: ANN401 - any annotation
    """Return a field's type without None and UNSET, and all `Meta` of it, the outermost first."""
    metas: list[Meta] = []
    while True:
        if get_origin(hint) is Annotated:
            hint_metas = [meta for meta in hint.__metadata__ if isinstance(meta, Meta)]
            metas += hint_metas
            inner = get_args(hint)[0]
            if get_origin(inner) not in (Union, types.UnionType, Annotated):
                return hint, metas
            if not _optional(inner):
                return hint, metas
            hint = inner
        elif get_origin(hint) in (Union, types.UnionType) and _optional(hint):
            rest = [each for each in get_args(hint) if each not in (types.NoneType, UnsetType)]
            hint = rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007 - at run time
        else:
            return hint, metas


def _optional(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    return any(each in (types.NoneType, UnsetType) for each in get_args(hint))


def _bare(hint: Any) -> Any:  # noqa: ANN401 - any annotation
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def _parse_of(bare: Any, type_: Any, code: str) -> Parse:  # noqa: ANN401 - any annotation
    """Return how the text of a parameter of a simple type is read."""
    if bare is int:
        return lambda text, name: _converted(_integer(text, name, code), type_, name, code)
    if bare is bool:
        return lambda text, name: _boolean(text, name, code)
    return lambda text, name: _converted(_text(text, name), type_, name, code)


def _converted(value: Any, type_: Any, name: str, code: str) -> Any:  # noqa: ANN401
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise Invalid(code, f"`{name}`: {_reason(error, type_)}", field=name) from error


def _reason(error: msgspec.ValidationError, type_: Any) -> str:  # noqa: ANN401
    bare = _bare(type_)
    if get_origin(bare) is Literal:
        return f"must be one of {', '.join(get_args(bare))}."
    if isinstance(bare, type) and issubclass(bare, StrEnum):
        return f"must be one of {', '.join(bare)}."
    return f"{error}."


def _integer(text: str, name: str, code: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise Invalid(code, f"`{name}` takes a whole number of at most 19 digits.", field=name)
    return int(text)


def _boolean(text: str, name: str, code: str) -> bool:
    if text not in ("true", "false"):
        raise Invalid(code, f"`{name}` is true or false.", field=name)
    return text == "true"


def _text(text: str, name: str) -> str:
    if "\x00" in text:
        raise Invalid("control_character", f"`{name}` holds a control character.", field=name)
    return text
