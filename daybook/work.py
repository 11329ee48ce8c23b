"""The worker processes: the relay, the projector and the auditor, each under the one loop."""

import asyncio

from command_side.relay import ROLE as RELAY_ROLE
from command_side.relay import Relay
from daybook import __version__
from projections.auditing.continuous import Auditor
from projections.auditing.reconcile import ROLE as AUDITOR_ROLE
from projections.auditing.runs.worker import Runner
from projections.worker import ROLE as PROJECTOR_ROLE
from projections.worker import Projector
from runtime import database, health, loop, telemetry
from runtime import queue as queues
from runtime.settings import Settings


async def relay(settings: Settings) -> None:
    """Publish the log until SIGINT or SIGTERM."""
    stop = loop.stop_on_signals()
    async with (
        queues.connect(settings.queue_url) as queue,
        database.pool(settings.database_url, RELAY_ROLE, 1) as pool,
    ):
        await queue.ensure()
        app = health.application(
            __version__,
            {"database": lambda: pool.fetchval("SELECT 1"), "queue": queue.attributes},
        )
        worker = Relay(settings, queue)
        async with health.served(app, settings.host, settings.health_port):
            await loop.run_forever("the relay", worker.run_once, worker.rest, stop)
        await worker.close()


async def project(settings: Settings) -> None:
    """Apply the log to the read models until SIGINT or SIGTERM."""
    stop = loop.stop_on_signals()
    async with (
        queues.connect(settings.queue_url) as queue,
        database.pool(settings.database_url, PROJECTOR_ROLE, 1) as pool,
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
        async with health.served(app, settings.host, settings.health_port):
            await loop.run_forever("the projector", worker.run_once, _no_rest, stop)
        await worker.close()


async def audit(settings: Settings) -> None:
    """Verify behind the projector, and do what is asked of it, until SIGINT or SIGTERM."""
    stop = loop.stop_on_signals()
    async with database.pool(settings.database_url, AUDITOR_ROLE, 1) as pool:
        app = health.application(__version__, {"database": lambda: pool.fetchval("SELECT 1")})
        auditor, runner = Auditor(settings), Runner(settings)
        async with health.served(app, settings.host, settings.health_port):
            asked = asyncio.create_task(
                loop.run_forever("what was asked for", runner.run_once, runner.rest, stop)
            )
            await loop.run_forever("the auditor", auditor.follow, auditor.rest, stop)
            # A long run is not waited for: the next process goes on with it.
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        await auditor.stop()
        await runner.close()


async def _no_rest() -> None:
    """The projector rests inside `run_once`, in SQS's long poll."""


async def _not_poisoned() -> None:
    for metric in telemetry.POISONED.collect():
        if any(sample.value for sample in metric.samples):
            raise RuntimeError("an event cannot be applied; see the log")
