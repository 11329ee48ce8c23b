"""Server-Sent Events, as the HTML standard (9.2) has them: blocks of lines. Pure.

A block with an id and no data is no event, but it moves the client's Last-Event-ID: so a client
that got nothing yet, or nothing for long, knows where to go on all the same.
"""

from typing import NamedTuple

MEDIA_TYPE = "text/event-stream; charset=utf-8"
RETRY_MS = 1_000


class Message(NamedTuple):
    """One event: `data` is JSON, and so has no line end."""

    id: str
    event: str
    data: bytes


def encoded(message: Message) -> bytes:
    """Return a message as it travels."""
    head = f"id: {message.id}\nevent: {message.event}\ndata: "
    return head.encode() + message.data + b"\n\n"


def opening(place: str) -> bytes:
    """Return what a stream begins with: how soon to come back, and from where."""
    return f"retry: {RETRY_MS}\nid: {place}\n\n".encode()


def beat(place: str) -> bytes:
    """Return a comment that keeps the connection alive, and the place that was come to."""
    return f": {place}\nid: {place}\n\n".encode()
