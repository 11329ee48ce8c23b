"""HTTP connections as uvicorn's, that leave the loop free under a flood.

    bytes ─▶ read, a few a turn ─┬─▶ turned away at the head (503)
                                 └─▶ its tenant's turn ─▶ begun, a few a turn ─▶ the application

Without turns one turn of the loop lasts as long as it takes to read and to begin what two thousand
connections ask for, and whoever talks to PostgreSQL waits for that after every round trip. What was
read is begun going round the tenants, so nobody's requests wait there behind somebody's flood. To
turn one away at its head is cheap (no task, no routing, and its body is dropped as it comes), but
not free: so that a flood leaves time for what was let in, a turn reads at most twice what it
begins.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from runtime import problems
from runtime.http import ENCODER, GONE
from runtime.problems import Problem

# Few, so that a turn is about a millisecond: it is also what every new connection waits for, since
# uvloop accepts one a turn. With 16, commits and new connections took longer, and fewer were done.
BEGUN_A_TURN = 4
# Without this bound, 12,000 submissions/s were turned away so busily that almost none was decided.
READ_A_TURN = 8

RawHeaders = Sequence[tuple[bytes, bytes]]
# From method, target and headers (names in lower case) to whose request it is, as far as that can
# be known at once ("" if not), or to why it is turned away.
Doorkeeper = Callable[[bytes, bytes, RawHeaders], str | Problem]


class Turns:
    """What one server's connections have received, and which requests wait to be begun.

    What was received is read in order; of the requests a tenant's are begun in order, and the
    tenants' in turn.
    """

    def __init__(self) -> None:
        self._unread: deque[tuple[Connection, bytes]] = deque()
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._order: deque[str] = deque()
        self._read = 0
        self._begun = 0

    def waiting(self, tenant: str) -> int:
        """Return how many requests of `tenant` wait to be begun."""
        return len(self._waiting.get(tenant, ()))

    def receive(self, connection: "Connection", data: bytes) -> None:
        """Have `data` read: at once, while this turn of the loop has room, or in its turn."""
        if self._read < READ_A_TURN and not self._unread:
            self._take_turn()
            self._read += 1
            connection.read(data)
            return
        connection.unread += 1
        if connection.unread > 1:
            connection.transport.pause_reading()
        self._unread.append((connection, data))

    def begin(self, tenant: str, request: Callable[[], None]) -> None:
        """Call `request` at once, while this turn of the loop has room, or in its turn."""
        if self._begun < BEGUN_A_TURN and not self._order:
            self._take_turn()
            self._begun += 1
            request()
            return
        if tenant not in self._waiting:
            self._waiting[tenant] = deque()
            self._order.append(tenant)
        self._waiting[tenant].append(request)

    def _take_turn(self) -> None:
        if self._read == self._begun == 0:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._read = self._begun = 0
        if self._order or self._unread:
            self._take_turn()
        while self._order and self._begun < BEGUN_A_TURN:
            self._begun += 1
            self._begin_next()
        while self._unread and self._read < READ_A_TURN:
            self._read += 1
            self._read_next()

    def _begin_next(self) -> None:
        tenant = self._order.popleft()
        requests = self._waiting[tenant]
        request = requests.popleft()
        if requests:
            self._order.append(tenant)
        else:
            del self._waiting[tenant]
        request()

    def _read_next(self) -> None:
        connection, data = self._unread.popleft()
        if connection.unread > 1 and not connection.transport.is_closing():
            connection.transport.resume_reading()
        connection.unread -= 1
        connection.read(data)


class Connection(HttpToolsProtocol):
    """Asks `app.state.doorkeeper`, if there is one, and begins requests in `app.state.turns`.

    It asks where nothing else is under way on a connection that stays open; all other requests are
    left to the routes, which say the same.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        app: Any = config.app
        self.unread = 0
        self._turns: Turns = app.state.turns
        self._doorkeeper: Doorkeeper | None = app.state.get("doorkeeper")
        self._tenant = ""
        self._turned_away = False

    def data_received(self, data: bytes) -> None:
        """Have it read in its turn."""
        self._turns.receive(self, data)

    def read(self, data: bytes) -> None:
        """Read it, unless the client has gone meanwhile."""
        if not self.transport.is_closing():
            super().data_received(data)

    def on_headers_complete(self) -> None:
        """Turn the request away, or go on with it."""
        found = self._asked()
        self._turned_away = isinstance(found, Problem)
        if isinstance(found, Problem):
            self.transport.write(_answer(found, self.server_state.default_headers))
            self.on_response_complete()
            return
        self._tenant = found
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        start = super()._start_asgi_task
        cycle.scope["state"][GONE] = lambda: cycle.disconnected

        def begin() -> None:
            if not cycle.disconnected:
                start(cycle, app)

        self._turns.begin(self._tenant, begin)

    def on_body(self, body: bytes) -> None:
        """Drop what was turned away."""
        if not self._turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End what was not turned away."""
        if not self._turned_away:
            super().on_message_complete()

    def _asked(self) -> str | Problem:
        earlier: object = self.cycle  # None before the first request, whatever its type says.
        idle = earlier is None or self.cycle.response_complete
        stays = self.parser.should_keep_alive() and not self.expect_100_continue
        if self._doorkeeper is None or not idle or not stays:
            return ""
        return self._doorkeeper(self.parser.get_method(), self.url, self.headers)


def _answer(problem: Problem, more: RawHeaders) -> bytes:
    status, document = problems.body(problem)
    body = ENCODER.encode(document)
    named = {
        **problems.headers(problem),
        "content-type": "application/problem+json",
        "content-length": str(len(body)),
    }
    headers = [*more, *((name.encode(), text.encode()) for name, text in named.items())]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"%s%s\r\n%s" % (STATUS_LINE[status], lines, body)
