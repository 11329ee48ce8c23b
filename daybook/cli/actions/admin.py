"""Migrate the database, create the queue, make and revoke tokens."""

import re
from collections.abc import Collection

from daybook.migrations import migrate as migrations
from daybook.settings import Settings
from runtime import database
from runtime.problems import Invalid, NotFound
from web import tokens

_LEDGER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


async def migrate(settings: Settings) -> list[str]:
    """Apply missing migrations, create the queue if it is missing, and return what was applied."""
    from runtime import queue as queues  # noqa: PLC0415 - slow to import, and a token needs none

    applied = await migrations.migrate(settings.database_url)
    async with queues.connect(settings.queue_url) as queue:
        await queue.ensure()
    return applied


async def token(
    settings: Settings, ledgers: Collection[str], scopes: Collection[str], label: str
) -> str:
    """Return a fresh token for `ledgers`. Raises Invalid."""
    if not ledgers:
        raise Invalid(
            "ledger_missing", "Name the ledger that the token is for: daybook token LEDGER."
        )
    # No other character: ids are "ledger|key" and cache keys "ledger:key", without escapes.
    if not all(_LEDGER.fullmatch(ledger) for ledger in ledgers):
        raise Invalid(
            "ledger_invalid",
            "A ledger's name has 1 to 63 characters of a-z, 0-9 and -, and starts with no -.",
        )
    unknown = set(scopes) - set(tokens.SCOPES)
    if unknown:
        detail = (
            f"Unknown scopes: {', '.join(sorted(unknown))}. Use some of {', '.join(tokens.SCOPES)}."
        )
        raise Invalid("scope_unknown", detail)
    made = tokens.new_token()
    connection = await database.connect(settings.database_url)
    try:
        await tokens.add_token(connection, made, set(ledgers), scopes, label)
    finally:
        await connection.close()
    return made


async def revoke(settings: Settings, token: str, ledgers: Collection[str]) -> str:
    """Revoke `token`, and return its label. Raises NotFound, and Invalid if `ledgers` are named."""
    if ledgers:
        raise Invalid("ledger_unexpected", "--revoke takes no ledger: the token loses them all.")
    connection = await database.connect(settings.database_url)
    try:
        label = await tokens.revoke_token(connection, token)
    finally:
        await connection.close()
    if label is None:
        raise NotFound("token_unknown", "There is no such token.")
    return label
