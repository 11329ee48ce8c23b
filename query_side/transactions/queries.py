"""Reads of single transactions, each with the position that it is true of."""

from uuid import UUID

from events import checkpoints
from query_side.queries import SQL, Read, Rows, snapshot
from runtime import database

RELATED_MAX = 100


async def transaction(pool: database.Pool, transaction_id: UUID, ledger: str) -> tuple[Read, Rows]:
    """Return a transaction, and the latest RELATED_MAX of those that refer to it."""
    async with snapshot(pool) as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        found = await connection.fetch(SQL["transaction"], transaction_id, ledger)
        related = await connection.fetch(SQL["related"], transaction_id, ledger, RELATED_MAX)
        return Read(found, position), related


async def transaction_entries(
    pool: database.Pool, transaction_id: UUID, ledger: str
) -> tuple[Read, Rows]:
    """Return a transaction, and the entries that its own events made."""
    async with snapshot(pool) as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        found = Read(await connection.fetch(SQL["transaction"], transaction_id, ledger), position)
        return found, await connection.fetch(SQL["transaction_entries"], transaction_id, ledger)


async def submitted(pool: database.Pool, transaction_id: UUID) -> bool:
    """Return whether the log has this transaction, projected or not."""
    return bool(await pool.fetchval(SQL["submitted"], transaction_id))
