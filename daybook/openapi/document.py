"""The document, put together from the table of operations, the shapes and the examples."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from daybook import __version__
from daybook.openapi import codes, examples
from daybook.openapi.answers import Money, Problem, Units
from daybook.openapi.operations import JSON, OPERATIONS, TAGS, Bodies, Operation
from daybook.openapi.parameters import LEDGER, PATH, Parameter
from runtime.problems import STATUS
from web import openapi
from web.openapi import Example
from web.operations import Operation as Declared

Json = dict[str, Any]

PROBLEM = "application/problem+json"
SCHEMAS = "#/components/schemas/{name}"
DESCRIPTION = (
    "An event-sourced double-entry ledger. `docs/http-api.md` says what all routes share; "
    "`docs/how-to/` goes through the jobs one by one."
)
ABOUT = openapi.About(
    title="Daybook",
    version=__version__,
    description=DESCRIPTION,
    license="Apache-2.0",
    server="/api/v1",
    tags=TAGS,
    security="A token is bound to ledgers and to scopes: `read`, `write`, `reconcile`, `repair`, "
    "or `admin`, which is all of them.",
)
_MONEY = "x-money"
_UNITS: Json = {"type": "number", "description": "Exact, in the currency's unit."}
_MINOR: Json = {
    "type": "string",
    "pattern": "^-?[0-9]+$",
    "description": "The same in minor units.",
}
_TITLES = dict(STATUS.values()) | {
    409: "Something is in the way: see the code",
    500: "A bug; nothing happens twice",
}
_GOOD = {200: "Done", 201: "Made", 202: "Accepted, and durable", 503: "It cannot do its work"}
_HEADERS: dict[str, Json] = {
    "Daybook-Position": {
        "description": "Of a write: where its event is. Of a read: the last position it has seen.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "Idempotent-Replayed": {
        "description": "This was done before; this is the same answer again.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "Try again after so many seconds, with the same key.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "WWW-Authenticate": {
        "description": "How to say who is asking.",
        "schema": {"type": "string", "const": "Bearer"},
    },
}


class Shown(NamedTuple):
    """The request or the answer of an example, as text of a media type."""

    media: str
    example: Example
    text: str


def whole(declared: Sequence[Declared]) -> Json:
    """Return the document of all routes: declared operations, and the table of the others."""
    old, new = document(), openapi.document(declared, ABOUT, examples.load())
    for path, methods in new["paths"].items():
        old["paths"].setdefault(path, {}).update(methods)
    known = {
        *old["components"]["schemas"]["Problem"]["properties"]["code"]["enum"],
        *new["components"]["schemas"]["Problem"]["properties"]["code"]["enum"],
    }
    old["components"]["schemas"] |= new["components"]["schemas"]
    old["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] = sorted(known)
    return old


def document() -> Json:
    """Return the document."""
    schemas, components = _schemas()
    told = examples.load()
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        own = [example for example in told if example.operation == operation.name]
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schemas, own)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Daybook",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": _HEADERS,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token is bound to ledgers and to scopes: `read`, `write`, "
                    "`reconcile`, `repair`, or `admin`, which is all of them.",
                }
            },
        },
    }


def _operation(operation: Operation, schemas: "_Schemas", told: Sequence[Example]) -> Json:
    made: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": [{"token": [operation.scope]}] if operation.scope else [],
    }
    parameters = [_parameter(each, told) for each in parameters_of(operation)]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        bodies = [
            Shown(example.media or next(iter(operation.body)), example, example.request)
            for example in told
            if example.request is not None
        ]
        made["requestBody"] = {
            "required": operation.body_required,
            "content": _content(operation.body, schemas, bodies),
        }
    made["responses"] = _responses(operation, schemas, told)
    return made


def parameters_of(operation: Operation) -> list[Parameter]:
    """Return the parameters of an operation: its path's, its own, and the ledger."""
    found = [PATH[name] for name in re.findall(r"{(\w+)}", operation.path)]
    return [*found, *operation.parameters, *([LEDGER] if operation.scope else [])]


def problems_of(operation: Operation) -> dict[int, list[str]]:
    """Return the codes of the problems that an operation may answer, by status."""
    if operation.scope is None:
        return {}
    return codes.by_status(operation.problems | codes.ACCESS | codes.ALWAYS)


def _parameter(parameter: Parameter, told: Sequence[Example]) -> Json:
    made: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.required:
        made["required"] = True
    given = {
        example.name: {"value": _typed(parameter, example.parameters[parameter.name])}
        for example in told
        if parameter.name in example.parameters
    }
    return made | ({"examples": given} if given else {})


def _typed(parameter: Parameter, text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a parameter's value as its schema has it."""
    return text if parameter.schema["type"] == "string" else msgspec.json.decode(text)


def _responses(operation: Operation, schemas: "_Schemas", told: Sequence[Example]) -> Json:
    made: Json = {}
    for status, bodies in operation.answers.items():
        own = [
            Shown(example.answer_media or next(iter(bodies)), example, example.answer)
            for example in told
            if example.status == status
        ]
        made[str(status)] = {
            "description": _GOOD[status],
            **_headers(_headers_of(operation, status)),
            "content": _content(bodies, schemas, own),
        }
    for status, known in problems_of(operation).items():
        own = [
            Shown(PROBLEM, example, example.answer) for example in told if example.status == status
        ]
        made[str(status)] = {
            "description": _TITLES[status],
            **_headers(_headers_of(operation, status)),
            "content": _content({PROBLEM: known}, schemas, own),
        }
    return made


def _headers_of(operation: Operation, status: int) -> list[str]:
    names = []
    keyed = "idempotency_key_missing" in operation.problems
    if operation.scope and status < 300 and operation.tag != "The service":  # noqa: PLR2004
        names.append("Daybook-Position")
    if keyed and status in (200, 202, 422, 409):
        names.append("Idempotent-Replayed")
    match status:
        case 401:
            names.append("WWW-Authenticate")
        case 503 if operation.scope:
            names.append("Retry-After")
    return names


def _headers(names: Iterable[str]) -> Json:
    made = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"headers": made} if made else {}


def _content(bodies: Bodies, schemas: "_Schemas", told: Iterable[Shown]) -> Json:
    """Return the shapes of a body by media type, each with its examples."""
    made: Json = {}
    for media, shape in bodies.items():
        own = {
            shown.example.name: {
                "summary": shown.example.summary,
                "value": _value(media, shown.text),
            }
            for shown in told
            if shown.media == media
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

    def __init__(self, by_shape: Mapping[Any, Json]) -> None:
        self._by_shape = by_shape

    def of(self, shape: Any) -> Json:  # noqa: ANN401 - a type, or codes
        """Return the schema of a shape, of any of some, or of a problem with one of some codes."""
        if isinstance(shape, tuple):
            return {"anyOf": [self.of(each) for each in shape]}
        if isinstance(shape, list):
            known = {"properties": {"code": {"enum": shape}}}
            return {"allOf": [{"$ref": SCHEMAS.format(name=Problem.__name__)}, known]}
        return self._by_shape[shape]


def _schemas() -> tuple[_Schemas, Json]:
    """Return the schemas of all shapes, and the components that they refer to."""
    shapes = list(
        dict.fromkeys(
            shape
            for operation in OPERATIONS
            for bodies in (operation.body or {}, *operation.answers.values())
            for body in bodies.values()
            for shape in (body if isinstance(body, tuple) else (body,))
        )
    )
    made, components = msgspec.json.schema_components(
        [*shapes, Problem], schema_hook=_custom, ref_template=SCHEMAS
    )
    for name, component in components.items():
        components[name] = _twice(component)
    known = codes.FRAMEWORK | {code for each in OPERATIONS for code in all_codes(each)}
    components[Problem.__name__]["properties"]["code"]["enum"] = sorted(known)
    return _Schemas(dict(zip(shapes, made, strict=False))), components


def all_codes(operation: Operation) -> set[str]:
    """Return every code that an operation may answer with."""
    return {code for known in problems_of(operation).values() for code in known}


def _custom(kind: type) -> Json:
    custom: dict[type, Json] = {Money: {_MONEY: True}, Units: _UNITS}
    return custom[kind]


def _twice(component: Json) -> Json:
    """Return an object's schema with every amount in it as two properties."""
    properties: Json = {}
    required = list(component.get("required", ()))
    for name, schema in component.get("properties", {}).items():
        choices = schema.get("anyOf", [schema])
        if {_MONEY: True} not in choices:
            properties[name] = schema
            continue
        null = ["null"] if {"type": "null"} in choices else []
        for twin, amount in ((name, _UNITS), (f"{name}_minor", _MINOR)):
            properties[twin] = amount | {
                "type": [amount["type"], *null] if null else amount["type"]
            }
        if name in required:
            required.append(f"{name}_minor")
    if "properties" not in component:
        return component
    # The docstring's line breaks are the source's.
    text = " ".join(component.get("description", "").split())
    made = component | {"properties": properties, "required": required}
    return made | ({"description": text} if text else {})
