"""Server-Sent Events, as the HTML standard (9.2) defines them: blocks of lines. Pure.

A block with an id and no data is no event, but it sets the client's Last-Event-ID. So a client that
got no event yet, or none for long, still knows where to go on.
"""

from typing import NamedTuple

MEDIA_TYPE = "text/event-stream; charset=utf-8"
RETRY_MS = 1_000


class Message(NamedTuple):
    """One event; `data` is JSON, and therefore has no line end."""

    id: str
    event: str
    data: bytes


def encoded(message: Message) -> bytes:
    """Return the bytes of a message."""
    head = f"id: {message.id}\nevent: {message.event}\ndata: "
    return head.encode() + message.data + b"\n\n"


def opening(id_: str) -> bytes:
    """Return the first block of a stream: when to reconnect, and the id to go on from."""
    return f"retry: {RETRY_MS}\nid: {id_}\n\n".encode()


def beat(id_: str) -> bytes:
    """Return a comment that keeps the connection alive, and the id to go on from."""
    return f": {id_}\nid: {id_}\n\n".encode()
