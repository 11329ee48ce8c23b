"""The small change of HTTP: read a bounded body, answer with bytes, keep problems in one shape.

Handlers take the raw `Request` and return an `Answer`. Measured on the machine this was written
on, that serves almost twice the requests of handlers with injected bodies and `Response` objects.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.connection.base import empty_receive, empty_send
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send

from runtime import database, problems
from runtime.problems import Invalid, Problem, TooLarge

log = logging.getLogger(__name__)

Shape = TypeVar("Shape")
CODES = {404: "not_found", 405: "method_not_allowed"}


class HttpRequest(Request[Any, Any, Any]):
    """Litestar's request with a plain dict of headers, and the rest of it only if it is asked for.

    Headers take a third of the time so, and what most requests never need takes none. Names are in
    lower case only, so Litestar's own `accept` and `content_type` find none.
    """

    __slots__ = ("_named",)

    def __init__(  # made whole by `__getattr__`
        self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send
    ) -> None:
        self.scope, self.receive, self.send = scope, receive, send  # type: ignore[assignment]
        self._named: dict[str, str] = {}
        for name, value in scope["headers"]:
            self._named.setdefault(name.decode("latin-1"), value.decode("latin-1"))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever Litestar has there
        """Make it whole, for whoever asks for what is not there yet."""
        super().__init__(self.scope, self.receive, self.send)
        return object.__getattribute__(self, name)

    @property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        """The first header of each name, which is in lower case."""
        return self._named


class Answer:
    """A finished response: an ASGI application that sends it."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        self.body = body
        self.status = status
        self.headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        if headers:
            self.headers += [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Streamed:
    """A response that is sent piece by piece, as fast as the client takes it.

    An error on the way breaks the connection off: the client can tell half an answer from a whole.
    When the client goes away, the pieces end where they are, and free what they hold.
    """

    __slots__ = ("chunks", "headers")

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        media_type: str = "application/json",
    ) -> None:
        self.chunks = chunks
        named = {"content-type": media_type, **headers}
        self.headers = [(name.encode(), value.encode()) for name, value in named.items()]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until its end or until nobody listens any more."""
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with aclosing(self.chunks):
            async for chunk in self.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encoded(value: object) -> str:
    return str(value)


# Decimals go out as exact JSON numbers: 100.00, whatever the number of digits.
ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=_encoded)


async def read_body(request: HttpRequest, bytes_max: int) -> bytes:
    """Return the request's body. Raises TooLarge before more than `bytes_max` are kept."""
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


async def read_lines(request: HttpRequest, line_bytes_max: int) -> AsyncIterator[bytes]:
    """Yield the request's lines, but for blank ones, as they arrive.

    Raises TooLarge before more than `line_bytes_max` of a line are kept.
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
    """Return `body` in the decoder's shape. Raises Invalid that names the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        place = where.strip("`").removeprefix("$.")
        detail = f"{place}: {what}" if place else what
        raise Invalid("body_invalid", detail, field=place or None) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("body_not_json", f"The body is not JSON: {error}") from error


def check_path(request: HttpRequest) -> None:
    """Raise Invalid for a path with U+0000, which PostgreSQL cannot hold in text."""
    if "\x00" in request.scope["path"]:
        raise Invalid("path_invalid", "The path holds a control character.")


def failed(request: HttpRequest, error: Exception) -> Answer:
    """Answer what went wrong: a Problem, a lost connection, what Litestar refuses, or a bug."""
    match error:
        case Problem():
            return _problem_answer(error)
        case HTTPException():
            return _framework_answer(error)
        case _ if isinstance(error, database.CONNECTION_ERRORS):
            return _problem_answer(database.unavailable(error))
        case _:
            return _bug_answer(request, error)


def _problem_answer(problem: Problem) -> Answer:
    status, document = problems.body(problem)
    return _document(document, status, problems.headers(problem))


def _framework_answer(error: HTTPException) -> Answer:
    """Answer what Litestar itself refuses (unknown path, wrong method) in the same shape."""
    document = {
        "type": "about:blank",
        "title": error.detail,
        "status": error.status_code,
        "detail": error.detail,
        "code": CODES.get(error.status_code, "http_error"),
    }
    return _document(document, error.status_code, error.headers or {})


def _bug_answer(request: HttpRequest, error: Exception) -> Answer:
    """Answer a bug: the traceback goes to the log, never to the client."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    document = {
        "type": "urn:daybook:problem:internal_error",
        "title": "Something is wrong on our side",
        "status": 500,
        "detail": "Try again with the same idempotency key; nothing will happen twice.",
        "code": "internal_error",
    }
    return _document(document, 500, {})


def _document(document: dict[str, Any], status: int, headers: Mapping[str, str]) -> Answer:
    return Answer(ENCODER.encode(document), status, headers, "application/problem+json")


def _response(request: HttpRequest, error: Exception) -> Response[bytes]:
    """Return the same for Litestar, which takes no ASGI application here."""
    answer = failed(request, error)
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, status_code=answer.status, headers=headers)


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {Exception: _response}
