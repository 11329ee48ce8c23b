"""The HTTP server of every process: uvicorn, in the loop of whoever asks for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Literal, cast

import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.direct import Direct

STATUS_LINE = b"HTTP/1.1 "
LENGTH = b"\r\ncontent-length: "


class Transport:
    """A connection's transport, on which an answer's head leaves with its body, in one system call.

    uvicorn writes one after the other. A head that says how long its body is waits for it; that of
    a stream, which doesn't, goes at once.
    """

    __slots__ = (
        "_head",
        "_transport",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
    )

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Write it, behind the head that waits for it; or let it wait, if it is one."""
        if not self._head and data.startswith(STATUS_LINE) and LENGTH in data:
            self._head = data
            return
        head, self._head = self._head, b""
        self._transport.write(head + data)

    def flush(self) -> None:
        """Write the head that waits, if one does."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write what waits, and close."""
        self.flush()
        self._transport.close()


class Protocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, over such a transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be one of a client's connections."""
        # uvloop's transports are asyncio's by behaviour, not by inheritance, and so is this one.
        self._joining = Transport(cast("asyncio.Transport", transport))
        super().connection_made(cast("asyncio.Transport", self._joining))

    def on_response_complete(self) -> None:
        """End an answer: that of HEAD has no body to wait for."""
        self._joining.flush()
        super().on_response_complete()


class Server(uvicorn.Server):
    """A server that tells its application when it stops: before it waits for open answers to end.

    Answers that have no end of their own (streams of events) watch `app.state.stopping`.
    """

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, then stop as usual."""
        self._stopping.set()
        await super().shutdown(sockets)


def config(
    app: ASGIApp, host: str, port: int, lifespan: Literal["on", "off"] = "on"
) -> uvicorn.Config:
    """Return how `app` is served: nothing is logged, looked up or added for a request."""
    return uvicorn.Config(
        app,
        host,
        port,
        loop="none",
        http=Protocol,
        ws="none",
        lifespan=lifespan,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )


def server(app: Litestar, host: str, port: int) -> Server:
    """Return an HTTP server for `app`, to run in the caller's loop."""
    return Server(config(Direct(app), host, port), app.state.stopping)


@asynccontextmanager
async def served(app: Litestar, host: str, port: int | None) -> AsyncIterator[None]:
    """Serve a worker's health beside its work; without a port, don't."""
    if port is None:
        yield
        return
    beside = server(app, host, port)
    # The worker handles the signals itself.
    beside.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(beside.serve())
    try:
        yield
    finally:
        beside.should_exit = True
        with suppress(asyncio.CancelledError):
            await task
