"""An HTTP server that answers every request with the same 202, and does nothing else.

uvicorn     an ASGI application of a few lines: the least that HTTP costs
routed      one empty handler, where the product's is, and found as it is: what that adds

python -m benchmarks.stages.limits.empty uvicorn|routed PORT
"""

import socket
import sys

import uvicorn
import uvloop
from litestar import Litestar, Router, post
from litestar.types import ASGIApp, Receive, Scope, Send

from daybook.embedded.servers import LOOPBACK
from daybook.processes.serve import API_PATH
from runtime.loop import collect_garbage_rarely
from web.direct import Direct
from web.http import Answer, HttpRequest
from web.server import config
from web.settings import HttpLimits

# As long as the product's answer.
BODY = b'{"status":"ACCEPTED","nothing":"%s"}' % (b"-" * 160)
HEADERS = {"daybook-position": "1000000"}


async def constant(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, once the request is there."""
    while (await receive()).get("more_body"):
        pass
    await Answer(BODY, 202, HEADERS)(scope, receive, send)


@post("/transactions", status_code=202)
async def empty(request: HttpRequest) -> ASGIApp:  # noqa: ARG001 - as the product's handlers
    """Answer."""
    return Answer(BODY, 202, HEADERS)


def application(name: str) -> ASGIApp:
    """Return the application of this name."""
    if name == "uvicorn":
        return constant
    routed = Litestar(
        [Router(API_PATH, route_handlers=[empty])], openapi_config=None, logging_config=None
    )
    return Direct(routed)


class _Told(uvicorn.Server):
    """A server that says when it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


if __name__ == "__main__":
    collect_garbage_rarely()
    served = config(application(sys.argv[1]), LOOPBACK, int(sys.argv[2]), HttpLimits(), "off")
    uvloop.run(_Told(served).serve())
