"""One transaction: the next events of the log → rows of the read models and the checkpoint.

    #   round trip            why
    1   BEGIN
    2   lock the checkpoint   two workers take turns; the later one finds its events applied
    3   read the log          one page of it
    4   read former rows      of the accounts and transactions that the page changes, and the
                              balances that this process does not remember
    5   write the rows        one statement for each table, however many rows; COPY where rows are
                              only added
    6   move the checkpoint
    7   COMMIT                rows and checkpoint, or neither

Therefore duplicated, lost, reordered and forged messages, two workers at once and an emptied queue
change nothing: a message only says that there is something to read.
"""

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from prometheus_client import Counter, Gauge

from events import checkpoints, log
from events.types import AccountType, Side, Stage, Status
from projections.folds import projected_rows
from projections.folds.balances import AccountKey, BalanceRow
from projections.folds.projected_rows import AccountRow, ProjectedRows
from projections.folds.transaction_states import TransactionState
from projections.memory import Memory
from runtime import database
from runtime.database import Executor
from runtime.sql import as_records, as_rows, queries

logger = logging.getLogger(__name__)

SQL = queries("projections")
APPLIED_EVENTS = Counter("daybook_applied_events", "Events applied to the read models.")
POISONED = Gauge(
    "daybook_poisoned", "1 while an event cannot be applied and the projector stands still."
)


class PoisonEventError(RuntimeError):
    """An event cannot be applied. Projecting stops until a person looks; no event is skipped."""


async def catch_up(
    connection: Executor, events_max: int, memory: Memory[BalanceRow] | None = None
) -> int:
    """Apply the next events of the log, at most `events_max`; return how many.

    If one of them cannot be applied, those before it are applied, and then PoisonEventError is
    raised.
    """
    memory = memory or Memory()
    try:
        return await _apply_page(connection, events_max, memory)
    except database.CONNECTION_ERRORS:
        raise
    except Exception as error:
        if events_max > 1:
            logger.warning("a page cannot be applied whole (%s); applying event by event", error)
            applied = 0
            while applied < events_max and await catch_up(connection, 1, memory):
                applied += 1
            return applied
        POISONED.set(1)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR) + 1
        raise PoisonEventError(f"position {position} cannot be applied: {error!r}") from error


async def _apply_page(connection: Executor, events_max: int, memory: Memory[BalanceRow]) -> int:
    async with connection.transaction():
        checkpoint = await checkpoints.lock(connection, checkpoints.PROJECTOR)
        events = await log.read_after(connection, checkpoint.position, events_max)
        if not events:
            return 0
        changed = projected_rows.changed(events)
        balances = memory.lend(checkpoint.mark)
        unknown = changed.balances.difference(balances)
        found = await _balances(connection, unknown)
        balances |= found
        rows = ProjectedRows(
            await _accounts(connection, changed.accounts),
            balances,
            await _transaction_states(connection, changed.transaction_states),
        )
        projected_rows.fold(events, rows)
        await _write(connection, rows, changed.balances, unknown.difference(found))
        mark = await checkpoints.move(connection, checkpoints.PROJECTOR, events[-1].position)
    assert mark is not None, "the locked checkpoint went backwards"
    memory.keep(mark, rows.balances)
    POISONED.set(0)
    APPLIED_EVENTS.inc(len(events))
    checkpoints.POSITION.labels(checkpoints.PROJECTOR).set(events[-1].position)
    return len(events)


async def _accounts(connection: Executor, keys: set[AccountKey]) -> dict[AccountKey, AccountRow]:
    if not keys:
        return {}
    rows = await connection.fetch(SQL["accounts"], *zip(*keys, strict=True))
    return {
        (row["ledger"], row["account_id"]): AccountRow(
            **{
                **row,
                "account_type": AccountType(row["account_type"]),
                "normal_side": Side(row["normal_side"]),
                "status": Status(row["status"]),
            }
        )
        for row in rows
    }


async def _balances(connection: Executor, keys: set[AccountKey]) -> dict[AccountKey, BalanceRow]:
    if not keys:
        return {}
    rows = await connection.fetch(SQL["balances"], *zip(*keys, strict=True))
    return {(row["ledger"], row["account_id"]): BalanceRow(**row) for row in rows}


async def _transaction_states(
    connection: Executor, keys: set[UUID]
) -> dict[UUID, TransactionState]:
    if not keys:
        return {}
    rows = await connection.fetch(SQL["transaction_states"], list(keys))
    return {
        row["transaction_id"]: TransactionState(**{**row, "stage": Stage(row["stage"])})
        for row in rows
    }


async def _write(
    connection: Executor, rows: ProjectedRows, changed: set[AccountKey], new: set[AccountKey]
) -> None:
    """Write all rows. Of the `changed` balances those that are `new` are added, others updated."""
    for query, replaced, as_parameter in (
        (SQL["put_accounts"], _in_order(rows.accounts), as_rows),
        (SQL["move_balances"], _in_order(rows.balances, changed - new), as_records),
        (SQL["put_transaction_states"], _in_order(rows.transaction_states), as_rows),
        (SQL["put_books"], _in_order(rows.books), as_rows),
        (SQL["put_recorded_times"], list(rows.recorded_times.values()), as_rows),
    ):
        if replaced:
            await connection.execute(query, as_parameter(replaced))
    for table, added in (
        ("balances", _in_order(rows.balances, new)),
        ("entries", rows.entries),
        ("transactions", rows.transactions),
        ("mentions", rows.account_references),
    ):
        if added:
            await database.copy(connection, "read", table, added)


def _in_order(rows: dict[Any, Any], keys: Iterable[Any] | None = None) -> list[Any]:
    """Return the rows of `keys`, or all rows, ordered by key: the order of locks everywhere."""
    return [rows[key] for key in sorted(rows if keys is None else keys)]
