"""The lists of the API, as their routes read a query string."""

from collections.abc import Iterable
from functools import cache
from urllib.parse import urlencode

from msgspec import Struct

from events.schema import Schema
from query_side.accounts import parameters as accounts
from query_side.accounts.parameters import AccountFilters
from query_side.entries import parameters as entries
from query_side.entries.parameters import AccountEntryFilters, EntryFilters
from query_side.list_query import ListRequest
from query_side.parameters import ListParameters
from query_side.transactions import parameters as transactions
from query_side.transactions.parameters import TransactionFilters
from web.parameters import Reader

LISTS = ("transactions", "entries", "ledger", "accounts", "audit-trail")


@cache
def _reader(struct: type[Struct]) -> Reader:
    return Reader(struct, "query")


def parsed(query: str | Iterable[tuple[str, str]], struct: type[Struct]) -> Struct:
    """Return what a query string says to a route that takes `struct`. Raises Invalid."""
    text = query if isinstance(query, str) else urlencode(list(query))
    return _reader(struct).query(text.encode())


def list_request(
    name: str,
    query: str | Iterable[tuple[str, str]],
    schema: Schema,
    ledger: str = "demo",
    account: str = "alice",
) -> ListRequest:
    """Return what a query string asks of the list `name`. Raises Invalid."""
    match name:
        case "transactions":
            found = parsed(query, TransactionFilters)
            assert isinstance(found, TransactionFilters)
            return transactions.transactions(found, ledger, schema)
        case "entries":
            found = parsed(query, EntryFilters)
            assert isinstance(found, EntryFilters)
            return entries.entries(found, ledger, schema)
        case "ledger":
            found = parsed(query, AccountEntryFilters)
            assert isinstance(found, AccountEntryFilters)
            return entries.of_account(found, ledger, account, schema)
        case "accounts":
            found = parsed(query, AccountFilters)
            assert isinstance(found, AccountFilters)
            return accounts.accounts(found, ledger, schema)
        case _:
            found = parsed(query, ListParameters)
            assert isinstance(found, ListParameters)
            return accounts.audit_trail(found, ledger, account)
