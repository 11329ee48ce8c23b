"""Numbered, forward-only migrations: `daybook/migrations/NNNN_name.sql`.

Each migration and the row that records it are one transaction. An advisory lock makes two migrating
processes take turns. A file that changed after it was applied is an error.
"""

import hashlib
from pathlib import Path

from runtime import database
from runtime.sql import queries

FOLDER = Path(__file__).resolve().parent
SQL = queries("daybook/migrations")


class MigrationError(RuntimeError):
    """A migration file was changed after it was applied."""


async def migrate(database_url: str) -> list[str]:
    """Apply the missing migrations in order, and return their names."""
    connection = await database.connect(database_url)
    applied_now: list[str] = []
    try:
        await connection.execute(SQL["lock_migrations"])
        await connection.execute(SQL["create_migrations"])
        known = {row["name"]: row["sha256"] for row in await connection.fetch(SQL["migrations"])}
        for path in sorted(FOLDER.glob("*.sql")):
            text = path.read_text(encoding="utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            if path.stem in known:
                if known[path.stem] != digest:
                    raise MigrationError(
                        f"{path.name} was changed after it was applied; add a new migration"
                    )
                continue
            async with connection.transaction():
                await connection.execute(text)
                await connection.execute(SQL["record_migration"], path.stem, digest)
            applied_now.append(path.stem)
    finally:
        await connection.close()
    return applied_now
