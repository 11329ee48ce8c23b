"""An operation takes what it declares, refuses everything else, and describes itself."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar
from msgspec import Meta, Struct, field

from runtime.problems import Invalid
from web import openapi
from web.answers import Answer, Reply
from web.direct import Direct
from web.endpoints import endpoints, route
from web.failures import EXCEPTION_HANDLERS
from web.media import JSON
from web.operations import operation


class Color(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


def _even(text: str, name: str) -> int:
    if not text.isdigit() or int(text) % 2:
        raise Invalid("odd", f"`{name}` must be even.", field=name)
    return int(text)


class Search(Struct, frozen=True, kw_only=True):
    """All kinds of query parameters."""

    limit: Annotated[int, Meta(ge=1, le=500, extra={"code": "limit_invalid"})] = 50
    color: Color | None = None
    class_: str | None = field(name="class", default=None)
    exact: bool = False
    even: Annotated[int | None, Meta(extra={"parse": _even, "code": "odd"})] = None
    metadata: dict[str, str] = field(default_factory=dict)


class OfThing(Struct, frozen=True):
    """A thing."""

    thing_id: UUID


class Needed(Struct, frozen=True):
    """A header and its kinds."""

    idempotency_key: Annotated[str, Meta(description="The key.", max_length=5)]


class Found(Struct):
    """What was asked for."""

    asked: dict[str, Any]


class Thing(Struct, forbid_unknown_fields=True):
    """A thing to make."""

    name: Annotated[str, Meta(max_length=3)]
    inner: "Thing | None" = None


class Other(Struct):
    """A shape that nobody declared."""


@operation("GET", "/search", name="search", tag="t", answers={200: Found})
async def search(query: Search) -> Reply:
    """Search for things."""
    return Reply(Found(msgspec.to_builtins(query)), position=7)


@operation("GET", "/things/{thing_id}", name="thing", tag="t", answers={200: Found})
async def thing(path: OfThing) -> Reply:
    """Return a thing."""
    return Reply(Found({"id": str(path.thing_id)}))


@operation("POST", "/things", name="make", tag="t", answers={201: Thing})
async def make(headers: Needed, body: Thing) -> Reply:
    """Make a thing."""
    del headers
    return Reply(body, 201)


@operation("GET", "/plain", name="plain", tag="t", answers={200: {JSON: Found, "text/csv": str}})
async def plain(media: str) -> Answer:
    """Answer in two ways."""
    return Answer(media.encode(), media_type=media)


@operation("GET", "/wrong", name="wrong", tag="t", answers={200: Found})
async def wrong() -> Reply:
    """Answer with what was not declared."""
    return Reply(Other())


OPERATIONS = [search, thing, make, plain, wrong]
KEY = {"Idempotency-Key": "k"}
JSON_TYPE = {"Content-Type": JSON}
THING = b'{"name": "abc"}'
ID = "00000000-0000-4000-8000-000000000000"


class Settings(Struct):
    """What bodies are bounded by."""

    body_bytes_max: int = 100


@pytest.fixture
async def http() -> Any:  # noqa: ANN401 - a fixture
    """Return a client of the operations above."""
    found = endpoints(OPERATIONS)
    app = Litestar(
        [route(each) for each in found],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    app.state.endpoints = {each.path: each for each in found}
    app.state.settings = Settings()
    transport = httpx.ASGITransport(Direct(app))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        yield client


@pytest.mark.parametrize(
    "query, asked",
    [
        ("", {}),
        ("limit=500", {"limit": 500}),
        ("color=red&class=a%20b", {"color": "red", "class": "a b"}),
        ("exact=true&even=4", {"exact": True, "even": 4}),
        ("metadata.a=1&metadata[b.c]=2", {"metadata": {"a": "1", "b.c": "2"}}),
        ("class=", {"class": ""}),
    ],
)
async def test_a_query_is_read(http: httpx.AsyncClient, query: str, asked: dict[str, Any]) -> None:
    """By the types of the Struct, which fills in what is not there."""
    answer = await http.get(f"/search?{query}")
    nothing = {"limit": 50, "color": None, "class": None, "exact": False, "even": None}
    assert answer.json() == {"asked": nothing | {"metadata": {}} | asked}
    assert answer.headers["Daybook-Position"] == "7"


@pytest.mark.parametrize(
    "query, code, named",
    [
        ("foo=1", "parameter_unknown", "foo"),
        ("Limit=1", "parameter_unknown", "Limit"),
        ("limit", "limit_invalid", "limit"),
        ("limit=1&limit=1", "parameter_repeated", "limit"),
        ("limit=0", "limit_invalid", "limit"),
        ("limit=+1", "limit_invalid", "limit"),
        ("limit=1_0", "limit_invalid", "limit"),
        ("limit=\u0661", "limit_invalid", "limit"),
        ("limit=99999999999999999999", "limit_invalid", "limit"),
        ("color=Red", "parameter_invalid", "color"),
        ("exact=1", "parameter_invalid", "exact"),
        ("even=3", "odd", "even"),
        ("class=%00", "control_character", "class"),
        ("class=%ff", "query_invalid", None),
        ("metadata=1", "parameter_unknown", "metadata"),
        ("metadata.=1", "parameter_unknown", "metadata."),
        ("metadata.a=1&metadata[a]=2", "parameter_repeated", "metadata[a]"),
        ("limit.a=1", "parameter_unknown", "limit.a"),
        ("&".join(f"metadata.k{n}=1" for n in range(21)), "parameter_invalid", "metadata.k20"),
        ("&".join(f"a{n}=1" for n in range(101)), "query_invalid", None),
    ],
)
async def test_a_query_is_refused(
    http: httpx.AsyncClient, query: str, code: str, named: str | None
) -> None:
    """With the code of the parameter, and its name."""
    answer = await http.get(f"/search?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json().get("field") == named


@pytest.mark.parametrize("path", [f"/things/{ID}?x=1", "/plain?x=1", "/wrong?x=1"])
async def test_a_route_without_parameters_refuses_all(http: httpx.AsyncClient, path: str) -> None:
    """Also one that does not look at its query."""
    assert (await http.get(path)).json()["code"] == "parameter_unknown"


@pytest.mark.parametrize(
    "headers, body, status, code",
    [
        (KEY, THING, 201, None),
        (KEY, b'{"name": "a", "inner": {"name": "b"}}', 201, None),
        (KEY | {"Content-Type": 'Application/JSON; Charset="UTF-8"'}, THING, 201, None),
        (KEY | {"Content-Type": "application/x-www-form-urlencoded"}, THING, 201, None),
        (KEY | {"Content-Type": "text/csv"}, THING, 415, "media_type_unsupported"),
        (KEY | {"Content-Type": "json"}, THING, 415, "media_type_unsupported"),
        (KEY | {"Content-Type": "application/json; charset=utf-16"}, THING, 415,
         "media_type_unsupported"),
        (KEY | {"Content-Encoding": "gzip"}, THING, 415, "content_coding_unsupported"),
        (KEY | {"Accept": "text/html"}, THING, 406, "not_acceptable"),
        (KEY | {"Accept": "text/html, */*;q=0"}, THING, 406, "not_acceptable"),
        ({}, THING, 400, "parameter_missing"),
        ({"Idempotency-Key": "toolong"}, THING, 400, "parameter_invalid"),
        (KEY, b'{"name": "a", "name": "b"}', 400, "member_repeated"),
        (KEY, b'{"name": "a", "\\u006eame": "b"}', 400, "member_repeated"),
        (KEY, b'{"name": "a", "inner": {"name": "b", "name": "c"}}', 400, "member_repeated"),
        (KEY, b'{"name": "a", "other": 1}', 400, "body_invalid"),
        (KEY, b'{"name": "abcd"}', 400, "body_invalid"),
        (KEY, b'{"name": ":"', 400, "body_not_json"),
        (KEY, b"", 400, "body_not_json"),
        (KEY, b'{"name": "%s"}' % (b"a" * 100), 413, "body_too_large"),
    ],
)  # fmt: skip
async def test_a_body_is_read_or_refused(
    http: httpx.AsyncClient, headers: dict[str, str], body: bytes, status: int, code: str | None
) -> None:
    """By its media type, its coding, its size and its shape."""
    answer = await http.post("/things", content=body, headers=headers)
    assert (answer.status_code, answer.json().get("code")) == (status, code)


async def test_a_header_with_one_value_may_not_be_sent_twice(http: httpx.AsyncClient) -> None:
    """Not even with the same value."""
    headers = [("Idempotency-Key", "k"), ("Idempotency-Key", "k")]
    answer = await http.post("/things", content=THING, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "header_repeated")
    assert answer.json()["field"] == "Idempotency-Key"


async def test_a_body_that_no_route_takes_is_refused(http: httpx.AsyncClient) -> None:
    """Nothing of a request is ignored."""
    for body in (b"x", b"[]", b'{"a": 1}'):
        answer = await http.request("GET", "/plain", content=body)
        assert answer.json()["code"] == "body_unexpected"
    assert (await http.request("GET", "/plain", content=b"{}")).status_code == 200


@pytest.mark.parametrize(
    "accept, media",
    [
        (None, JSON),
        ("*/*", JSON),
        ("text/csv", "text/csv"),
        ("TEXT/*", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("application/json;q=0.5, */*;q=0.6", "text/csv"),
        ("text/csv;q=0.001, application/json;q=0", "text/csv"),
        ('text/html;x="a,b", application/json', JSON),
    ],
)
async def test_the_client_chooses_the_media_type(
    http: httpx.AsyncClient, accept: str | None, media: str
) -> None:
    """By weight; the more specific range decides."""
    headers = {"Accept": accept} if accept else {}
    answer = await http.get("/plain", headers=headers)
    assert answer.text == media


async def test_a_path_is_read_as_it_was_sent(http: httpx.AsyncClient) -> None:
    """Its text must be of the parameter's type."""
    assert (await http.get(f"/things/{ID}")).json() == {"asked": {"id": ID}}
    assert (await http.get("/things/x")).json()["code"] == "parameter_invalid"


async def test_an_answer_that_was_not_declared_is_a_bug(http: httpx.AsyncClient) -> None:
    """So the document can be believed."""
    assert (await http.get("/wrong")).status_code == 500


def test_the_document_says_what_is_read() -> None:
    """From the very Structs that read it."""
    about = openapi.About("T", "1", "d", "MIT", "/", {"t": "Things"}, "s")
    document = msgspec.to_builtins(openapi.document(OPERATIONS, about))
    parameters = {each["name"]: each for each in document["paths"]["/search"]["get"]["parameters"]}
    assert parameters["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 500,
        "default": 50,
    }
    assert parameters["color"]["schema"] == {"$ref": "#/components/schemas/Color"}
    assert parameters["metadata"]["style"] == "deepObject"
    assert document["components"]["schemas"]["Thing"]["additionalProperties"] is False
    made = document["paths"]["/things"]["post"]
    assert made["requestBody"]["required"] is True
    (header,) = made["parameters"]
    assert (header["name"], header["required"]) == ("Idempotency-Key", True)
    assert made["responses"]["415"]["content"].keys() == {"application/problem+json"}
