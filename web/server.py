"""The HTTP server of every process: uvicorn, in the caller's event loop."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Literal, cast

import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp

from web.direct import Direct
from web.protocol import Connection, Load
from web.settings import HttpLimits

# uvicorn ticks ten times a second.
TICKS = 10
# File descriptors that are no connections of clients: databases, queues, logs.
OTHER_FILES = 200


class Server(uvicorn.Server):
    """A server that tells its application when it stops: before it waits for open answers to end.

    Answers that have no end of their own (streams of events) watch `app.state.stopping`.
    """

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def on_tick(self, counter: int) -> bool:
        """Look after slow clients, about once a second."""
        if counter % TICKS == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in [*self.server_state.connections]:
                cast("Connection", connection).check(now_s)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Set `app.state.stopping`, then stop as usual."""
        self._stopping.set()
        await super().shutdown(sockets)


def config(
    app: ASGIApp,
    host: str,
    port: int,
    limits: HttpLimits,
    lifespan: Literal["on", "off"] = "on",
) -> uvicorn.Config:
    """Return how `app` is served, within `limits`."""
    load = Load(connections_max(limits.http_connections_max))
    connection = partial(Connection, limits=limits, load=load)
    return uvicorn.Config(
        app,
        host,
        port,
        loop="none",
        http=cast("type[asyncio.Protocol]", connection),
        ws="none",
        lifespan=lifespan,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.http_idle_s_max,
        timeout_graceful_shutdown=10,
    )


def connections_max(wanted: int) -> int:
    """Let the process have `wanted` connections; return how many it can have.

    The soft limit of open files is often 1,024. It is raised as far as the hard one allows. A
    process without a free file descriptor could not even reach its database.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        files = min(files, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(1, min(wanted, files - OTHER_FILES))


def server(app: Litestar, host: str, port: int) -> Server:
    """Return an HTTP server for `app`, to run in the caller's loop.

    Its limits are those of the application's settings, or the defaults.
    """
    limits = app.state.get("settings") or HttpLimits()
    direct = Direct(app, access_log=limits.http_access_log)
    return Server(config(direct, host, port, limits), app.state.stopping)


@asynccontextmanager
async def served(app: Litestar, host: str, port: int | None) -> AsyncIterator[None]:
    """Serve a worker's health beside its work, if a port is given."""
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
