"""`GET /health` (the process runs), `GET /ready` (it can do its work), `GET /metrics`.

A component is essential or not. Without an essential one the answer is 503; without any other it
is 200 and DEGRADED, because the service goes on without them: that is what they were chosen for.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress

import uvicorn
from litestar import Litestar, get
from litestar.types import ASGIApp
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.direct import Direct
from runtime.http import ENCODER, EXCEPTION_HANDLERS, Answer, HttpRequest

log = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 2.0
ESSENTIAL = frozenset({"database", "projection"})

Check = Callable[[], Awaitable[object]]


@get("/health")
async def health(request: HttpRequest) -> ASGIApp:
    """Answer as long as the process can."""
    return Answer(ENCODER.encode({"status": "OK", "version": request.app.state.version}))


@get("/ready")
async def ready(request: HttpRequest) -> ASGIApp:
    """Ask every component, each for a bounded time."""
    checks: Mapping[str, Check] = request.app.state.checks
    answers = await asyncio.gather(*(_works(check) for check in checks.values()))
    works = dict(zip(checks, answers, strict=True))
    if all(works.values()):
        state, status = "READY", 200
    elif all(works[name] for name in works.keys() & ESSENTIAL):
        state, status = "DEGRADED", 200
    else:
        state, status = "NOT_READY", 503
    components = {name: "ready" if up else "unavailable" for name, up in works.items()}
    return Answer(ENCODER.encode({"status": state, "components": components}), status)


@get("/metrics")
async def metrics() -> ASGIApp:
    """Return the process's metrics in Prometheus's text format."""
    return Answer(generate_latest(), media_type=CONTENT_TYPE_LATEST)


ROUTES = [health, ready, metrics]


def application(version: str, checks: Mapping[str, Check]) -> Litestar:
    """Return the HTTP face of a worker: its health, and nothing else."""
    app = Litestar(
        ROUTES,
        request_class=HttpRequest,
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
    )
    app.state.version = version
    app.state.checks = dict(checks)
    app.state.stopping = asyncio.Event()
    return app


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


def server(app: Litestar, host: str, port: int) -> uvicorn.Server:
    """Return an HTTP server for `app`, to run in the caller's loop."""
    return Server(
        uvicorn.Config(
            Direct(app),
            host,
            port,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        ),
        app.state.stopping,
    )


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


async def _works(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the component does not work
        log.warning("a component is not ready: %s", error)
        return False
    return True
