"""Endpoints whose path is fixed, found by one look into a dict instead of a router's walk.

The router splits every path, wraps what it calls, and converts segments. A fixed path needs none of
that, and the busiest endpoints have one.
"""

from typing import Any

from litestar import Litestar
from litestar.enums import HttpMethod
from litestar.types import Receive, Scope, Send

from runtime import telemetry
from web.access_log import logged
from web.endpoints import Endpoint

METHODS = frozenset(method.value for method in HttpMethod)
# No operation has this method. It stands for all that the router does not know, so that an
# endpoint answers them, too: 405, with the methods that the path allows.
UNKNOWN = "TRACE"


class Direct:
    """An application whose endpoints with a fixed path are called without its router.

    The application answers everything else itself: variable paths, unknown paths, its lifespan.
    """

    def __init__(self, app: Litestar, *, access_log: bool = False) -> None:
        self._app = app
        self._access_log = access_log
        found: dict[str, Endpoint] = app.state.get("endpoints", {})
        self._fixed = {path: endpoint for path, endpoint in found.items() if "{" not in path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the application's start and end."""
        request: dict[str, Any] = scope  # type: ignore[assignment]
        telemetry.REQUEST_ID.set(request.get("request_id", ""))
        if self._access_log and request["type"] == "http":
            request.pop("write_whole", None)  # Each message of the answer is looked at.
            send = logged(request, send)
        if request.get("method", UNKNOWN) not in METHODS:
            request["method"] = UNKNOWN
        endpoint = self._fixed.get(request.get("path", ""))
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request["litestar_app"] = self._app
        await endpoint(scope, receive, send)
