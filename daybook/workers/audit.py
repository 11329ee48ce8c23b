"""`daybook audit`: every view, verified behind the projector."""

import asyncio

from daybook import __version__
from projections.auditing.continuous import Auditor
from projections.auditing.reconcile import ROLE
from projections.auditing.runs.worker import Runner
from runtime import database, health, loop
from runtime.server import served
from runtime.settings import Settings


async def run(settings: Settings) -> None:
    """Verify behind the projector, and do what is asked of it, until SIGINT or SIGTERM."""
    stop = loop.stop_on_signals()
    async with database.pool(settings.database_url, ROLE, 1) as pool:
        app = health.application(__version__, {"database": lambda: pool.fetchval("SELECT 1")})
        auditor, runner = Auditor(settings), Runner(settings)
        async with served(app, settings.host, settings.health_port):
            asked = asyncio.create_task(
                loop.run_forever("what was asked for", runner.run_once, runner.rest, stop)
            )
            await loop.run_forever("the auditor", auditor.follow, auditor.rest, stop)
            # A long run is not waited for: the next process goes on with it.
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        await auditor.stop()
        await runner.close()
