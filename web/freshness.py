"""How fresh an answer must be: `Daybook-Min-Position: N`, waiting up to S of `Prefer: wait=S`."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from msgspec import Meta, Struct

from runtime.problems import Invalid, Unavailable
from web import media

WAIT_DEFAULT_S = 1.0
BIGGEST = 2**63 - 1
# Waits until a reader of the log has reached a position, for so many seconds; whether it has.
Reached = Callable[[int, float], Awaitable[bool]]


def _position(text: str, name: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(BIGGEST))
    if not digits or int(text) > BIGGEST:
        detail = f"`{name}` takes a position: a whole number."
        raise Invalid("min_position_invalid", detail, field=name)
    return int(text)


def _wait_s(text: str, _name: str) -> int | None:
    return media.preferred_wait_s(text)


MinPosition = Annotated[
    int,
    Meta(
        ge=0,
        le=BIGGEST,
        description="Answer only when the read models have reached this position, else 503.",
        extra={"parse": _position, "code": "min_position_invalid"},
    ),
]


def wait(description: str) -> Meta:
    """Return how `Prefer: wait=S` is read, for what it means to an operation."""
    return Meta(
        description=description,
        extra={"parse": _wait_s, "code": "prefer_invalid"},
        # RFC 7240: a preference that a server does not know is ignored, so any text is allowed.
        extra_json_schema={"type": "string", "examples": ["wait=5"]},
    )


class Fresh(Struct, frozen=True, kw_only=True):
    """The headers of a read that a client may make wait for its own write."""

    daybook_min_position: MinPosition | None = None
    prefer: (
        Annotated[int, wait("`wait=S`: wait so long for `Daybook-Min-Position`; 1 s without it.")]
        | None
    ) = None


async def ensure(headers: Fresh, reached: Reached, wait_s_max: float) -> None:
    """Return once the read models are as far as the request asks for.

    Raises Unavailable when they are not there in time.
    """
    wanted = headers.daybook_min_position
    if wanted is None:
        return
    timeout_s = WAIT_DEFAULT_S if headers.prefer is None else min(headers.prefer, wait_s_max)
    if not await reached(wanted, timeout_s):
        detail = f"The read models had not reached position {wanted} within {timeout_s:g} s."
        raise Unavailable("position_not_reached", detail)
