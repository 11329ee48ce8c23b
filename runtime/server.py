"""The HTTP server of every process: uvicorn, in the loop of whoever asks for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Literal

import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp

from runtime.direct import Direct


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
        http="httptools",
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
