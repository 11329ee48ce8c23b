"""Every operation of the OpenAPI document, tried with what no operation understands.

The document is the list: a new operation is tried by itself. What is refused must change nothing,
so the log of the ledger is as long after each try as before it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from daybook.api import operations as api
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import API, Ledger

ID = "00000000-0000-4000-8000-000000000000"
# A value for each segment of a path: of the right form, and of nothing that exists.
SEGMENTS = {
    "account_id": "nobody",
    "key": "nothing/here",
    "level": "0",
    "match_id": "1",
    "name": "docs.js",
    "tile": "000",
}
JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"


class Operation(NamedTuple):
    """One method of one path, as the document describes it."""

    method: str
    path: str
    described: Mapping[str, Any]

    def __str__(self) -> str:
        """Return its name, for the test's."""
        return str(self.described["operationId"])

    @property
    def url(self) -> str:
        """Return a URL of it, with segments of the right form and the parameters that it needs."""
        segments = {
            each["name"]: quote(SEGMENTS.get(each["name"], ID), safe="")
            for each in self.described.get("parameters", ())
            if each["in"] == "path"
        }
        return API + self.path.format_map(segments)

    @property
    def required(self) -> dict[str, str]:
        """Return the query parameters that it cannot do without."""
        return {
            each["name"]: _example(each["schema"])
            for each in self.described.get("parameters", ())
            if each["in"] == "query" and each.get("required")
        }

    @property
    def query(self) -> list[str]:
        """Return the names of its query parameters."""
        return [
            each["name"]
            for each in self.described.get("parameters", ())
            if each["in"] == "query" and each.get("style") != "deepObject"
        ]


def operations() -> Iterator[Operation]:
    """Yield every operation of the document."""
    for path, item in api.document()["paths"].items():
        for method, described in item.items():
            yield Operation(method.upper(), path, described)


ALL = list(operations())
PATHS = sorted({operation.path for operation in ALL})


@pytest.fixture
async def ledger(open_ledger: OpenLedger) -> Ledger:
    """Open a fresh ledger, for a token that may do everything."""
    return await open_ledger(("admin",))


@pytest.fixture
async def unmoved(ledger: Ledger) -> Any:  # noqa: ANN401 - a fixture that yields nothing
    """Hold the log of the ledger to be as long after the test as before it."""
    before = (await ledger.http.get(f"{API}/events")).json()["items"]
    yield
    assert (await ledger.http.get(f"{API}/events")).json()["items"] == before


def body_of(operation: Operation) -> dict[str, Any]:
    """Return an empty JSON body, for an operation that reads one."""
    return {"content": b"{}", "headers": JSON} if "requestBody" in operation.described else {}


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("name", ["foo", "dryRun", "Mode", "limit[]"])
@pytest.mark.parametrize("operation", ALL, ids=str)
async def test_an_unknown_parameter_is_refused(
    ledger: Ledger, operation: Operation, name: str
) -> None:
    """Whatever else the request says: a misspelt parameter must not pass for none."""
    params = operation.required | {name: "true"}
    answer = await ledger.http.request(
        operation.method, operation.url, params=params, **body_of(operation)
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "parameter_unknown"), answer.text
    assert answer.json()["field"] == name


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("operation", [each for each in ALL if each.query], ids=str)
async def test_a_repeated_parameter_is_refused(ledger: Ledger, operation: Operation) -> None:
    """Every parameter of every operation, given twice with the same value."""
    for name in operation.query:
        parameter = next(p for p in operation.described["parameters"] if p["name"] == name)
        value = _example(parameter["schema"])
        params: list[tuple[str, str | int | float | bool | None]]
        params = [(n, v) for n, v in operation.required.items() if n != name]
        params += [(name, value), (name, value)]
        answer = await ledger.http.request(
            operation.method, operation.url, params=params, **body_of(operation)
        )
        assert answer.status_code == 400, (name, answer.text)
        assert answer.json()["code"] == "parameter_repeated", (name, answer.text)


def _example(schema: Mapping[str, Any]) -> str:
    """Return a value that a parameter's schema allows, as far as its kind goes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = api.document()["components"]["schemas"][name]
    if schema.get("type") == "array":
        return _example(schema["items"])
    if "enum" in schema:
        return str(schema["enum"][0])
    if "default" in schema:
        return str(schema["default"]).lower()
    match schema.get("type"):
        case "integer":
            return str(schema.get("minimum", 1))
        case "boolean":
            return "true"
        case _:
            pass
    if schema.get("format") == "uuid":
        return ID
    return "2026-01-31"


@pytest.mark.parametrize("path", PATHS)
async def test_head_options_and_405_agree(ledger: Ledger, path: str) -> None:
    """HEAD is wherever GET is; OPTIONS and 405 name all methods, and no other."""
    at_path = [each for each in ALL if each.path == path]
    methods = {each.method for each in at_path}
    allowed = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    url = at_path[0].url
    options = await ledger.http.options(url)
    assert options.status_code == 204
    assert {name.strip() for name in options.headers["Allow"].split(",")} == allowed
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - allowed:
        answer = await ledger.http.request(method, url)
        assert (answer.status_code, answer.headers["Allow"]) == (405, options.headers["Allow"])
        assert method == "HEAD" or answer.json()["type"] == "urn:daybook:problem:method_not_allowed"


@pytest.mark.parametrize("operation", [each for each in ALL if each.method == "GET"], ids=str)
async def test_head_has_the_headers_of_get_and_no_body(
    ledger: Ledger, operation: Operation
) -> None:
    """Status and media type are those of GET."""
    # With it, a stream of events ends at once.
    headers = {"Prefer": "wait=0"} if operation.path == "/events/stream" else {}
    params = operation.required
    got = await ledger.http.get(operation.url, params=params, headers=headers)
    head = await ledger.http.head(operation.url, params=params, headers=headers)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize(
    "name, value",
    [
        ("Authorization", None),
        ("Daybook-Ledger", None),
        ("Idempotency-Key", "k"),
        ("Content-Type", "application/json"),
    ],
)
@pytest.mark.parametrize("operation", ALL, ids=str)
async def test_a_repeated_header_is_refused(
    ledger: Ledger, operation: Operation, name: str, value: str | None
) -> None:
    """A header with one value may not be sent twice, not even with the same value."""
    known = {"Authorization": ledger.http.headers["authorization"], "Daybook-Ledger": ledger.name}
    pair = (name, value or known[name])
    headers = [*ledger.http.headers.items(), pair]
    if name.lower() not in ledger.http.headers:
        headers.append(pair)
    body = body_of(operation)
    request = ledger.http.build_request(
        operation.method, operation.url, params=operation.required, content=body.get("content")
    )
    if body and name != "Content-Type":
        headers.append(("Content-Type", "application/json"))
    kept = [(n, v) for n, v in request.headers.items() if n in ("host", "content-length")]
    request.headers = type(request.headers)(
        [*((n, v) for n, v in headers if n.lower() not in ("host", "content-length")), *kept]
    )
    answer = await ledger.http.send(request)
    assert (answer.status_code, answer.json()["code"]) == (400, "header_repeated"), answer.text
    assert answer.json()["field"] == name


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("operation", ALL, ids=str)
async def test_a_compressed_body_is_refused(ledger: Ledger, operation: Operation) -> None:
    """415 where a body is read; where none is, it is refused as one."""
    answer = await ledger.http.request(
        operation.method,
        operation.url,
        params=operation.required,
        content=b"\x1f\x8b\x08",
        headers=JSON | {"Content-Encoding": "gzip"},
    )
    if "requestBody" in operation.described:
        expected = (415, "content_coding_unsupported")
    else:
        expected = (400, "body_unexpected")
    assert (answer.status_code, answer.json()["code"]) == expected, answer.text


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("accept", ["image/png", "*/*;q=0", "text/html;q=1.0, */*;q=0.000"])
@pytest.mark.parametrize("operation", ALL, ids=str)
async def test_what_the_client_does_not_accept_is_not_sent(
    ledger: Ledger, operation: Operation, accept: str
) -> None:
    """406, before anything is done."""
    answer = await ledger.http.request(
        operation.method,
        operation.url,
        params=operation.required,
        headers={"Accept": accept} | body_of(operation).get("headers", {}),
        content=body_of(operation).get("content"),
    )
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable"), answer.text
    assert answer.headers["content-type"] == PROBLEM
