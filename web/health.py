"""`GET /health` (the process runs), `GET /ready` (it can do its work), `GET /metrics`.

A component is essential or not. Without an essential one the answer is 503; without any other it
is 200 and DEGRADED, because the service goes on without them: that is what they were chosen for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from litestar import Litestar, get
from litestar.types import ASGIApp
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from web.http import ENCODER, EXCEPTION_HANDLERS, Answer, HttpRequest

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


async def _works(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the component does not work
        log.warning("a component is not ready: %s", error)
        return False
    return True
