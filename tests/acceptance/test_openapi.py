"""The OpenAPI document is valid, is complete, and says nothing that is not so.

With DAYBOOK_WRITE_EXAMPLES=1 (`make examples`) the answers of the examples are written anew.
"""

import json
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple, cast
from urllib.parse import quote

import httpx
import pytest
from jsonschema import Draft202012Validator

from daybook.api import examples
from daybook.api import operations as api
from daybook.embedded.up import Service
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.documented_examples import settled
from tests.acceptance.driver import API, READABLE, ROOT, Ledger, client, routes, until
from web.media import PROBLEM
from web.openapi import Example

# The document's own schema, as https://spec.openapis.org/oas/3.1/schema/2022-10-07 publishes it.
SPECIFICATION = ROOT / "tests/schemas/openapi-3.1.schema.json"
TOLD = examples.load()
WRITE = bool(os.environ.get("DAYBOOK_WRITE_EXAMPLES"))
Document = dict[str, Any]


class Operation(NamedTuple):
    """An operation as the document describes it."""

    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def places(self) -> dict[str, str]:
        """Return where each of its parameters is."""
        return {each["name"]: each["in"] for each in self.described.get("parameters", ())}


def operations(document: Document) -> dict[str, Operation]:
    """Return all operations by their ids, each of which is one operation's own."""
    found = [
        (described["operationId"], Operation(method, path, described))
        for path, item in document["paths"].items()
        for method, described in item.items()
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.fixture(scope="module")
async def document(service: Service) -> Document:
    """Fetch the document, without a token."""
    async with client(service.url) as http:
        answer = await http.get(f"{API}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return cast("Document", _json(answer.text))


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(text, parse_float=Decimal)


def test_the_document_is_openapi_3_1(document: Document) -> None:
    """By the specification's own schema; and every schema in it by JSON Schema's."""
    Draft202012Validator(json.loads(SPECIFICATION.read_text())).validate(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(document, default=str)
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', text):
        place: Any = document
        for part in reference.split("/"):
            place = place[part]


def test_every_route_is_described_and_no_other(document: Document) -> None:
    """Method by method."""
    described = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    assert described == {str(route) for route in routes()}


def test_every_operation_has_an_example() -> None:
    """But for the metrics and the document itself, and names are an operation's own."""
    known = set(operations(api.document()))
    assert {example.operation for example in TOLD} == known - {"metrics", "openapi"}
    names = [(example.operation, example.name) for example in TOLD]
    assert len(set(names)) == len(names)


async def test_every_example_is_answered_as_documented(
    document: Document, open_ledger: OpenLedger
) -> None:
    """In order, status by status and digit by digit; requests and answers fit their schemas."""
    ledger = await open_ledger(("admin",), examples.LEDGER)
    by_name = operations(document)
    answers: list[str] = []
    differing: list[str] = []
    position = "0"
    for example in TOLD:
        operation = by_name[example.operation]
        answer = await _send(ledger, operation, example, position)
        position = max(position, answer.headers.get("Daybook-Position", "0"), key=int)
        where = f"{example.operation}: {example.name}"
        assert answer.status_code == example.status, f"{where}\n{answer.text}"
        _check_shapes(document, operation, example, answer)
        answers.append(answer.text)
        if settled(answer.text) != settled(example.answer):
            differing.append(f"{where}\n{settled(example.answer)}\n{settled(answer.text)}")
    if WRITE:
        _write(answers)
    assert WRITE or not differing, "\n\n".join(differing)


async def test_a_four_way_report_is_as_described(
    document: Document, open_ledger: OpenLedger
) -> None:
    """Asked for, waited for, and read, with a statement that does not agree."""
    ledger = await open_ledger(("admin",))
    posted = await ledger.posted(amount=b"10", destination="bank:till")
    lines = f"d,a,r,b\n{posted['created_at'][:10]},12.50,other,12.50\n"
    imported = await ledger.http.post(
        f"{API}/statements?account_id=bank:till&map.date=d&map.amount=a&map.reference=r&map.balance=b",
        content=lines,
        headers={"Content-Type": "text/csv"},
    )
    assert imported.status_code == 201, imported.text
    assert (await ledger.http.post(f"{API}/four-way")).status_code == 202
    answer = await ledger.http.get(f"{API}/four-way")

    async def ended() -> bool:
        nonlocal answer
        answer = await ledger.http.get(f"{API}/four-way")
        return answer.json()["status"] not in {"QUEUED", "RUNNING"}

    await until(ended, "the view is made")
    described = document["paths"]["/four-way"]["get"]["responses"]["200"]["content"]
    _validate(_strict(document), described, None, answer.text)
    assert (answer.json()["status"], answer.json()["failure"]) == ("DISCREPANCIES", None)
    report = _json(answer.text)["report"]
    assert [each["account_id"] for each in report["accounts"]] == ["bank:till"]
    assert report["accounts"][0]["external"]["ledger_balance"] == Decimal("-10.00")
    assert {side for side, told in report["verdicts"].items() if not told["agrees"]} == {"external"}


async def _send(
    ledger: Ledger, operation: Operation, example: Example, position: str
) -> httpx.Response:
    """Send an example's request; a read waits for what was written before."""
    given = dict(example.parameters)
    known = operation.places
    assert set(given) <= set(known), f"{example.operation}: {example.name}"
    headers = {name: text for name, text in given.items() if known[name] == "header"}
    if "Daybook-Min-Position" in known and "Daybook-Min-Position" not in headers:
        headers = {"Daybook-Min-Position": position, **READABLE} | headers
    if example.media is not None:
        headers["Content-Type"] = example.media
    path = operation.path.format_map(
        {name: quote(text, safe="") for name, text in given.items() if known[name] == "path"}
    )
    return await ledger.http.request(
        operation.method.upper(),
        API + path,
        params={name: text for name, text in given.items() if known[name] == "query"},
        headers=headers,
        content=example.request,
    )


def _check_shapes(
    document: Document, operation: Operation, example: Example, answer: httpx.Response
) -> None:
    """Validate a request and its answer; an answer may have no property that is not described."""
    described = operation.described
    if example.request is not None:
        _validate(document, described["requestBody"]["content"], example.media, example.request)
    media = answer.headers["content-type"].partition(";")[0]
    content = described["responses"][str(example.status)]["content"]
    assert media in content, f"{example.operation}: {media}"
    assert (media == PROBLEM) == (list(content) == [PROBLEM])
    _validate(_strict(document), content, media, answer.text)


def _validate(document: Document, content: Mapping[str, Any], media: str | None, text: str) -> None:
    media = media or next(iter(content))
    if media.endswith("json"):
        lines = text.splitlines() if media.endswith("ndjson") else [text]
        schema = {"components": document["components"], "allOf": [content[media]["schema"]]}
        for line in lines:
            Draft202012Validator(
                schema, format_checker=Draft202012Validator.FORMAT_CHECKER
            ).validate(_json(line))


def _strict(document: Document) -> Document:
    """Return the document with objects that may have no further property, but for problems'."""
    schemas = {
        name: {"additionalProperties": False} | schema if "properties" in schema else schema
        for name, schema in document["components"]["schemas"].items()
    }
    return {"components": {**document["components"], "schemas": schemas}}


def _write(answers: list[str]) -> None:
    """Write what was answered into the files of examples."""
    left = iter(answers)
    for path in examples.FILES:
        text = path.read_text(encoding="utf-8")
        text = re.sub(
            r"^answer = '''.*?'''$",
            lambda _: "answer = '''\n" + next(left).replace("\r\n", "\n") + "'''",
            text,
            flags=re.DOTALL | re.MULTILINE,
        )
        path.write_text(text, encoding="utf-8")
