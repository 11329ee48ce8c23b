"""What is written to a connection, and in how many system calls."""

import asyncio
import resource
from typing import Any, cast

import httpx
import pytest
import uvicorn
from litestar.types import Receive, Scope, Send

from daybook.embedded.servers import LOOPBACK, free_port
from web.server import OTHER_FILES, config, connections_max
from web.settings import HttpLimits
from web.transport import Transport

ADDED = b"x-content-type-options: nosniff\r\ncache-control: no-store\r\nrequest-id: one\r\n\r\n"
HEAD = b"HTTP/1.1 202 Accepted\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\n"
WHOLE_HEAD = HEAD[:-2] + ADDED
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE_STREAM = STREAM[:-2] + ADDED
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Recorded:
    """A transport that records the calls of `write` and `close`."""

    def __init__(self) -> None:
        self.calls: list[bytes | str] = []
        self.write = self.calls.append
        self.is_closing = self.get_extra_info = lambda *_: None
        self.get_write_buffer_size = lambda: 0
        self.pause_reading = self.resume_reading = self.is_closing
        self.abort = self.write_eof = self.is_closing

    def close(self) -> None:
        """Record that it is closed."""
        self.calls.append("closed")


def joining() -> tuple[Transport, list[bytes | str]]:
    """Return a transport, and the calls of the transport under it."""
    recorded = Recorded()
    transport = Transport(cast("asyncio.Transport", recorded))
    transport.ids.extend([b"one"] * 9)
    return transport, recorded.calls


def test_head_and_body_leave_together() -> None:
    """Of one answer after the other."""
    transport, calls = joining()
    for _ in range(2):
        transport.write(HEAD)
        transport.write(b"body")
        transport.end()
    assert calls == [WHOLE_HEAD + b"body"] * 2


def test_what_has_no_length_goes_at_once() -> None:
    """The first piece of a stream may come much later, and a client that asked waits for 100."""
    transport, calls = joining()
    transport.write(CONTINUE)
    transport.write(STREAM)
    transport.write(b"4\r\nbody\r\n")
    assert calls == [CONTINUE, WHOLE_STREAM, b"4\r\nbody\r\n"]


def test_a_body_that_comes_in_pieces_is_whole() -> None:
    """Only the first of them waits for nobody."""
    transport, calls = joining()
    for piece in (HEAD, b"bo", b"d", b"y"):
        transport.write(piece)
    assert calls == [WHOLE_HEAD + b"bo", b"d", b"y"]


def test_a_head_alone_leaves_at_the_end_of_its_answer() -> None:
    """As of HEAD; and what was written is not written again."""
    transport, calls = joining()
    transport.write(HEAD)
    assert calls == []
    transport.end()
    transport.end()
    assert calls == [WHOLE_HEAD]


def test_an_answer_that_may_be_kept_says_so_itself() -> None:
    """Every other one is not to be stored."""
    transport, calls = joining()
    transport.write(HEAD[:-2] + b"cache-control: max-age=60\r\n\r\n")
    transport.write(b"HTTP/1.1 body")
    assert calls[0].count(b"cache-control") == 1  # type: ignore[arg-type]
    assert calls[0].endswith(b"HTTP/1.1 body")  # type: ignore[arg-type]


def test_what_waits_leaves_before_it_is_closed() -> None:
    """An error between head and body closes the connection."""
    transport, calls = joining()
    transport.write(HEAD)
    transport.close()
    assert calls == [WHOLE_HEAD, "closed"]


async def test_every_kind_of_answer_arrives_whole() -> None:
    """Over a connection that is kept: with a body, to HEAD, streamed, with 100 before it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        length = [] if scope["path"] == "/streamed" else [(b"content-length", b"4")]
        head: Any = {"type": "http.response.start", "status": 200, "headers": length}
        await send(head)
        await send({"type": "http.response.body", "body": b"body", "more_body": False})

    port = free_port()
    served = uvicorn.Server(config(app, LOOPBACK, port, HttpLimits(), "off"))
    task = asyncio.create_task(served.serve())
    while not served.started:  # noqa: ASYNC110 - uvicorn says it in no other way
        await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=5) as client:
        for _ in range(2):
            assert (await client.get("/")).text == "body"
            assert (await client.head("/")).headers["content-length"] == "4"
            assert (await client.get("/streamed")).text == "body"
            asked = await client.post("/", content=b"x", headers={"Expect": "100-continue"})
            assert asked.text == "body"
    served.should_exit = True
    await task


@pytest.mark.parametrize(
    "soft, hard, raised, possible",
    [
        (1_024, 1_048_576, 10_000 + OTHER_FILES, 10_000),
        (1_024, resource.RLIM_INFINITY, 10_000 + OTHER_FILES, 10_000),
        (1_024, 4_096, 4_096, 4_096 - OTHER_FILES),
        (1_024, 1_024, None, 1_024 - OTHER_FILES),
        (65_536, 65_536, None, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 10_000),
    ],
)
def test_connections_leave_files_for_the_database(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int | None, possible: int
) -> None:
    """The limit of open files is raised as far as it may be; connections get what is left."""
    wanted = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: wanted.append(limits))
    assert connections_max(10_000) == possible
    assert wanted == ([] if raised is None else [(raised, hard)])
