"""What a client may take before anything is known of it, and how malformed requests are answered.

Over real sockets, because what counts is what the server reads, and when it stops to.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import pytest
from litestar import Litestar

from daybook.embedded.servers import LOOPBACK, free_port
from runtime import telemetry
from web import protocol, server
from web.answers import Reply
from web.endpoints import endpoints, route
from web.failures import EXCEPTION_HANDLERS
from web.operations import operation
from web.request import Request
from web.server import served
from web.settings import HttpLimits

LIMITS = HttpLimits(http_head_bytes_max=4_096, http_header_fields_max=20, http_target_bytes_max=512)
# What may be on its way between two sockets when one of them stops reading.
IN_FLIGHT_BYTES = 12_000_000
END_S = 20
CHUNKED = b"POST /posted HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


class Seen(msgspec.Struct):
    """What the operation saw of a request."""

    headers: list[str]
    request_id: str
    body: str = ""


class Anything(msgspec.Struct):
    """A body."""

    text: str = ""


@operation("GET", "/seen", name="seen", tag="t", answers={200: Seen})
async def seen(request: Request) -> Reply:
    """Say what arrived."""
    return Reply(Seen(sorted(request.headers), telemetry.REQUEST_ID.get()))


@operation("GET", "/slow", name="slow", tag="t", answers={200: Seen})
async def slow(request: Request) -> Reply:
    """Take half a second."""
    await asyncio.sleep(0.5)
    return Reply(Seen(sorted(request.headers), telemetry.REQUEST_ID.get()))


@operation("POST", "/posted", name="posted", tag="t", answers={200: Seen})
async def posted(request: Request, body: Anything) -> Reply:
    """Say what arrived, with its body."""
    return Reply(Seen(sorted(request.headers), telemetry.REQUEST_ID.get(), body.text))


class Settings(msgspec.Struct, frozen=True):
    """What an operation with a body asks for, beside the limits."""

    limits: HttpLimits
    body_bytes_max: int = 100_000

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a limit
        """Return one of the limits."""
        return getattr(self.limits, name)


class Answer(NamedTuple):
    """An answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Return the code of a problem document, which it must be."""
        assert self.headers["content-type"] == "application/problem+json"
        document = json.loads(self.body)
        assert document["type"] == f"urn:daybook:problem:{document['code']}"
        assert document["status"] == self.status
        assert document["requestId"].lower() == self.headers["request-id"]
        return str(document["code"])


@asynccontextmanager
async def serving(limits: HttpLimits = LIMITS) -> AsyncIterator[int]:
    """Serve the operations within `limits`; yield the port."""
    found = endpoints([seen, slow, posted])
    app = Litestar(
        [route(each) for each in found],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    app.state.endpoints = {each.path: each for each in found}
    app.state.settings = Settings(limits)
    app.state.stopping = asyncio.Event()
    port = free_port()
    async with served(app, LOOPBACK, port):
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                break
        yield port


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve within small limits."""
    async with serving() as port:
        yield port


async def said(reader: asyncio.StreamReader) -> Answer | None:
    """Return the next answer on a connection; None if it is closed before one."""
    async with asyncio.timeout(END_S):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        status_line, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", "0"))
        return Answer(int(status_line.split()[1]), headers, await reader.readexactly(length))


async def asked(port: int, request: bytes) -> Answer | None:
    """Send bytes on a connection of their own; return the first answer."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(request)
        return await said(reader)
    finally:
        writer.close()


def get(headers: bytes = b"host: x\r\n", target: bytes = b"/seen") -> bytes:
    """Return a request without a body."""
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (target, headers)


def post(headers: bytes, body: bytes = b"") -> bytes:
    """Return a request with a body."""
    return b"POST /posted HTTP/1.1\r\nhost: x\r\n%s\r\n%s" % (headers, body)


async def flooded(port: int, begin: bytes, piece: bytes, bytes_max: int) -> int:
    """Send `piece` until the server takes no more; return how many bytes left this side."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)  # noqa: FBT003 - as sockets have it
        await loop.sock_connect(client, (LOOPBACK, port))
        await loop.sock_sendall(client, begin)
        sent = len(begin)
        try:
            while sent < bytes_max:
                async with asyncio.timeout(END_S):
                    await loop.sock_sendall(client, piece)
                sent += len(piece)
        except (TimeoutError, ConnectionError):
            pass
        return sent


@pytest.mark.parametrize(
    "begin, piece",
    [
        (b"GET /seen HTTP/1.1\r\nhost: x\r\nx-long: ", b"a" * 65_536),
        (b"GET /seen HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n" * 10_000),
        (b"GET /", b"a" * 65_536),
        (b"", b"\r\n" * 32_768),
        (CHUNKED + b"1;", b"a" * 65_536),
        (CHUNKED + b"0\r\nx: ", b"a" * 65_536),
    ],
    ids=["a long line", "many lines", "a long target", "no request", "a long extension",
         "a long trailer"],
)  # fmt: skip
async def test_a_flood_of_headers_is_not_read(port: int, begin: bytes, piece: bytes) -> None:
    """45 MB are not taken from a client that nobody knows, and nobody else notices."""
    flood = asyncio.create_task(flooded(port, begin, piece, 45_000_000))
    for _ in range(20):
        answer = await asked(port, get())
        assert answer is not None
        assert answer.status == 200
    assert await flood < IN_FLIGHT_BYTES


@pytest.mark.parametrize(
    "request_, status, code",
    [
        (get(b"host: x\r\nx: " + b"a" * 5_000 + b"\r\n"), 431, "head_too_large"),
        (get(b"host: x\r\n" + b"a: b\r\n" * 20), 431, "head_too_large"),
        (get(target=b"/" + b"a" * 600), 414, "target_too_long"),
        (get(b""), 400, "host_invalid"),
        (get(b"host: x\r\nhost: x\r\n"), 400, "host_invalid"),
        (get(b"host: \r\n"), 400, "host_invalid"),
        (get(b"host: a b\r\n"), 400, "host_invalid"),
        (get(b"host: http://x\r\n"), 400, "host_invalid"),
        (get(b"host: x:port\r\n"), 400, "host_invalid"),
        (get(b"host: x\r\nexpect: magic\r\n"), 417, "expectation_unknown"),
        (post(b"transfer-encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501,
         "transfer_coding_unknown"),
        (post(b"transfer-encoding: identity\r\n"), 501, "transfer_coding_unknown"),
        (post(b"transfer-encoding: chunked\r\ncontent-length: 3\r\n", b"0\r\n\r\n"), 400,
         "request_malformed"),
        (post(b"content-length: 3\r\ncontent-length: 4\r\n", b"abcd"), 400, "request_malformed"),
        (post(b"content-length: 3, 3\r\n", b"abc"), 400, "request_malformed"),
        (post(b"content-length: -1\r\n"), 400, "request_malformed"),
        (post(b"content-length: 99999999999999999999\r\n"), 400, "request_malformed"),
        (post(b"transfer-encoding: chunked\r\n", b"zz\r\n"), 400, "request_malformed"),
        (get(b"host: x\r\nx: a\x00b\r\n"), 400, "request_malformed"),
        (get(b"host: x\r\nx: a\r\n folded\r\n"), 400, "request_malformed"),
        (get(b"host: x\r\nx y: z\r\n"), 400, "request_malformed"),
        (get(b"host: x\r\nx : z\r\n"), 400, "request_malformed"),
        (get(target=b"/se\xc3\xa9n"), 400, "request_malformed"),
        (b"GET /seen\r\n\r\n", 400, "host_invalid"),
        (b"GET /seen HTTP/2.0\r\nhost: x\r\n\r\n", 400, "request_malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "request_malformed"),
        (b"hello\r\n\r\n", 400, "request_malformed"),
    ],
)  # fmt: skip
async def test_a_request_is_refused_in_the_shape_of_all_problems(
    port: int, request_: bytes, status: int, code: str
) -> None:
    """And the connection is closed: nobody knows where the next request would begin."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(request_)
    answer = await said(reader)
    assert answer is not None
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    async with asyncio.timeout(END_S):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        get(b"host: x:80\r\n"),
        get(b"host: [::1]:80\r\n"),
        get(b"HOST: x\r\n"),
        get(b"host: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"),
        get(target=b"http://x/seen"),
        b"GET /seen HTTP/1.0\r\n\r\n",
        b"\r\n" + get(),
    ],
)
async def test_an_unusual_request_is_answered(port: int, request_: bytes) -> None:
    """As RFC 9112 has it."""
    answer = await asked(port, request_)
    assert answer is not None
    assert answer.status == 200


async def test_a_trailer_is_no_header(port: int) -> None:
    """Nobody looked at it before the body was read."""
    body = b'f\r\n{"text": "abc"}\r\n0\r\nidempotency-key: k\r\nx: y\r\n\r\n'
    answer = await asked(port, post(b"transfer-encoding: chunked\r\n", body))
    assert answer is not None
    seen = json.loads(answer.body)
    assert seen["body"] == "abc"
    assert seen["headers"] == ["host", "transfer-encoding"]


@pytest.mark.parametrize(
    "headers, body",
    [
        (b"content-length: 15\r\n", b'{"text": "abc"}'),
        (b"transfer-encoding: chunked\r\n", b'f\r\n{"text": "abc"}\r\n0\r\n\r\n'),
    ],
)
async def test_the_body_of_a_request_for_another_protocol_is_read(
    port: int, headers: bytes, body: bytes
) -> None:
    """Java's client asks for HTTP/2 with each first request. What follows is not answered."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    asks = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n"
    whole = post(asks + headers, body)
    writer.write(whole[:-5])
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(whole[-5:] + get())
    answer = await said(reader)
    assert answer is not None
    assert answer.status == 200
    assert json.loads(answer.body)["body"] == "abc"
    assert answer.headers["connection"] == "close"
    assert await said(reader) is None
    writer.close()


@pytest.mark.parametrize(
    "broken, code",
    [
        (CHUNKED + b"zz\r\n", "request_malformed"),
        (b"GET /seen HTTP/1.1\r\n\r\n", None),
        (b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n", None),
        (b"nonsense", None),
    ],
)
async def test_a_refusal_never_takes_the_place_of_an_earlier_answer(
    port: int, broken: bytes, code: str | None
) -> None:
    """A client that pipelines would take it for the answer to its first request."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(get(target=b"/slow") + broken)
    first = await said(reader)
    assert first is not None
    assert first.status == 200
    second = await said(reader)
    assert (second and second.code) == code
    async with asyncio.timeout(END_S):
        assert await reader.read() == b""
    writer.close()


async def test_an_answer_under_way_is_finished_before_a_refused_connection_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However short the client of a refused request is waited for."""
    monkeypatch.setattr(protocol, "LINGER_S", -1.0)
    monkeypatch.setattr(server, "TICKS", 1)
    async with serving(LIMITS) as port:
        answer = await asked(port, get(target=b"/slow") + b"nonsense")
    assert answer is not None
    assert answer.status == 200


async def test_http_1_0_gets_no_answer_before_the_answer(port: int) -> None:
    """It does not know `100 Continue`, and would take it for the answer."""
    head = b"POST /posted HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    answer = await asked(port, head + b"{}")
    assert answer is not None
    assert answer.status == 200


async def test_requests_in_a_row_are_answered_in_order(port: int) -> None:
    """Pipelined; a malformed one ends the row."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(get(b"host: x\r\nrequest-id: one\r\n") + get(b"host: x\r\nrequest-id: two\r\n"))
    writer.write(b"nonsense\r\n\r\n")
    answers = [await said(reader), await said(reader)]
    assert [answer and answer.headers["request-id"] for answer in answers] == ["one", "two"]
    writer.close()


@pytest.mark.parametrize(
    "given, kept",
    [
        (b"abc-123/4:5", True),
        (b"a" * 128, True),
        (b"a" * 129, False),
        (b"a b", False),
        (b"\xc3\xa9", False),
        (b'a"b', False),
        (b"", False),
    ],
)
async def test_a_request_id_is_taken_or_made(port: int, given: bytes, kept: bool) -> None:  # noqa: FBT001
    """The handler and its log lines have the same."""
    answer = await asked(port, get(b"host: x\r\nrequest-id: %s\r\n" % given))
    assert answer is not None
    request_id = answer.headers["request-id"]
    assert (request_id.encode() == given) is kept
    assert json.loads(answer.body)["request_id"].lower() == request_id
    assert answer.headers["cache-control"] == "no-store"


async def test_a_slow_head_is_not_waited_for() -> None:
    """Neither one that drips, nor a connection on which nothing comes."""
    async with serving(replace(LIMITS, http_head_s_max=0.5)) as port:
        silent, silent_writer = await asyncio.open_connection(LOOPBACK, port)
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        dripping = asyncio.create_task(_drip(writer, b"GET /seen HTTP/1.1\r\nhost: x\r\nx: "))
        for each in (reader, silent):
            answer = await said(each)
            assert answer is not None
            assert (answer.status, answer.code) == (408, "request_too_slow")
        dripping.cancel()
        silent_writer.close()
        writer.close()


async def test_empty_lines_do_not_keep_a_connection() -> None:
    """The time of a head runs from the first byte after an answer, even an empty line."""
    async with serving(replace(LIMITS, http_head_s_max=0.5)) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(get())
        assert (await said(reader)) is not None
        await asyncio.sleep(0.05)
        writer.write(b"\r\n")
        answer = await said(reader)
        assert answer is not None
        assert (answer.status, answer.code) == (408, "request_too_slow")
        writer.close()


async def test_requests_that_wait_for_an_earlier_one_are_not_too_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server does not read the third before the first is answered."""
    monkeypatch.setattr(server, "TICKS", 1)
    async with serving(replace(LIMITS, http_head_s_max=0.2)) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(get(target=b"/slow") + get() + get()[:-4])
        await asyncio.sleep(0.4)
        writer.write(get()[-4:])
        for _ in range(3):
            answer = await said(reader)
            assert answer is not None
            assert answer.status == 200
        writer.close()


async def test_the_body_of_a_waiting_request_may_still_arrive(port: int) -> None:
    """When the answer to the earlier one is sent, the rest of it is read."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    whole = post(b"content-length: 15\r\n", b'{"text": "abc"}')
    writer.write(get(target=b"/slow") + whole[:-5])
    assert (await said(reader)) is not None
    writer.write(whole[-5:])
    answer = await said(reader)
    assert answer is not None
    assert json.loads(answer.body)["body"] == "abc"
    writer.close()


async def test_a_client_that_takes_no_answers_is_cut_off() -> None:
    """It would hold its connection and the bytes of its answers for ever."""
    loop = asyncio.get_running_loop()
    whole = b'{"text": "%s"}' % (b"a" * 90_000)
    request = post(b"content-length: %d\r\n" % len(whole), whole)
    async with serving(replace(LIMITS, http_idle_s_max=1)) as port:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)  # noqa: FBT003 - as sockets have it
            await loop.sock_connect(client, (LOOPBACK, port))
            async with asyncio.timeout(END_S):
                with pytest.raises(ConnectionError):
                    await loop.sock_sendall(client, request * 400)


async def test_a_slow_body_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is closed, even if the client goes on sending."""
    monkeypatch.setattr(protocol, "RATE_WINDOW_S", 0.5)
    monkeypatch.setattr(protocol, "LINGER_S", 0.5)
    async with serving(LIMITS) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        head = b"POST /posted HTTP/1.1\r\nhost: x\r\ncontent-length: 50000\r\n\r\n"
        dripping = asyncio.create_task(_drip(writer, head))
        answer = await said(reader)
        assert answer is not None
        assert (answer.status, answer.code) == (408, "request_too_slow")
        with suppress(ConnectionError):
            async with asyncio.timeout(END_S):
                await writer.wait_closed()
        dripping.cancel()
        writer.close()


async def test_bodies_under_way_are_bounded_together() -> None:
    """What does not fit is refused; when the others have gone, there is room again."""
    head = b"POST /posted HTTP/1.1\r\nhost: x\r\ncontent-length: 50000\r\n\r\n"
    async with serving(replace(LIMITS, http_bodies_bytes_max=100_000)) as port:
        held = [await asyncio.open_connection(LOOPBACK, port) for _ in range(3)]
        for _, writer in held:
            writer.write(head + b" " * 40_000)
            await writer.drain()
        first = await asyncio.wait(
            [asyncio.create_task(said(reader)) for reader, _ in held],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=END_S,
        )
        (refused,) = [task.result() for task in first[0]]
        assert refused is not None
        assert (refused.status, refused.code) == (503, "too_many_bodies")
        assert "retry-after" in refused.headers
        for _, writer in held:
            writer.close()
        await asyncio.gather(*first[1], return_exceptions=True)
        whole = b'{"text": "%s"}' % (b"a" * 60_000)
        answer = await asked(port, post(b"content-length: %d\r\n" % len(whole), whole))
        assert answer is not None
        assert answer.status == 200


async def test_connections_are_bounded() -> None:
    """One more is answered, and closed; when one has gone, there is room again."""
    async with serving(replace(LIMITS, http_connections_max=2)) as port:
        held = [await asyncio.open_connection(LOOPBACK, port) for _ in range(2)]
        for reader, writer in held:
            writer.write(get())
            answer = await said(reader)
            assert answer is not None
            assert answer.status == 200
        refused = await asked(port, get())
        assert refused is not None
        assert (refused.status, refused.code) == (503, "too_many_connections")
        held[0][1].close()
        async with asyncio.timeout(END_S):
            while (answer := await asked(port, get())) is None or answer.status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        held[1][1].close()


async def test_refused_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few are told why; the others are closed at once."""
    monkeypatch.setattr(protocol, "REFUSALS_MAX", 3)
    held = []
    statuses = []
    async with serving(replace(LIMITS, http_connections_max=1)) as port:
        for _ in range(10):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(get())
            answer = await said(reader)
            statuses.append(answer.status if answer else 0)
            held.append(writer)
        for writer in held:
            writer.close()
    # The connection that found the server ready may have left in between.
    assert 1 <= statuses.count(503) <= 4
    assert statuses.count(200) <= 1


async def test_a_refusal_is_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """As every request is, if the log is turned on."""
    caplog.set_level("INFO", logger="web.access_log")
    async with serving(replace(LIMITS, http_access_log=True)) as port:
        await asked(port, get(b""))
        await asked(port, get())
    fields = [record.fields for record in caplog.records if record.name == "web.access_log"]  # type: ignore[attr-defined]
    assert fields[0] == {"status": 400, "code": "host_invalid"}
    assert (fields[1]["method"], fields[1]["path"], fields[1]["status"]) == ("GET", "/seen", 200)


async def test_a_body_that_is_not_read_is_not_waited_for(port: int) -> None:
    """An answer before the end of the body closes the connection, however much is still to come."""
    head = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 45000000\r\n\r\n"
    began_s = time.monotonic()
    thrown = protocol.LINGER_BODY_BYTES_MAX
    assert await flooded(port, head, b"a" * 65_536, 45_000_000) < thrown + IN_FLIGHT_BYTES
    assert time.monotonic() - began_s < END_S


async def _drip(writer: asyncio.StreamWriter, begin: bytes) -> None:
    writer.write(begin)
    while True:
        await asyncio.sleep(0.1)
        writer.write(b"a")
