"""Raw handlers of routes that are not declared as operations yet; it goes with the last of them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from litestar import Request
from litestar.connection.base import empty_receive, empty_send
from litestar.types import ASGIApp, Receive, Scope, Send

from runtime.problems import Invalid
from web.answers import ENCODER, Answer, Streamed
from web.bodies import decode, read_body, read_lines
from web.failures import EXCEPTION_HANDLERS
from web.request import Request as Incoming

__all__ = [
    "ENCODER",
    "EXCEPTION_HANDLERS",
    "Answer",
    "HttpRequest",
    "Streamed",
    "check_path",
    "decode",
    "read_body",
    "read_lines",
]


class HttpRequest(Request[Any, Any, Any]):
    """Litestar's request with a plain dict of headers, whose names are in lower case."""

    __slots__ = ("_named",)

    def __init__(
        self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send
    ) -> None:
        super().__init__(scope, receive, send)
        self._named: dict[str, str] = {}
        for name, value in scope["headers"]:
            self._named.setdefault(name.decode("latin-1"), value.decode("latin-1"))

    @property
    def headers(self) -> Mapping[str, str]:  # type: ignore[override]
        """The first header of each name, which is in lower case."""
        return self._named


def check_path(request: HttpRequest) -> None:
    """Raise Invalid for a path with U+0000, which PostgreSQL cannot hold in text."""
    if "\x00" in request.scope["path"]:
        raise Invalid("path_invalid", "The path holds a control character.")


class Raw:
    """A raw handler in the place of an operation, for an endpoint."""

    def __init__(self, method: str, path: str, function: Any) -> None:  # noqa: ANN401
        self.method = method
        self.path = path
        self._function = function

    async def respond(self, request: Incoming) -> ASGIApp:
        """Return its answer."""
        parameters = request.scope.get("daybook_path", {})
        given = (
            {}
            if "request" not in self._function.__annotations__
            else {"request": HttpRequest(request.scope, request.receive)}
        )
        taken = {k: v for k, v in parameters.items() if k in self._function.__annotations__}
        answer: ASGIApp = await self._function(**given, **taken)
        return answer


def raw(handlers: Iterable[Any]) -> list[Raw]:
    """Return what an endpoint needs of some raw handlers."""
    return [
        Raw(method, re.sub(":str}", "}", path), handler.fn)
        for handler in handlers
        for path in handler.paths
        for method in handler.http_methods
        if method != "OPTIONS"
    ]
