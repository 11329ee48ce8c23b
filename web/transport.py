"""What is written to a connection: heads with the headers of every answer, in few system calls."""

import asyncio
import itertools
import secrets
from collections import deque

NO_SNIFFING = b"x-content-type-options: nosniff\r\n"
CACHE_CONTROL = b"\r\ncache-control:"
# Balances and refusals are true only for a moment, so no cache may keep them.
NO_STORE = b"cache-control: no-store\r\n"
CONTINUE = b"HTTP/1.1 100 "
LENGTH = b"\r\ncontent-length: "
_PROCESS = secrets.token_hex(6).encode()
_NUMBER = itertools.count(1)


class Transport:
    """A connection's transport, which completes the heads of answers and saves system calls.

    Each head gets what every answer has: the request's id, and who may keep the answer. uvicorn
    writes head and body one after the other; a head that says how long its body is waits here for
    it. The head of a stream, which does not, goes at once.
    """

    __slots__ = (
        "_between",
        "_head",
        "_transport",
        "abort",
        "get_extra_info",
        "get_write_buffer_size",
        "ids",
        "is_closing",
        "pause_reading",
        "resume_reading",
        "write_eof",
        "written_bytes",
    )

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._between = True
        self.written_bytes = 0
        # The ids of requests whose answers have not begun, in order.
        self.ids: deque[bytes] = deque()
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.write_eof = transport.write_eof

    def write(self, data: bytes) -> None:
        """Write `data`; if it is a head that says how long its body is, let it wait for that."""
        if not self._between:
            head, self._head = self._head, b""
            self._send(head + data)
        elif data.startswith(CONTINUE):
            self._send(data)
        else:
            self._between = False
            data = self._completed(data)
            if LENGTH in data:
                self._head = data
            else:
                self._send(data)

    def write_whole(self, head: bytes, body: bytes) -> None:
        """Write an answer that is whole, between two others."""
        assert self._between, "an answer is being written"
        self._send(self._completed(head) + body)

    def end(self) -> None:
        """Write the head that waits, if one does: the answer is whole."""
        if self._head:
            self.write(b"")
        self._between = True

    def close(self) -> None:
        """Write what waits, and close."""
        self.end()
        self._transport.close()

    def _send(self, data: bytes) -> None:
        self.written_bytes += len(data)
        self._transport.write(data)

    def _completed(self, head: bytes) -> bytes:
        request_id = self.ids.popleft() if self.ids else new_id()
        kept = b"" if CACHE_CONTROL in head else NO_STORE
        return b"%s%s%srequest-id: %s\r\n\r\n" % (head[:-2], NO_SNIFFING, kept, request_id)


def new_id() -> bytes:
    """Return an id for a request that brings none."""
    return b"%s-%x" % (_PROCESS, next(_NUMBER))
