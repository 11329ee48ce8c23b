"""Routes whose path is fixed, found by one look into a dict instead of a router's walk.

What a router does for every path (split it, wrap what is called, inject, convert) is for nothing
where the path is fixed and the handler takes the request alone, as the busiest ones do.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from web.http import HttpRequest, failed

Handler = Callable[[HttpRequest], Awaitable[ASGIApp]]


class Direct:
    """An application whose handlers that only take the request are called without its router.

    Whatever else is asked (paths with parameters, other methods, unknown paths) it answers itself.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._handlers: dict[tuple[Any, Any], Handler] = {
            (method, route.path): handler.fn
            for route in app.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
            if handler.parsed_fn_signature.parameters.keys() == {"request"}
            for method in handler.http_methods
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        handler = self._handlers.get((scope.get("method"), scope.get("path")))
        if handler is None:
            await self._app(scope, receive, send)
            return
        scope["litestar_app"] = self._app
        request = HttpRequest(scope, receive, send)
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            answer = await handler(request)
            await answer(scope, receive, sent)
        except Exception as error:
            if begun:
                raise  # The server breaks off: the client can tell half an answer from a whole.
            await failed(request, error)(scope, receive, send)
