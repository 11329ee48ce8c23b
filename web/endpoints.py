"""From a path to its operations: methods, HEAD and OPTIONS, and one way in which answers fail.

Litestar finds the endpoint of a path that has variable segments. One whose path is fixed is found
by `web/direct.py` with one look into a dict, which is all that the busiest routes need.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from litestar import route as http_route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from runtime.problems import Invalid, NotFound, WrongMethod
from web.answers import Answer
from web.failures import failed
from web.operations import Operation
from web.request import Request

_SEGMENT = re.compile(r"{(\w+)(:path)?}")


class Endpoint:
    """All operations of one path."""

    def __init__(self, path: str, operations: Iterable[Operation]) -> None:
        self.path = path
        self._operations: dict[str, Operation] = {each.method: each for each in operations}
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]
        self.methods = sorted([*self._operations, "OPTIONS"])
        self.allow = ", ".join(self.methods)
        self._segments = None if "{" not in path else _pattern(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            answer = await self._answer(request)
            await answer(scope, receive, sent)
        except Exception as error:
            if begun:
                raise  # The server breaks off: the client can tell half an answer from a whole.
            await failed(request.method, request.path, error)(scope, receive, send)

    async def _answer(self, request: Request) -> ASGIApp:
        operation = self._operations.get(request.method)
        if operation is None:
            if request.method == "OPTIONS":
                return Answer(b"", 204, {"Allow": self.allow})
            detail = f"This path allows {self.allow}."
            raise WrongMethod("method_not_allowed", detail, headers={"Allow": self.allow})
        if "\x00" in request.path:
            raise Invalid("path_invalid", "The path holds a control character.")
        if self._segments is not None:
            request.scope["daybook_path"] = self._variables(request)
        return await operation.respond(request)

    def _variables(self, request: Request) -> dict[str, str]:
        """Return the variable segments of the path as it was sent: `%2F` does not separate."""
        assert self._segments is not None
        match = self._segments.search(
            request.scope["raw_path"].partition(b"?")[0].decode("latin-1")
        )
        if match is None:
            raise NotFound("not_found", "There is nothing at this path.")
        try:
            return {
                name: unquote(text, errors="strict") for name, text in match.groupdict().items()
            }
        except UnicodeDecodeError as error:
            raise Invalid("path_invalid", "The path must be percent-encoded UTF-8.") from error


def endpoints(operations: Iterable[Operation]) -> list[Endpoint]:
    """Return one endpoint for each path of `operations`."""
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    return [Endpoint(path, each) for path, each in by_path.items()]


def route(endpoint: Endpoint) -> HTTPRouteHandler:
    """Return the endpoint as a route of Litestar's, for every method that Litestar knows."""

    async def serve() -> ASGIApp:
        return endpoint

    path = _SEGMENT.sub(lambda match: f"{{{match[1]}{match[2] or ':str'}}}", endpoint.path)
    return http_route(path, http_method=[*HttpMethod])(serve)


def _pattern(path: str) -> re.Pattern[str]:
    """Return the pattern of a path as it is sent; `{name:path}` may hold slashes."""
    text = _SEGMENT.sub(lambda match: f"(?P<{match[1]}>{'.+' if match[2] else '[^/]+'})", path)
    return re.compile(text + "/?$")
