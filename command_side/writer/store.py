"""The tables that deciding needs: loaded before a batch, and updated after it.

They are a view of the log like any other, and are written in a transaction that appends. That of an
event writes transaction states and closed books; that event's or a later one writes accounts
(`account_cache.py`).
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from command_side.domain import state
from command_side.domain.account import AccountState
from command_side.domain.changes import ChangedRows
from command_side.domain.commands import Needs
from command_side.domain.state import ClosedBooks, EarlierTransaction, State
from command_side.writer.account_cache import AccountCache
from events import types
from events.types import Recorded, Stage, TransactionEvent
from runtime.database import Executor
from runtime.sql import as_rows, queries

SQL = queries("command_side/writer")


async def load(
    connection: Executor, needs: Needs, known: dict[UUID, Recorded], cache: AccountCache
) -> State:
    """Return the state that `needs` names, as of the head; `known` are the streams that exist."""
    earlier = await _transactions(connection, needs.earlier, known)
    accounts = set(needs.accounts)
    for found in earlier.values():
        event = found.event
        accounts |= {(event.ledger, name) for name in types.accounts_of(event.postings)}
    return State(
        await cache.load(connection, accounts),
        earlier,
        await _books(connection, needs.dated),
        needs.earlier,
    )


async def put(
    connection: Executor, changed: ChangedRows, moved: Sequence[AccountState], position: int
) -> None:
    """Store what changed up to `position`; of the accounts that only moved, only `moved`.

    Rows are written in the order of their keys, so that writers never wait for each other in a
    circle.
    """
    for query, rows, more in (
        (SQL["put_accounts"], [row for _, row in sorted(changed.policies.items())], [position]),
        (SQL["move_accounts"], moved, [position]),
        (SQL["put_transaction_states"], changed.transactions, []),
        (SQL["put_books"], changed.books, []),
    ):
        if rows:
            await connection.execute(query, as_rows(rows), *more)


async def _transactions(
    connection: Executor, followed: Collection[UUID], known: dict[UUID, Recorded]
) -> dict[UUID, EarlierTransaction]:
    found = {}
    for transaction_id in followed:
        event = known[transaction_id].event if transaction_id in known else None
        if isinstance(event, TransactionEvent):
            found[transaction_id] = state.begun(event)
    if found:
        for row in await connection.fetch(SQL["transaction_states"], list(found)):
            transaction_id = row["transaction_id"]
            found[transaction_id] = msgspec.structs.replace(
                found[transaction_id],
                stage=Stage(row["stage"]),
                used=tuple(row["used"]),
                due_at=row["due_at"],
            )
    return found


async def _books(connection: Executor, ledgers: Collection[str]) -> dict[str, ClosedBooks]:
    if not ledgers:
        return {}
    rows = await connection.fetch(SQL["books"], list(ledgers))
    return {
        row["ledger"]: ClosedBooks(row["ledger"], row["closed_before"], row["version"])
        for row in rows
    }
