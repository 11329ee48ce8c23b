"""`daybook relay`: publish the log to SQS."""

from command_side.relay import ROLE, Relay
from daybook import __version__
from daybook.settings import Settings
from runtime import database, loop
from runtime import queue as queues
from web import health
from web.server import served


async def run(settings: Settings) -> None:
    """Publish the log until SIGINT or SIGTERM."""
    stop = loop.stop_on_signals()
    async with (
        queues.connect(settings.queue_url) as queue,
        database.pool(settings.database_url, ROLE, 1) as pool,
    ):
        await queue.ensure()
        app = health.application(
            __version__,
            {"database": lambda: pool.fetchval("SELECT 1"), "queue": queue.attributes},
        )
        worker = Relay(settings, queue)
        async with served(app, settings.host, settings.health_port):
            await loop.run_forever("the relay", worker.run_once, worker.rest, stop)
        await worker.close()
