"""What a request is answered with: a `Reply` of typed shapes, or bytes that are ready to send."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

from web.media import JSON

POSITION = "Daybook-Position"


def _encoded(value: object) -> str:
    return str(value)


# Decimals go out as exact JSON numbers: 100.00, whatever the number of digits.
ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=_encoded)


class Reply(msgspec.Struct, frozen=True):
    """The answer of an operation: one of the shapes that it declares for `status`.

    `position` is what the header `Daybook-Position` says: the last event that the answer shows, or
    of a write, its own.
    """

    body: Any
    status: int = 200
    position: int | None = None
    headers: Mapping[str, str] = {}

    def encoded(self) -> "Answer":
        """Return it as JSON."""
        headers = dict(self.headers)
        if self.position is not None:
            headers[POSITION] = str(self.position)
        return Answer(ENCODER.encode(self.body), self.status, headers)


class Answer:
    """A finished response: an ASGI application that sends it."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = JSON,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        if headers:
            self.headers += [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it. Of an answer to HEAD the server keeps the body back.

        Our own server writes it in one piece (web/protocol.py).
        """
        # Taken out, because the scope would refer to itself through it, which delays freeing it.
        request: Any = scope
        write_whole = request.pop("write_whole", None)
        if write_whole is not None and write_whole(self.status, self.headers, self.body):
            return
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Streamed:
    """A response that is sent piece by piece, as fast as the client takes it.

    An error on the way breaks the connection off: the client can tell half an answer from a whole.
    When the client goes away, the pieces end where they are, and free what they hold.
    """

    __slots__ = ("chunks", "headers")

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        media_type: str = JSON,
    ) -> None:
        self.chunks = chunks
        named = {"content-type": media_type, **headers}
        self.headers = [(name.encode(), value.encode()) for name, value in named.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until its end or until the client is gone. HEAD gets the headers alone."""
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        if scope.get("method") == "HEAD":
            await self.chunks.aclose()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with aclosing(self.chunks):
            async for chunk in self.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
