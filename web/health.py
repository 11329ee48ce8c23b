"""`GET /health` (the process runs), `GET /ready` (it can do its work), `GET /metrics`.

A component is essential or not. Without an essential one the answer is 503. Without any other it is
200 and DEGRADED, because the service was built to go on without them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec
from litestar import Litestar
from litestar.types import ASGIApp
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from web.answers import Answer, Reply
from web.endpoints import endpoints
from web.endpoints import route as route_of
from web.failures import EXCEPTION_HANDLERS
from web.operations import operation
from web.request import Request

log = logging.getLogger(__name__)

TAG = "The service"
CHECK_TIMEOUT_S = 2.0
ESSENTIAL = frozenset({"database", "projection"})

Check = Callable[[], Awaitable[object]]


class Health(msgspec.Struct):
    """The process answers."""

    status: Literal["OK"]
    version: str


class Readiness(msgspec.Struct):
    """What of it works."""

    status: Literal["READY", "DEGRADED", "NOT_READY"]
    components: dict[str, Literal["ready", "unavailable"]]


@operation("GET", "/health", name="health", tag=TAG, answers={200: Health}, gives=())
async def health(request: Request) -> Reply:
    """Say that the process runs."""
    return Reply(Health("OK", request.app.state.version))


@operation(
    "GET", "/ready", name="ready", tag=TAG, answers={200: Readiness, 503: Readiness}, gives=()
)
async def ready(request: Request) -> Reply:
    """Say whether the process can do its work.

    Every component is asked, each for a bounded time.
    """
    checks: Mapping[str, Check] = request.app.state.checks
    answers = await asyncio.gather(*(_works(check) for check in checks.values()))
    works = dict(zip(checks, answers, strict=True))
    components: dict[str, Literal["ready", "unavailable"]] = {
        name: "ready" if up else "unavailable" for name, up in works.items()
    }
    if all(works.values()):
        return Reply(Readiness("READY", components))
    if all(works[name] for name in works.keys() & ESSENTIAL):
        return Reply(Readiness("DEGRADED", components))
    return Reply(Readiness("NOT_READY", components), 503)


@operation("GET", "/metrics", name="metrics", tag=TAG, answers={200: {"text/plain": str}}, gives=())
async def metrics() -> ASGIApp:
    """Return the process's metrics, in Prometheus's text format."""
    return Answer(generate_latest(), media_type=CONTENT_TYPE_LATEST)


OPERATIONS = [health, ready, metrics]


def application(version: str, checks: Mapping[str, Check]) -> Litestar:
    """Return the HTTP face of a worker: its health, and nothing else."""
    app = Litestar(
        [route_of(endpoint) for endpoint in endpoints(OPERATIONS)],
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
