"""The access log: one line for each request that was answered."""

import logging
import time
from typing import Any

from litestar.types import Message, Send

log = logging.getLogger(__name__)


def logged(scope: dict[str, Any], send: Send) -> Send:
    """Return `send`, which logs the request when its answer is sent.

    The line has no query and no header but the request's id: both may hold what is secret.
    """
    began_s = time.perf_counter()
    status = sent_bytes = 0

    async def sent(message: Message) -> None:
        nonlocal status, sent_bytes
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            sent_bytes += len(message["body"])
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            took_ms = round((time.perf_counter() - began_s) * 1_000, 3)
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "bytes": sent_bytes,
                "milliseconds": took_ms,
                "caller": scope.get("caller"),
            }
            log.info("%s %s %d", scope["method"], scope["path"], status, extra={"fields": fields})

    return sent


def refused(status: int, code: str) -> None:
    """Log a request that was refused before its head was understood or its body was complete."""
    log.info("refused %d", status, extra={"fields": {"status": status, "code": code}})
