"""The discrepancies that the continuous reconciliation found in a ledger, by ids that only grow.

Every ledger is shown a gap in the log, because the missing event may belong to any of them. A
projector or a relay that is late belongs to no ledger; only the operator is told.
"""

from collections.abc import Sequence

from events.event_filter import EventFilter
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("query_side")
GAP = "position_gap"


async def latest(connection: Executor) -> int:
    """Return the last id of all ledgers, or 0. No client may see it."""
    found: int = await connection.fetchval(SQL["latest_discrepancy"])
    return found


async def latest_of(connection: Executor, ledger: str) -> int:
    """Return the last id of a ledger, or 0."""
    found: int = await connection.fetchval(SQL["latest_discrepancy_of_ledger"], ledger)
    return found


async def after(
    connection: Executor, ledgers: Sequence[str], found: int, until: int, limit: int
) -> tuple[Sequence[Row], int]:
    """Return at most `limit` discrepancies with ids in (found, until], and where to go on."""
    rows = await connection.fetch(SQL["discrepancies_found"], ledgers, found, until, limit)
    return rows, rows[-1]["id"] if len(rows) == limit else until


def concerns(ledger: str, row: Row) -> bool:
    """Return whether clients of a ledger may see a discrepancy."""
    return bool(row["ledger"] == ledger or row["kind"] == GAP)


def matches(wanted: EventFilter, row: Row) -> bool:
    """Return whether a filter takes a discrepancy; a filter by type of event takes none."""
    return (
        wanted.topic is None
        and wanted.account_id in (None, row["account_id"])
        and wanted.transaction_id in (None, row["transaction_id"])
    )
