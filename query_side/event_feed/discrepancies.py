"""What the continuous reconciliation found of a ledger, by ids that only grow.

A gap in the log is everybody's: the event that is missing may be of any ledger, and it tells of
none. A projector or a relay that is late belongs to no ledger, and is the operator's to know.
"""

from collections.abc import Sequence

from events.event_filter import Wanted
from runtime.database import Executor
from runtime.sql import Row, queries
from web.http import ENCODER

SQL = queries("query_side")
GAP = "position_gap"
COLUMNS = (
    "id", "kind", "view", "ledger", "account_id", "transaction_id", "position", "expected",
    "actual", "explanation", "found_at",
)  # fmt: skip


async def latest(connection: Executor) -> int:
    """Return the id of the last one of all ledgers; 0 if there is none. It is not to be shown."""
    found: int = await connection.fetchval(SQL["latest_discrepancy"])
    return found


async def latest_of(connection: Executor, ledger: str) -> int:
    """Return the id of the last one of a ledger; 0 if there is none."""
    found: int = await connection.fetchval(SQL["latest_discrepancy_of_ledger"], ledger)
    return found


async def after(
    connection: Executor, ledgers: Sequence[str], found: int, until: int, limit: int
) -> tuple[Sequence[Row], int]:
    """Return those of some ledgers in (found, until], `limit` at most; and where to go on."""
    rows = await connection.fetch(SQL["discrepancies_found"], ledgers, found, until, limit)
    return rows, rows[-1]["id"] if len(rows) == limit else until


def concerns(ledger: str, row: Row) -> bool:
    """Return whether a ledger may be told of a discrepancy."""
    return bool(row["ledger"] == ledger or row["kind"] == GAP)


def wanted(wants: Wanted, row: Row) -> bool:
    """Return whether it is wanted; who asks for a type of event asks for no discrepancy."""
    return (
        wants.topic is None
        and wants.account_id in (None, row["account_id"])
        and wants.transaction_id in (None, row["transaction_id"])
    )


def as_json(row: Row) -> bytes:
    """Return a discrepancy as the list of them shows it."""
    return ENCODER.encode({name: row[name] for name in COLUMNS})
