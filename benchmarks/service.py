"""The running Daybook that is measured, and the databases beside it on the same PostgreSQL."""

import asyncio

from daybook.up import PROGRAMS, Service
from runtime import database

# What takes a transfer from its request to a reader.
MEASURED = tuple(program for program in PROGRAMS if program.name not in {"audit", "seal"})
PAUSE_S = 0.005
ALL_READ = """
SELECT bool_and(c.position >= h.position)
FROM events.head AS h CROSS JOIN events.checkpoints AS c WHERE c.reader IN ('relay', 'projector')
"""


def beside(service: Service, name: str) -> str:
    """Return the URL of another database on the service's PostgreSQL."""
    return service.database_url.replace("/daybook?", f"/{name}?")


async def create_database(service: Service, name: str) -> bool:
    """Create a database beside the service's own; tell whether it was not there yet."""
    connection = await database.connect(service.database_url)
    try:
        known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name)
        if known is None:
            await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return known is None


async def everybody_at_the_head(service: Service) -> None:
    """Return once everything in the log has been published and projected."""
    connection = await database.connect(service.database_url)
    try:
        while True:
            if await connection.fetchval(ALL_READ):
                return
            await asyncio.sleep(PAUSE_S)
    finally:
        await connection.close()
