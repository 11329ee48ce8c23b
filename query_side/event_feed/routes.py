"""HTTP ↔ the log as it was recorded, of the caller's ledger only.

Everything here reads the log up to its head, and no read model: an event is here as soon as it is
durable, and perhaps before a balance shows it.
"""

from collections.abc import Awaitable

from litestar.types import ASGIApp, Receive, Scope, Send

from events import log
from query_side.event_feed import answers, discrepancies, pages, parameters, sse
from query_side.event_feed.answers import LogEvent, LogEvents
from query_side.event_feed.app import EventFeed
from query_side.event_feed.following import FeedPosition
from query_side.event_feed.parameters import (
    FORMAT_OF,
    EventParameters,
    FollowHeaders,
    FollowParameters,
    LogFormat,
)
from web.answers import POSITION, Reply, Streamed
from web.caller import Caller, identify
from web.freshness import Fresh
from web.media import JSON, NDJSON
from web.operations import operation
from web.request import Request

TAG = "The log"
# No cache and no proxy may keep what is meant to arrive at once.
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@operation(
    "GET",
    "/events",
    name="events",
    tag=TAG,
    scope="read",
    answers={200: {JSON: LogEvents, NDJSON: LogEvent}},
)
async def events(
    side: EventFeed, caller: Caller, query: EventParameters, headers: Fresh, media: str
) -> Reply | ASGIApp:
    """A ledger's events as they were recorded, oldest first; as NDJSON all of them."""
    asked, pool = query.query(caller.ledger), side.reading.pool
    if (query.format or FORMAT_OF[media]) is LogFormat.NDJSON:
        query.check_whole()
        async with pool.acquire() as connection:
            stretch = await pages.stretch(connection, asked)
        lines = pages.lines(pool, side.turns, asked, stretch)
        return Streamed(lines, {POSITION: str(stretch.head)}, NDJSON)
    found = await pages.page(pool, asked, query.events_page())
    items = [answers.event(row) for row in found.rows]
    return Reply(LogEvents(items, found.next, found.previous), position=found.position)


@operation(
    "GET",
    "/events/stream",
    name="followEvents",
    tag=TAG,
    scope="read",
    answers={200: {"text/event-stream": str}},
    problems={503: ("too_many_streams",)},
)
async def stream(
    side: EventFeed,
    caller: Caller,
    query: FollowParameters,
    headers: FollowHeaders,
    request: Request,
) -> ASGIApp:
    """Every event and every discrepancy as it comes: Server-Sent Events.

    The stream begins now, or at any place in the past that the client names.
    """
    wanted, seen = query.wanted(caller.ledger), parameters.resumed(query, headers)
    async with side.reading.pool.acquire() as connection:
        head = (await log.head(connection)).position
        latest = await discrepancies.latest_of(connection, caller.ledger)
    position, discrepancy_id = head, latest
    if seen is not None:
        parameters.check_reached(seen.position, head)
        position = seen.position
        if seen.discrepancy_id is not None:
            discrepancy_id = min(seen.discrepancy_id, latest)
    start = FeedPosition(position, discrepancy_id, discrepancy_id)
    idle_s = None if headers.prefer is None else min(headers.prefer, side.settings.wait_s_max)

    def still_allowed() -> Awaitable[Caller]:
        return identify(request.headers, side.reading.tokens, "read")

    async def following(scope: Scope, receive: Receive, send: Send) -> None:
        with side.following.joined(caller.ledger) as channel:
            messages = side.following.messages(channel, wanted, start, idle_s, still_allowed)
            answer_headers = {POSITION: str(head), **UNBUFFERED}
            await Streamed(messages, answer_headers, sse.MEDIA_TYPE)(scope, receive, send)

    return following


OPERATIONS = [events, stream]
