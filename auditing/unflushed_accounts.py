"""The command side's accounts as of the head, though their rows are stored late.

    row as of its position  +  moved in (its position, head]  =  row as of the head

So they are compared with the log like any other row. Nothing of an account that is not in its row
is as early as `head.accounts_stored`, so only the log from there is read again. Memory is bounded
by the accounts.
"""

from typing import Any

from auditing.replay import AccountKey, Books
from auditing.view_catalog import COMMAND_ACCOUNTS, COUNTERS, SQL, Columns, Register
from events import log
from runtime.database import Executor


async def command_accounts(
    connection: Executor, head: log.Head, only: AccountKey | None = None
) -> Register:
    """Return the register of all accounts, or `only` one, as of `head`, which is the log's end.

    A row that claims to be later keeps its position. Raises UnreadableEventError.
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
        columns=lambda tally: (COMMAND_ACCOUNTS.columns(tally) or {}) | {"position": head.position},
    )


async def _moved(
    connection: Executor, head: log.Head, only: AccountKey | None
) -> dict[AccountKey, Columns]:
    """Return by how much each account was moved since its row was stored, in minor units."""
    rows = (
        await connection.fetch(SQL["accounts_stored_after"], head.accounts_stored)
        if only is None
        else await connection.fetch(SQL["command_account"], *only)
    )
    stored_at = {(row["ledger"], row["account_id"]): row["position"] for row in rows}
    books = Books(only)
    at_row: dict[AccountKey, Columns] = {}
    mentioning = None if only is None else only[1]
    async for page in log.pages(connection, head.accounts_stored, head.position, mentioning):
        for recorded in page:
            for line in books.take(recorded)[0]:
                key = line.ledger, line.account_id
                if line.position <= stored_at.get(key, 0):
                    at_row[key] = {name: getattr(line, name) for name in COUNTERS}
    moved: dict[AccountKey, Columns] = {}
    for key, tally in books.accounts.items():
        before = at_row.get(key, dict.fromkeys(COUNTERS, 0))
        moved[key] = {name: getattr(tally, name) - before[name] for name in COUNTERS}
    return moved
