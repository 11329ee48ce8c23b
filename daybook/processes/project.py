"""`daybook project`: apply the log to the read models."""

from daybook import __version__
from daybook.settings import Settings
from projections.catch_up import POISONED
from projections.worker import ROLE, Projector
from runtime import database, loop
from runtime import queue as queues
from web import health
from web.server import served


async def run(settings: Settings) -> None:
    """Apply the log to the read models until SIGINT or SIGTERM."""
    stop = loop.stop_on_signals()
    async with (
        queues.connect(settings.queue_url) as queue,
        database.pool(settings.database_url, ROLE, 1) as pool,
    ):
        app = health.application(
            __version__,
            {
                "database": lambda: pool.fetchval("SELECT 1"),
                "queue": queue.attributes,
                "projection": _not_poisoned,
            },
        )
        worker = Projector(settings, queue)
        async with served(app, settings.host, settings.health_port):
            await loop.run_forever("the projector", worker.run_once, _no_rest, stop)
        await worker.close()


async def _no_rest() -> None:
    """Return at once: the projector waits inside `run_once`, in SQS's long poll."""


async def _not_poisoned() -> None:
    for metric in POISONED.collect():
        if any(sample.value for sample in metric.samples):
            raise RuntimeError("an event cannot be applied; see this process's log")
