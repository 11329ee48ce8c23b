"""HTTP ↔ the log as it was recorded, of the caller's ledger alone.

Everything here reads the log and no read model, up to its head: an event is here as soon as it is
durable, and perhaps before a balance shows it.
"""

from typing import Any

import msgspec
from litestar import get
from litestar.types import ASGIApp, Receive, Scope, Send

from events import event_filter, log
from query_side.app import QuerySide
from query_side.event_feed import discrepancies, pages, parameters, sse
from query_side.event_feed.app import EventFeed
from query_side.event_feed.following import Place
from query_side.parameters import Parameters
from web import caller as access
from web import conditions
from web.caller import Caller
from web.http import ENCODER, Answer, HttpRequest, Streamed

POSITION = "Daybook-Position"
# No cache and no proxy may keep what is meant to arrive at once.
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@get("/events")
async def events(request: HttpRequest) -> ASGIApp:
    """Page the log, oldest first; or send all of it, one event a line."""
    side, caller = await _may_read(request)
    await conditions.ensure(request.headers, side.projected.reached, side.settings.wait_s_max)
    given = _parameters(request)
    if parameters.wants_lines(given, request.headers.get("accept", "")):
        asked = parameters.lines(given, caller.ledger)
        async with side.pool.acquire() as connection:
            stretch = await pages.stretch(connection, asked)
        lines = pages.lines(side.pool, request.app.state.event_feed.turns, asked, stretch)
        return Streamed(lines, {POSITION: str(stretch.head)}, parameters.NDJSON)
    found = await pages.page(side.pool, *parameters.page(given, caller.ledger))
    body: dict[str, Any] = {
        "items": [msgspec.Raw(event_filter.as_json(row)) for row in found.rows],
        "next": found.next,
        "previous": found.previous,
    }
    return Answer(ENCODER.encode(body), headers={POSITION: str(found.position)})


@get("/events/stream")
async def stream(request: HttpRequest) -> ASGIApp:
    """Send every event as it is recorded, and every discrepancy as it is found, from any place on.

    (Server-Sent Events.)
    """
    side, caller = await _may_read(request)
    wants, after, told = parameters.stream(_parameters(request), request.headers, caller.ledger)
    idle_s = conditions.preferred_wait_s(request.headers, side.settings.wait_s_max)
    async with side.pool.acquire() as connection:
        head = (await log.head(connection)).position
        latest = await discrepancies.latest_of(connection, caller.ledger)
    parameters.check_reached(after, head)
    told = latest if told is None else min(told, latest)
    start = Place(head if after is None else after, told, told)

    feed: EventFeed = request.app.state.event_feed

    async def following(scope: Scope, receive: Receive, send: Send) -> None:
        with feed.following.joined(caller.ledger) as channel:
            messages = feed.following.messages(
                channel, wants, start, idle_s, lambda: _may_read(request)
            )
            headers = {POSITION: str(head), **UNBUFFERED}
            await Streamed(messages, headers, sse.MEDIA_TYPE)(scope, receive, send)

    return following


ROUTES = [events, stream]


async def _may_read(request: HttpRequest) -> tuple[QuerySide, Caller]:
    side: QuerySide = request.app.state.query_side
    return side, await access.caller(request.headers, side.tokens, "read")


def _parameters(request: HttpRequest) -> Parameters:
    return Parameters(request.query_params.multi_items())
