"""HTTP/1.1 on one connection: uvicorn's protocol, with bounds on everything that a client sends.

    idle ──first byte──▶ head ──complete──▶ body ──complete──▶ answer ──▶ idle …
      │                    │                  │                  │
      └ http_idle_s_max    └ bytes, fields,   └ bytes a second,  └ bytes a second
                             target, seconds    bytes of all bodies under way

httptools parses. It joins the pieces of an unfinished header, at a cost that grows with the square
of their number, so this module counts bytes before httptools sees them. A request that breaks a
bound or the grammar is answered with a problem document, after the answers to earlier requests of
the connection. Then the connection is closed. Bytes that the client sends after that are thrown
away for a short time.
"""

import asyncio
import re
from collections.abc import Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE as STATUS_LINES
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from runtime import telemetry
from runtime.problems import (
    CodingUnknown,
    ExpectationUnknown,
    HeadTooLarge,
    Invalid,
    Problem,
    TargetTooLong,
    TooSlow,
    Unavailable,
)
from web import access_log
from web.answers import Answer
from web.failures import answer_of
from web.settings import HttpLimits
from web.transport import Transport, new_id

REQUEST_ID = b"request-id"
# The most that is parsed at once. It bounds the memory that is used beyond the limits.
PIECE_BYTES = 16_384
# How long a refused client may take to read the answer, and how many of its bytes are thrown away.
LINGER_S = 2.0
LINGER_BYTES_MAX = 65_536
# The rest of a body that was refused: many clients read no answer before they have sent it all.
LINGER_BODY_BYTES_MAX = 16_777_216
# How many connections above the bound are answered 503; the others are aborted.
REFUSALS_MAX = 100
# A body must keep its rate over each such stretch of time.
RATE_WINDOW_S = 10.0
VERSIONS = frozenset({"1.0", "1.1"})
# A header's colon, space and line end.
HEADER_EXTRA_BYTES = 4
_LOOKED_AT = frozenset({b"host", b"expect", b"transfer-encoding", REQUEST_ID})
# The headers that say where a body ends.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?")

Headers = Iterable[tuple[bytes, bytes]]


class Load:
    """What all connections of a server hold together, and how many they may be.

    Beyond `connections_max` a connection is answered 503; beyond `refusals_max` it is aborted, so
    that the refused ones are bounded, too.
    """

    def __init__(self, connections_max: int) -> None:
        self.body_bytes = 0
        self.connections_max = connections_max
        self.refusals_max = connections_max + REFUSALS_MAX


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(self, *arguments: Any, limits: HttpLimits, load: Load, **named: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **named)
        self._limits = limits
        self._load = load
        # Bytes since the parser last completed a head or a part of a body.
        self._pending = 0
        self._in_head = True
        self._fields_max = limits.http_header_fields_max
        self._hosts: list[bytes] = []
        self._valid_host: bytes | None = None
        self._request_id = b""
        # When the head began; when the current stretch of a body began, and its bytes.
        self._head_since_s: float | None = None
        self._window_since_s = 0.0
        self._window_bytes = 0
        self._body_bytes = 0
        # When the client last took an answer fast enough, and the bytes it had taken by then.
        self._taken_bytes = 0
        self._taken_since_s = 0.0
        # Why the parser was told to stop; since when the client is only waited for.
        self._reason: Problem | None = None
        self._lingering_since_s: float | None = None
        self._thrown_bytes = 0
        self._thrown_bytes_max = LINGER_BYTES_MAX

    # --- the connection ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and refuse it if there are too many."""
        # uvloop's transports are asyncio's by behaviour, not by inheritance, and so is ours.
        self._joining = Transport(cast("asyncio.Transport", transport))
        super().connection_made(cast("asyncio.Transport", self._joining))
        self._head_since_s = self._taken_since_s = self.loop.time()
        if len(self.connections) > self._load.refusals_max:
            self._joining.abort()
        elif len(self.connections) > self._load.connections_max:
            self._refuse(Unavailable("too_many_connections", "The server has no room for more."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what this connection held."""
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, a bounded piece at a time."""
        if self._lingering_since_s is not None:
            self._thrown_bytes += len(data)
            if self._thrown_bytes > self._thrown_bytes_max:
                self._joining.abort()
            return
        self._unset_keepalive_if_required()
        if self._in_head and self._head_since_s is None:
            # The empty lines before a request belong to its head: they take its time.
            self._head_since_s = self.loop.time()
        if len(data) <= PIECE_BYTES:
            self._feed(data)
            return
        for start in range(0, len(data), PIECE_BYTES):
            if not self._feed(data[start : start + PIECE_BYTES]):
                return

    def check(self, now_s: float) -> None:
        """End a connection whose client is too slow; called about once a second."""
        if self._is_stuck(now_s):
            self._joining.abort()
        elif self._lingering_since_s is not None:
            if self._is_unanswered():
                self._lingering_since_s = now_s
            elif now_s - self._lingering_since_s > LINGER_S:
                self._joining.abort()
        elif self.flow.read_paused or not (self._in_head or self.cycle.more_body):
            # The service is not reading, so the client cannot be blamed.
            self._window_since_s, self._window_bytes = now_s, 0
            if self._head_since_s is not None:
                self._head_since_s = now_s
        elif self._in_head:
            since = self._head_since_s
            if since is not None and now_s - since > self._limits.http_head_s_max:
                self._refuse(_too_slow("the head of the request was not complete in time"))
        elif now_s - self._window_since_s > RATE_WINDOW_S:
            if self._window_bytes < self._limits.http_body_bytes_per_s_min * RATE_WINDOW_S:
                self._refuse(_too_slow("the body arrives too slowly"))
            self._window_since_s, self._window_bytes = now_s, 0

    def _is_stuck(self, now_s: float) -> bool:
        """Return whether the client does not take its answer, at the rate of a body at least."""
        limits = self._limits
        unsent = self._joining.get_write_buffer_size()
        taken = self._joining.written_bytes - unsent
        least = limits.http_body_bytes_per_s_min * limits.http_idle_s_max
        if not unsent or taken - self._taken_bytes >= least:
            self._taken_bytes, self._taken_since_s = taken, now_s
        return now_s - self._taken_since_s > limits.http_idle_s_max

    def _is_unanswered(self) -> bool:
        """Return whether the last request whose head is complete still waits for its answer."""
        cycle = self.cycle
        # uvicorn declares no None, but there is none before the first request.
        if cycle is None:
            return False  # type: ignore[unreachable]
        return not (cycle.response_complete or cycle.disconnected)

    # --- what the parser finds --------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._hosts = []
        self._request_id = b""
        if self._head_since_s is None:
            self._head_since_s = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self.url += url
        if len(self.url) > self._limits.http_target_bytes_max:
            limit = self._limits.http_target_bytes_max
            self._stop(TargetTooLong("target_too_long", f"A target has at most {limit} bytes."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header. The trailers of a chunked body are ignored."""
        if not self._in_head:
            return
        headers = self.headers
        if len(headers) >= self._fields_max:
            self._stop(_too_large(f"{self._fields_max} fields"))
        name = name.lower()
        headers.append((name, value))
        if name in _LOOKED_AT:
            self._look_at(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        hosts, limit = self._hosts, self._limits.http_head_bytes_max
        # `_pending` may lack a piece, of which an earlier request took a part.
        if self._pending > limit - PIECE_BYTES and self._head_bytes() > limit:
            self._stop(_too_large(f"{limit} bytes"))
        version = self.parser.get_http_version()
        needed = version != "1.0"
        if len(hosts) != 1 or hosts[0] != self._valid_host:
            self._check_host(needed=needed)
        if version not in VERSIONS:
            self._stop(_malformed())
        if not needed:
            # HTTP/1.0 knows no answer before the answer.
            self.expect_100_continue = False
        # It refuses a target that cannot be parsed.
        super().on_headers_complete()
        self._pending = 0
        self._in_head = False
        self._head_since_s = None
        self._window_since_s, self._window_bytes = self.loop.time(), 0
        request_id = self._request_id or new_id()
        self._joining.ids.append(request_id)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["request_id"] = request_id.decode("ascii")
        scope["write_whole"] = partial(self._write_whole, self.cycle)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        super().on_body(body)
        self._pending = 0
        size = len(body)
        self._window_bytes += size
        self._body_bytes += size
        self._load.body_bytes += size
        if self._load.body_bytes > self._limits.http_bodies_bytes_max:
            self._stop(Unavailable("too_many_bodies", "Too many bodies arrive at once."))

    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self._pending = 0
        self._in_head = True
        if self.cycle.response_complete and self.cycle.more_body:
            # This body was thrown away, after its request was answered. Now the client is idle.
            self.cycle.more_body = False
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """End an answer. The rest of a small body is thrown away; a large one is not waited for."""
        self._joining.end()
        if self._body_bytes:
            self._release()
        super().on_response_complete()
        # The last request may be another one, whose body is still arriving.
        if self.cycle.response_complete and self.cycle.more_body and not self._is_small():
            self._thrown_bytes_max = LINGER_BODY_BYTES_MAX
            self._linger()

    def _write_whole(
        self, cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes
    ) -> bool:
        """Write a whole answer at once, which spares uvicorn two messages; return whether it was.

        If it was not, because the client is slow or gone, uvicorn's own way is still open.
        """
        if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
            return False
        lines = [STATUS_LINES[status]]
        lines += [b"%s: %s\r\n" % (name.lower(), value) for name, value in cycle.default_headers]
        lines += [b"%s: %s\r\n" % (name.lower(), value) for name, value in headers]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines):
            raise RuntimeError("A header of the answer holds a line end.")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self._joining.write_whole(head, b"" if cycle.scope["method"] == "HEAD" else body)
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    # --- refusing ---------------------------------------------------------------------------

    def _feed(self, piece: bytes) -> bool:
        """Parse a piece; return whether to go on."""
        self._pending += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as stopped:
            self._decline_upgrade(piece[stopped.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._reason or _malformed())
            return False
        limit = self._limits.http_head_bytes_max
        if self._pending > limit and self._lingering_since_s is None:
            self._refuse(_too_large(f"{limit} bytes"))
        return self._lingering_since_s is None

    def _decline_upgrade(self, rest: bytes) -> None:
        """Answer the request as if it had not asked for another protocol.

        The parser takes `rest`, which may hold the request's body, for the other protocol. A
        second parser, to which the end of the head is repeated, reads the body. (Java's client
        asks for HTTP/2 in this way, with a body.)
        """
        cycle = self.cycle
        cycle.keep_alive = False
        framing = [b"%s: %s\r\n" % header for header in self.headers if header[0] in _FRAMING]
        if not framing:
            return
        cycle.more_body = True
        cycle.message_event.clear()
        self._in_head = False
        self._pending = 0

        def on_body(body: bytes) -> None:
            # What follows the body is not read: the connection is closed after the answer.
            if cycle.more_body:
                self.on_body(body)

        found = SimpleNamespace(on_body=on_body, on_message_complete=self.on_message_complete)
        self.parser = httptools.HttpRequestParser(found)
        self._feed(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(framing) + rest)

    def _head_bytes(self) -> int:
        return sum(len(name) + len(value) + HEADER_EXTRA_BYTES for name, value in self.headers)

    def _is_small(self) -> bool:
        """Return whether the body says that it is one that can be thrown away."""
        length = dict(self.headers).get(b"content-length", b"")
        return length.isdigit() and int(length) <= LINGER_BYTES_MAX

    def _check_host(self, *, needed: bool) -> None:
        hosts = self._hosts
        if len(hosts) > 1 or (needed and not hosts) or (hosts and not _HOST.fullmatch(hosts[0])):
            self._stop(Invalid("host_invalid", "A request has one `Host`: a name and a port."))
        if hosts:
            self._valid_host = hosts[0]

    def _look_at(self, name: bytes, value: bytes) -> None:
        match name:
            case b"host":
                self._hosts.append(value)
            case b"expect" if value.lower() == b"100-continue":
                self.expect_100_continue = True
            case b"expect":
                detail = "The only expectation that can be met is `100-continue`."
                self._stop(ExpectationUnknown("expectation_unknown", detail))
            case b"transfer-encoding" if value.lower() != b"chunked":
                detail = "The only transfer coding that is read is `chunked`."
                self._stop(CodingUnknown("transfer_coding_unknown", detail))
            case b"request-id" if _ID.fullmatch(value):
                self._request_id = value
            case _:
                pass

    def _stop(self, reason: Problem) -> NoReturn:
        """Stop the parser: it raises whatever a callback raises."""
        self._reason = reason
        raise reason

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem, after the answers to earlier requests, and close."""
        self._reason = None
        cycle = self.cycle
        unanswered = self._is_unanswered()
        if unanswered and (self._in_head or cycle.response_started):
            # A complete request is being answered. After that the connection ends.
            cycle.keep_alive = False
            self._linger(half=False)
            return
        answer = self._refusal(problem)
        if self.pipeline:
            # The request to refuse waits behind another one, so its answer waits, too.
            cycle.keep_alive = False
            self.pipeline.popleft()
            self.pipeline.appendleft((cycle, cast("Any", answer)))
            self._linger(half=False)
            return
        if unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        head = b"".join(b"%s: %s\r\n" % header for header in answer.headers)
        status = STATUS_LINES[answer.status]
        self._joining.write(b"%s%sconnection: close\r\n\r\n" % (status, head))
        self._joining.write(answer.body)
        self._linger()

    def _refusal(self, problem: Problem) -> Answer:
        """Return the answer to the request that is being read, with the request's id."""
        ids = self._joining.ids
        if not ids:
            ids.append(self._request_id or new_id())
        token = telemetry.REQUEST_ID.set(ids[-1].decode("ascii"))
        try:
            answer = answer_of(problem)
            if self._limits.http_access_log:
                access_log.refused(answer.status, problem.code)
        finally:
            telemetry.REQUEST_ID.reset(token)
        return answer

    def _linger(self, *, half: bool = True) -> None:
        """Let the client read what was written, and throw away what it still sends."""
        if self._lingering_since_s is None and not self._joining.is_closing():
            self._lingering_since_s = self.loop.time()
            self._unset_keepalive_if_required()
            if half:
                self._joining.end()
                self._joining.write_eof()

    def _release(self) -> None:
        self._load.body_bytes -= self._body_bytes
        self._body_bytes = 0


def _malformed() -> Invalid:
    return Invalid("request_malformed", "This is no request of HTTP/1.1.")


def _too_large(bound: str) -> HeadTooLarge:
    return HeadTooLarge("head_too_large", f"The head of a request has at most {bound}.")


def _too_slow(what: str) -> TooSlow:
    return TooSlow("request_too_slow", f"The connection is closed: {what}.")
