"""The OpenAPI 3.1 document, made of nothing but the declared operations and their examples.

Schemas come from msgspec, which also parses the requests: what the document says and what is
accepted cannot differ (decision 0026).
"""

from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec import NODEFAULT, Struct

from runtime.problems import STATUS
from web.answers import POSITION
from web.failures import OTHER_CODE, ROUTER_CODES, Problem
from web.media import JSON, PROBLEM
from web.operations import Operation
from web.parameters import MEMBERS_MAX, Parameter, Reader

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/{name}"
KEYED = "Idempotent-Replayed"
LEDGER: Json = {
    "name": "Daybook-Ledger",
    "in": "header",
    "description": "Which ledger; needed if the token has several.",
    "schema": {"type": "string"},
}
# What the server itself refuses, before any operation is found (`web/protocol.py`).
_PROTOCOL_CODES = (
    *("request_malformed", "host_invalid", "head_too_large", "target_too_long"),
    *("request_too_slow", "expectation_unknown", "transfer_coding_unknown"),
    *("too_many_connections", "too_many_bodies"),
)
_TITLES = dict(STATUS.values()) | {
    409: "Something is in the way: see the code",
    500: "A bug; nothing happens twice",
}
_GOOD = {200: "Done", 201: "Made", 202: "Accepted, and durable", 503: "It cannot do its work"}
_HEADERS: dict[str, Json] = {
    POSITION: {
        "description": "Of a write: where its event is. Of a read: the last position it has seen.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    KEYED: {
        "description": "The command was done before; this is its first answer again.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "Try again after so many seconds, with the same key.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "WWW-Authenticate": {
        "description": "How a client says who it is.",
        "schema": {"type": "string", "const": "Bearer"},
    },
}


class Example(Struct, frozen=True, kw_only=True):
    """A request to `operation`, and the answer; both as the text that travels.

    `parameters` are of the path, the query and the headers. `media` and `answer_media` are the
    operation's usual ones if they are not named.
    """

    operation: str
    name: str
    summary: str
    status: int
    parameters: Mapping[str, str] = {}
    media: str | None = None
    request: str | None = None
    answer_media: str | None = None
    answer: str = ""


class About(Struct, frozen=True):
    """What the document says of the API as a whole."""

    title: str
    version: str
    description: str
    license: str
    server: str
    tags: Mapping[str, str]
    security: str


class _Shown(NamedTuple):
    """The request or the answer of an example, as text of a media type."""

    media: str
    example: Example
    text: str


def document(
    operations: Sequence[Operation], about: About, examples: Sequence[Example] = ()
) -> Json:
    """Return the document, ready to be encoded as JSON."""
    schemas = _Schemas(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        own = [example for example in examples if example.operation == operation.name]
        path = paths.setdefault(operation.path.replace(":path}", "}"), {})
        path[operation.method.lower()] = _operation(operation, schemas, own)
    codes = {*ROUTER_CODES.values(), OTHER_CODE, *_PROTOCOL_CODES}
    codes |= {code for each in operations for known in each.problems.values() for code in known}
    schemas.components["Problem"]["properties"]["code"]["enum"] = sorted(codes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": about.version,
            "description": about.description,
            "license": {"name": about.license, "identifier": about.license},
        },
        "servers": [{"url": about.server}],
        "tags": [{"name": name, "description": text} for name, text in about.tags.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": _HEADERS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": about.security}
            },
        },
    }


def _operation(operation: Operation, schemas: "_Schemas", examples: Sequence[Example]) -> Json:
    made: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.description:
        made["description"] = operation.description
    made["security"] = [{"token": [operation.scope]}] if operation.scope else []
    parameters = [
        _parameter(reader, parameter, schemas, examples)
        for reader in operation.readers
        for parameter in reader.parameters
    ]
    if operation.scope:
        parameters.append(LEDGER)
    if parameters:
        made["parameters"] = parameters
    if operation.reads:
        shown = [
            _Shown(example.media or next(iter(operation.reads)), example, example.request)
            for example in examples
            if example.request is not None
        ]
        made["requestBody"] = {
            "required": operation.body_required,
            "content": _content(operation.reads, schemas, shown),
        }
    made["responses"] = _responses(operation, schemas, examples)
    return made


def _parameter(
    reader: Reader, parameter: Parameter, schemas: "_Schemas", examples: Iterable[Example]
) -> Json:
    schema = schemas.of(parameter.type)
    for meta in getattr(parameter.type, "__metadata__", ()):
        # A parser's own text comes before what msgspec says of the value, such as its type.
        schema |= meta.extra_json_schema or {}
    made: Json = {"name": parameter.name, "in": reader.place}
    if description := schema.pop("description", ""):
        made["description"] = description
    if parameter.required:
        made["required"] = True
    elif parameter.default not in (None, msgspec.UNSET, NODEFAULT) and not parameter.members:
        schema["default"] = msgspec.to_builtins(parameter.default)
    if parameter.members:
        made |= {"style": "deepObject", "explode": True}
        schema |= {"propertyNames": {"minLength": 1}, "maxProperties": MEMBERS_MAX}
    elif schema.get("type") == "array":
        made |= {"style": "form", "explode": False}  # Separated by commas.
    made["schema"] = schema
    told = {
        example.name: {"value": _typed(schema, example.parameters[parameter.name])}
        for example in examples
        if parameter.name in example.parameters
    }
    return made | ({"examples": told} if told else {})


def _typed(schema: Json, text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a parameter's value as its schema has it."""
    return msgspec.json.decode(text) if schema.get("type") in ("integer", "boolean") else text


def _responses(operation: Operation, schemas: "_Schemas", examples: Sequence[Example]) -> Json:
    made: Json = {}
    for status, shapes in operation.answers.items():
        shown = [
            _Shown(example.answer_media or next(iter(shapes)), example, example.answer)
            for example in examples
            if example.status == status
        ]
        made[str(status)] = {
            "description": _GOOD[status],
            **_headers(operation.gives if status < 300 else ()),  # noqa: PLR2004
            "content": _content(shapes, schemas, shown),
        }
    for status, codes in operation.problems.items():
        shown = [
            _Shown(PROBLEM, example, example.answer)
            for example in examples
            if example.status == status
        ]
        headers = [KEYED] if KEYED in operation.gives and status in (409, 422) else []
        headers += {401: ["WWW-Authenticate"], 503: ["Retry-After"]}.get(status, [])
        answer = made.setdefault(str(status), {"description": _TITLES[status], "content": {}})
        answer |= _headers(headers)
        answer["content"] |= _content({PROBLEM: [*codes]}, schemas, shown)
    return made


def _headers(names: Iterable[str]) -> Json:
    made = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"headers": made} if made else {}


def _content(shapes: Mapping[str, Any], schemas: "_Schemas", shown: Iterable[_Shown]) -> Json:
    """Return the shapes of a body by media type, each with its examples."""
    made: Json = {}
    for media, shape in shapes.items():
        own = {
            each.example.name: {
                "summary": each.example.summary,
                "value": _value(media, each.text),
            }
            for each in shown
            if each.media == media
        }
        made[media] = {"schema": schemas.of(shape)} | ({"examples": own} if own else {})
    return made


def _value(media: str, text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return an example as it is shown: numbers with just the digits that they have."""
    if media in (JSON, PROBLEM):
        return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    return text


class _Schemas:
    """The schema of each shape: a reference, or what it is made of."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        shapes = list(dict.fromkeys(shape for each in operations for shape in _shapes(each)))
        made, self.components = msgspec.json.schema_components(
            [*shapes, Problem], schema_hook=_custom, ref_template=SCHEMAS
        )
        self._by_shape = dict(zip(shapes, made, strict=False))
        for component in self.components.values():
            # The docstring's line breaks are the source's.
            if "description" in component:
                component["description"] = " ".join(component["description"].split())

    def of(self, shape: Any) -> Json:  # noqa: ANN401 - a type, or codes
        """Return the schema of a shape, or of a problem with one of some codes."""
        if isinstance(shape, list):
            known = {"properties": {"code": {"enum": shape}}}
            return {"allOf": [{"$ref": SCHEMAS.format(name="Problem")}, known]}
        if shape is bytes:
            return {"type": "string", "format": "binary"}
        if shape in self._by_shape:
            return dict(self._by_shape[shape])
        return {"anyOf": [self.of(each) for each in get_args(shape)]}


def _shapes(operation: Operation) -> Iterable[Any]:
    for shapes in (operation.reads, *operation.answers.values()):
        yield from (each for shape in shapes.values() for each in _parts(shape))
    for reader in operation.readers:
        yield from (parameter.type for parameter in reader.parameters)


def _parts(shape: Any) -> Sequence[Any]:  # noqa: ANN401 - any annotation
    """Return the shapes that an answer may have: msgspec has no unions of untagged structs."""
    if shape is bytes:
        return []
    return get_args(shape) if isinstance(shape, UnionType) else [shape]


def _custom(kind: type) -> Json:
    """Return the schema of a type that msgspec does not know: its own `Meta` says it all."""
    del kind
    return {}
