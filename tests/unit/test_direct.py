"""What is called without the router is answered as if it had been called by it."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from litestar import Litestar, get, post
from litestar.exceptions import NotAuthorizedException
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from runtime.problems import Invalid, TooLarge, Unavailable, Unidentified
from web.direct import Direct
from web.http import EXCEPTION_HANDLERS, Answer, HttpRequest

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


@get("/fixed")
async def fixed(request: HttpRequest) -> ASGIApp:
    """Answer, or fail as it is asked to."""
    failure = FAILURES.get(request.scope["query_string"].decode())
    if failure is not None:
        raise failure
    return Answer(request.headers["host"].encode(), 201, {"X-Seen": request.app.state.name})


@post("/fixed")
async def posted(request: HttpRequest) -> ASGIApp:
    """Answer with the body."""
    return Answer((await request.receive())["body"])  # type: ignore[typeddict-item]


@get("/things/{thing:str}")
async def thing(request: HttpRequest, thing: FromPath[str]) -> ASGIApp:
    """Answer with what is in the path."""
    return Answer(f"{request.method} {thing}".encode())


@get("/late")
async def late(request: HttpRequest) -> ASGIApp:
    """Fail only while answering, before anything is sent, as a stream may for which no room is."""
    failure = FAILURES[request.scope["query_string"].decode()]

    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise failure

    return failing


@get("/nothing")
async def nothing() -> ASGIApp:
    """Answer without having looked at the request."""
    return Answer(b"nothing")


@pytest.fixture
def app() -> Litestar:
    """Return an application of these."""
    made = Litestar(
        [fixed, posted, late, thing, nothing],
        request_class=HttpRequest,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    made.state.name = "app"
    return made


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/fixed"),
        *(("GET", f"/fixed?{failure}") for failure in FAILURES),
        *(("GET", f"/late?{failure}") for failure in FAILURES),
        ("POST", "/fixed"),
        ("PUT", "/fixed"),
        ("HEAD", "/fixed"),
        ("OPTIONS", "/fixed"),
        ("GET", "/fixed/"),
        ("GET", "/things/one"),
        ("GET", "/things"),
        ("GET", "/nothing"),
        ("GET", "/elsewhere"),
    ],
)
async def test_it_answers_as_the_router_does(app: Litestar, method: str, path: str) -> None:
    """Status, headers and body are the same."""
    logging.getLogger("web.http").setLevel(logging.CRITICAL)
    there, here = [await _asked(asked, method, path) for asked in (app, Direct(app))]
    assert here == there


async def test_a_fixed_path_does_not_meet_the_router(app: Litestar) -> None:
    """Not even when it fails; a path with a parameter does."""
    met = []

    async def router(scope: Scope, _receive: Receive, send: Send) -> None:
        met.append(scope["path"])
        await Answer(b"")(scope, _receive, send)

    direct = Direct(app)
    app.asgi_handler = router
    for path in ("/fixed", "/fixed?invalid", "/things/one"):
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
        answer = await client.request(method, path, content=b"body" if method == "POST" else None)
    return answer.status_code, sorted(answer.headers.items()), answer.content
