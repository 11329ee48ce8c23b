"""The command side's accounts as of the head, although their rows are flushed later.

    row as of its position  +  moved in (its position, head]  =  row as of the head

With this sum, they are compared with the log like any other row. All rows hold the events up to
`head.accounts_stored`, so only the log after it is read again. Memory is bounded by the accounts.
"""

from typing import Any

from auditing.replay import AccountKey, ReplayedState
from auditing.view_catalog import COMMAND_ACCOUNTS, COUNTERS, SQL, Columns, Register
from events import log
from runtime.database import Executor


async def command_accounts(
    connection: Executor, head: log.Head, only: AccountKey | None = None
) -> Register:
    """Return the register of all accounts, or `only` one, as of the `head` of the log.

    A row with a later position keeps it. Raises UnreadableEventError.
    """
    moved = await _moved(connection, head, only)

    def shown(stored: Any) -> Columns:  # noqa: ANN401 - asyncpg's row
        row: Columns = dict(stored)
        row["position"] = max(row["position"], head.position)
        for name, amount in moved.get((row["ledger"], row["account_id"]), {}).items():
            row[name] += amount
        return row

    return COMMAND_ACCOUNTS._replace(
        shown=shown,
        columns=lambda account: (
            (COMMAND_ACCOUNTS.columns(account) or {}) | {"position": head.position}
        ),
    )


async def _moved(
    connection: Executor, head: log.Head, only: AccountKey | None
) -> dict[AccountKey, Columns]:
    """Return by how much each account was moved since its row was flushed, in minor units."""
    rows = (
        await connection.fetch(SQL["accounts_stored_after"], head.accounts_stored)
        if only is None
        else await connection.fetch(SQL["command_account"], *only)
    )
    stored_at = {(row["ledger"], row["account_id"]): row["position"] for row in rows}
    state = ReplayedState(only)
    at_row: dict[AccountKey, Columns] = {}
    mentioning = None if only is None else only[1]
    async for page in log.pages(connection, head.accounts_stored, head.position, mentioning):
        for recorded in page:
            for entry in state.fold(recorded)[0]:
                key = entry.ledger, entry.account_id
                if entry.position <= stored_at.get(key, 0):
                    at_row[key] = {name: getattr(entry, name) for name in COUNTERS}
    moved: dict[AccountKey, Columns] = {}
    for key, account in state.accounts.items():
        before = at_row.get(key, dict.fromkeys(COUNTERS, 0))
        moved[key] = {name: getattr(account, name) - before[name] for name in COUNTERS}
    return moved
