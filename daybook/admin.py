"""What an administrator does once: migrate, create the queue, make a token."""

import re
from collections.abc import Sequence

from runtime import auth, database
from runtime import migrate as migrations
from runtime import queue as queues
from runtime.problems import Invalid
from runtime.settings import Settings

_LEDGER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


async def migrate(settings: Settings) -> list[str]:
    """Apply missing migrations and create the queue if it isn't there."""
    applied = await migrations.migrate(settings.database_url)
    async with queues.connect(settings.queue_url) as queue:
        await queue.ensure()
    return applied


async def token(settings: Settings, ledger: str, scopes: Sequence[str], label: str) -> str:
    """Return a fresh token for `ledger`. Raises Invalid."""
    if not _LEDGER.fullmatch(ledger):
        raise Invalid("ledger_invalid", "A ledger's name is 1 to 63 of a-z, 0-9 and -.")
    unknown = set(scopes) - set(auth.SCOPES)
    if unknown:
        detail = (
            f"Unknown scopes: {', '.join(sorted(unknown))}; there are {', '.join(auth.SCOPES)}."
        )
        raise Invalid("scope_unknown", detail)
    made = auth.new_token()
    connection = await database.connect(settings.database_url)
    try:
        await auth.add_token(connection, made, ledger, scopes, label)
    finally:
        await connection.close()
    return made
