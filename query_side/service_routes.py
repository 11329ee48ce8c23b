"""HTTP ↔ the queue and the cache, as they describe themselves."""

from datetime import UTC, datetime

from msgspec import Struct

from query_side.app import QuerySide
from runtime.problems import Unavailable
from web.answers import Reply
from web.freshness import Fresh
from web.operations import operation

TAG = "The service"
CACHE_PREFIX = "daybook:"


class QueueStats(Struct):
    """The figures of the queue."""

    queueUrl: str  # noqa: N815 - the API's own spelling
    messageCount: int  # noqa: N815
    inFlightCount: int  # noqa: N815
    visibilityTimeout: int  # noqa: N815
    isFifo: bool  # noqa: N815
    contentDeduplication: bool  # noqa: N815
    timestamp: datetime


class CacheStats(Struct):
    """The figures of the cache; `totalKeys` and `memoryUsage` are null while it is down."""

    connected: bool
    totalKeys: int | None  # noqa: N815
    prefix: str
    defaultTtl: int  # noqa: N815
    memoryUsage: str | None  # noqa: N815
    timestamp: datetime


@operation(
    "GET",
    "/queue/stats",
    name="queueStats",
    tag=TAG,
    scope="read",
    answers={200: QueueStats},
    problems={503: ("queue_unavailable", "queue_gone")},
    gives=(),
)
async def queue_stats(side: QuerySide, headers: Fresh) -> Reply:
    """The queue's messages and settings, by its own count."""
    attributes = await side.queue.attributes()
    return Reply(
        QueueStats(
            queueUrl=side.queue.url,
            messageCount=int(attributes.get("ApproximateNumberOfMessages", 0)),
            inFlightCount=int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
            visibilityTimeout=int(attributes.get("VisibilityTimeout", 0)),
            isFifo=attributes.get("FifoQueue") == "true",
            contentDeduplication=attributes.get("ContentBasedDeduplication") == "true",
            timestamp=datetime.now(UTC),
        )
    )


@operation(
    "GET",
    "/cache/stats",
    name="cacheStats",
    tag=TAG,
    scope="read",
    answers={200: CacheStats},
    gives=(),
)
async def cache_stats(side: QuerySide, headers: Fresh) -> Reply:
    """The cache's keys and memory; a cache that is down is an answer, too."""
    stats = CacheStats(
        connected=False,
        totalKeys=None,
        prefix=CACHE_PREFIX,
        defaultTtl=side.settings.result_ttl_s,
        memoryUsage=None,
        timestamp=datetime.now(UTC),
    )
    try:
        found = await side.cache.stats(CACHE_PREFIX)
    except Unavailable:
        return Reply(stats)
    stats.connected = True
    stats.totalKeys, stats.memoryUsage = found["keys"], found["memory"]
    return Reply(stats)


OPERATIONS = [queue_stats, cache_stats]
