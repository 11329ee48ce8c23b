"""A request as the routes see it: ASGI's scope with its headers in one dict."""

from typing import Any

from litestar import Litestar
from litestar.types import Receive, Scope

from runtime.problems import Invalid

# Headers with one value: a second one is refused, because it may contradict the first.
SINGLE = frozenset(
    {
        *("authorization", "content-encoding", "content-length", "content-type", "daybook-ledger"),
        *("daybook-min-position", "host", "idempotency-key", "last-event-id", "request-id"),
    }
)


class Request:
    """One request. Header names are in lower case; of a list, all fields are joined."""

    __slots__ = ("headers", "receive", "repeated", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope: Any = scope
        self.receive = receive
        self.headers: dict[str, str] = {}
        self.repeated: str | None = None
        headers = self.headers
        for raw_name, raw_value in self.scope["headers"]:
            name = raw_name.decode("latin-1")
            if name in headers:
                if name in SINGLE:
                    self.repeated = name
                headers[name] += ", " + raw_value.decode("latin-1")
            else:
                headers[name] = raw_value.decode("latin-1")

    @property
    def app(self) -> Litestar:
        """Return the application, whose `state` holds what was opened at start."""
        app: Litestar = self.scope["litestar_app"]
        return app

    @property
    def method(self) -> str:
        """Return the method, in capitals."""
        method: str = self.scope["method"]
        return method

    @property
    def path(self) -> str:
        """Return the decoded path."""
        path: str = self.scope["path"]
        return path

    @property
    def query_string(self) -> bytes:
        """Return the query string as it was sent."""
        query_string: bytes = self.scope["query_string"]
        return query_string

    def check_headers(self) -> None:
        """Raise Invalid for a header with one value that was sent twice."""
        if self.repeated is not None:
            name = "-".join(part.capitalize() for part in self.repeated.split("-"))
            detail = f"The header `{name}` is sent twice."
            raise Invalid("header_repeated", detail, field=name)
