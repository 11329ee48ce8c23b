"""Reads of single accounts, each with the position that it is true of."""

from query_side import queries
from query_side.accounts.parameters import no_account
from query_side.queries import Read
from runtime import database


async def account(pool: database.Pool, ledger: str, account_id: str) -> Read:
    """Return an account's policy and counters. Raises NotFound."""
    found = await queries.read(pool, "account", ledger, account_id)
    if found.row is None:
        raise no_account(account_id, found.position)
    return found
