"""`daybook audit`: verify every view behind the projector, and do requested reconciliations."""

import asyncio

from auditing.job_worker import JobWorker
from auditing.reconcile.continuous import Auditor
from auditing.roles import AUDITOR
from daybook import __version__
from daybook.settings import Settings
from runtime import database, loop
from web import health
from web.server import served


async def run(settings: Settings) -> None:
    """Verify behind the projector, and do requested jobs, until SIGINT or SIGTERM."""
    stop = loop.stop_on_signals()
    async with database.pool(settings.database_url, AUDITOR, 1) as pool:
        app = health.application(__version__, {"database": lambda: pool.fetchval("SELECT 1")})
        auditor, runner = Auditor(settings), JobWorker(settings)
        async with served(app, settings.host, settings.health_port):
            jobs = asyncio.create_task(
                loop.run_forever("the requested jobs", runner.run_once, runner.rest, stop)
            )
            await loop.run_forever("the auditor", auditor.follow, auditor.rest, stop)
            # A long reconciliation is interrupted: the next process continues it.
            jobs.cancel()
            await asyncio.gather(jobs, return_exceptions=True)
        await auditor.stop()
        await runner.close()
