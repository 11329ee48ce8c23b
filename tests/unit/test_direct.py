"""An endpoint that is called without the router answers as if the router had called it."""

import asyncio
import logging
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.exceptions import NotAuthorizedException
from litestar.types import ASGIApp, Receive, Scope, Send

from runtime.problems import Invalid, TooLarge, Unavailable, Unidentified
from web.answers import Answer, Reply
from web.direct import Direct
from web.endpoints import endpoints, route
from web.failures import EXCEPTION_HANDLERS
from web.operations import operation
from web.request import Request

FAILURES = {
    "invalid": Invalid("shape", "wrong", field="amount"),
    "subclass": TooLarge("body_too_large", "too large"),
    "unidentified": Unidentified("token_missing", "who?"),
    "unavailable": Unavailable("too_many_waiting", "later", headers={"Retry-After": "7"}),
    "connection": ConnectionResetError("gone"),
    "timeout": TimeoutError(),
    "framework": NotAuthorizedException("not you"),
    "bug": ZeroDivisionError("of ours"),
}


class Failing(msgspec.Struct, frozen=True):
    """Which failure is asked for."""

    why: str | None = None


class Thing(msgspec.Struct):
    """The only shape of these answers."""

    text: str


class OfThing(msgspec.Struct, frozen=True):
    """Which thing."""

    thing: str


@operation("GET", "/fixed", name="fixed", tag="t", answers={201: Thing})
async def fixed(request: Request, query: Failing) -> Reply:
    """Answer, or fail as it is asked to."""
    failure = FAILURES.get(query.why or "")
    if failure is not None:
        raise failure
    return Reply(Thing(request.headers["host"]), 201, headers={"X-Seen": request.app.state.name})


@operation("POST", "/fixed", name="posted", tag="t", answers={200: Thing})
async def posted(body: Thing) -> Reply:
    """Answer with the body."""
    return Reply(body)


@operation("GET", "/things/{thing}", name="thing", tag="t", answers={200: Thing})
async def thing(path: OfThing) -> Reply:
    """Answer with what is in the path."""
    return Reply(Thing(path.thing))


@operation("GET", "/late", name="late", tag="t", answers={200: Thing})
async def late(query: Failing) -> ASGIApp:
    """Fail only while answering, before anything is sent."""

    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise FAILURES[query.why or ""]

    return failing


@pytest.fixture
def app() -> Litestar:
    """Return an application of these."""
    found = endpoints([fixed, posted, late, thing])
    made = Litestar(
        [route(each) for each in found],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    made.state.endpoints = {each.path: each for each in found}
    made.state.name = "app"
    return made


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/fixed"),
        *(("GET", f"/fixed?why={failure}") for failure in FAILURES),
        *(("GET", f"/late?why={failure}") for failure in FAILURES),
        ("POST", "/fixed"),
        ("PUT", "/fixed"),
        ("HEAD", "/fixed"),
        ("OPTIONS", "/fixed"),
        ("GET", "/fixed/"),
        ("GET", "/things/one"),
        ("GET", "/things"),
        ("GET", "/elsewhere"),
    ],
)
async def test_it_answers_as_the_router_does(app: Litestar, method: str, path: str) -> None:
    """Status, headers and body are the same."""
    logging.getLogger("web.failures").setLevel(logging.CRITICAL)
    there, here = [await _asked(asked, method, path) for asked in (app, Direct(app))]
    assert here == there


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "DELETE"])
@pytest.mark.parametrize("path", ["/fixed", "/things/one"])
async def test_405_and_options_name_the_same_methods(app: Litestar, method: str, path: str) -> None:
    """Also for a method that the router has never heard of."""
    status, headers, _ = await _asked(Direct(app), method, path)
    _, options, _ = await _asked(Direct(app), "OPTIONS", path)
    assert status == 405
    assert dict(headers)["allow"] == dict(options)["allow"]


async def test_a_fixed_path_does_not_meet_the_router(app: Litestar) -> None:
    """Not even when it fails; a path with a parameter does."""
    met = []

    async def router(scope: Scope, _receive: Receive, send: Send) -> None:
        met.append(scope["path"])
        await Answer(b"")(scope, _receive, send)

    direct = Direct(app)
    app.asgi_handler = router
    for path in ("/fixed", "/fixed?why=invalid", "/things/one"):
        await _asked(direct, "GET", path)
    assert met == ["/things/one"]


async def test_an_answer_that_breaks_off_is_not_answered_again(app: Litestar) -> None:
    """The server is to break the connection: the client can tell half an answer from a whole."""
    sent = []

    async def send(message: object) -> None:
        sent.append(message)
        if len(sent) == 2:
            raise ConnectionResetError

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/fixed"}
    scope |= {"query_string": b"", "headers": [(b"host", b"x")], "extensions": {}}
    with pytest.raises(ConnectionResetError):
        await Direct(app)(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
    assert len(sent) == 2


async def _asked(app: ASGIApp, method: str, path: str) -> tuple[int, list[tuple[str, str]], bytes]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        body = b'{"text": "body"}' if method == "POST" else None
        answer = await client.request(method, path, content=body)
    return answer.status_code, sorted(answer.headers.items()), answer.content
