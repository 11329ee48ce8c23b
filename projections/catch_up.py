"""One transaction: the next events of the log → rows of the read models + the checkpoint.

    #   round trip          why
    1   BEGIN
    2   lock checkpoint     two workers take turns; the later one finds its events old
    3   read the log        a page of it
    4   what is known       of the accounts and transactions that the page changes, if any, and
                            what this process doesn't remember of balances
    5   add / put rows      one statement a table, however many rows; COPY where rows are only added
    6   move checkpoint
    7   COMMIT              rows and checkpoint, or neither

So duplicated, lost, reordered and forged messages, two workers at once and an emptied queue change
nothing: a message only says that there is something to read.
"""

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from prometheus_client import Counter, Gauge

from events import checkpoints, log
from events.types import AccountType, Side, Stage, Status
from projections.folds import page as pages
from projections.folds.balances import AccountKey, Balance
from projections.folds.page import Account, Page
from projections.folds.transaction_states import Standing
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
    """An event cannot be applied. The line stands until a person looks; nothing is skipped."""


async def catch_up(
    connection: Executor, events_max: int, memory: Memory[Balance] | None = None
) -> int:
    """Apply the next events of the log, at most `events_max`; return how many.

    If one of them cannot be applied, those before it are, and then PoisonEventError is raised.
    """
    memory = memory or Memory()
    try:
        return await _apply_page(connection, events_max, memory)
    except database.CONNECTION_ERRORS:
        raise
    except Exception as error:
        if events_max > 1:
            logger.warning("a page cannot be applied whole (%s); going on event by event", error)
            applied = 0
            while applied < events_max and await catch_up(connection, 1, memory):
                applied += 1
            return applied
        POISONED.set(1)
        position = await checkpoints.read(connection, checkpoints.PROJECTOR) + 1
        raise PoisonEventError(f"position {position} cannot be applied: {error!r}") from error


async def _apply_page(connection: Executor, events_max: int, memory: Memory[Balance]) -> int:
    async with connection.transaction():
        checkpoint = await checkpoints.lock(connection, checkpoints.PROJECTOR)
        events = await log.read_after(connection, checkpoint.position, events_max)
        if not events:
            return 0
        changed = pages.changed(events)
        balances = memory.lend(checkpoint.mark)
        unknown = changed.balances.difference(balances)
        found = await _balances(connection, unknown)
        balances |= found
        page = Page(
            await _accounts(connection, changed.accounts),
            balances,
            await _standings(connection, changed.standings),
        )
        pages.fold(events, page)
        await _write(connection, page, changed.balances, unknown.difference(found))
        mark = await checkpoints.move(connection, checkpoints.PROJECTOR, events[-1].position)
    assert mark is not None, "the locked checkpoint went backwards"
    memory.keep(mark, page.balances)
    POISONED.set(0)
    APPLIED_EVENTS.inc(len(events))
    checkpoints.POSITION.labels(checkpoints.PROJECTOR).set(events[-1].position)
    return len(events)


async def _accounts(connection: Executor, wanted: set[AccountKey]) -> dict[AccountKey, Account]:
    if not wanted:
        return {}
    rows = await connection.fetch(SQL["accounts"], *zip(*wanted, strict=True))
    return {
        (row["ledger"], row["account_id"]): Account(
            row["ledger"],
            row["account_id"],
            row["account_class"],
            AccountType(row["account_type"]),
            row["currency"],
            Side(row["normal_side"]),
            row["overdraft_limit"],
            row["metadata"],
            row["opened_at"],
            Status(row["status"]),
            row["version"],
        )
        for row in rows
    }


async def _balances(connection: Executor, wanted: set[AccountKey]) -> dict[AccountKey, Balance]:
    if not wanted:
        return {}
    rows = await connection.fetch(SQL["balances"], *zip(*wanted, strict=True))
    return {
        (row["ledger"], row["account_id"]): Balance(
            row["ledger"],
            row["account_id"],
            row["debits_posted"],
            row["credits_posted"],
            row["debits_pending"],
            row["credits_pending"],
            row["position"],
            row["as_of"],
        )
        for row in rows
    }


async def _standings(connection: Executor, wanted: set[UUID]) -> dict[UUID, Standing]:
    if not wanted:
        return {}
    rows = await connection.fetch(SQL["standings"], list(wanted))
    return {
        row["transaction_id"]: Standing(
            row["transaction_id"],
            Stage(row["stage"]),
            row["used"],
            row["code"],
            row["detail"],
            row["position"],
            row["changed_at"],
        )
        for row in rows
    }


async def _write(
    connection: Executor, page: Page, changed: set[AccountKey], new: set[AccountKey]
) -> None:
    """Write a page. Of the `changed` balances those that are `new` are added, the others moved."""
    for query, rows, as_parameter in (
        (SQL["put_accounts"], _in_order(page.accounts), as_rows),
        (SQL["move_balances"], _in_order(page.balances, changed - new), as_records),
        (SQL["put_standings"], _in_order(page.standings), as_rows),
        (SQL["put_books"], _in_order(page.books), as_rows),
        (SQL["put_moments"], list(page.moments.values()), as_rows),
    ):
        if rows:
            await connection.execute(query, as_parameter(rows))
    for table, added in (
        ("balances", _in_order(page.balances, new)),
        ("entries", page.entries),
        ("transactions", page.transactions),
        ("mentions", page.mentions),
    ):
        if added:
            await database.copy(connection, "read", table, added)


def _in_order(rows: dict[Any, Any], keys: Iterable[Any] | None = None) -> list[Any]:
    """Return the rows of `keys`, or all, in the order of their keys, as everywhere."""
    return [rows[key] for key in sorted(rows if keys is None else keys)]
