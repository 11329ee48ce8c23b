"""HTTP ↔ entries. Every answer carries `Daybook-Position`, the last event that it shows."""

from query_side import lists
from query_side.accounts import queries as account_queries
from query_side.accounts.parameters import NOT_FOUND, OfAccount
from query_side.app import QuerySide
from query_side.entries import answers, parameters
from query_side.entries.answers import Entries
from query_side.entries.parameters import AccountEntryFilters, EntryFilters
from query_side.list_query import ListRequest
from query_side.parameters import FILTER_PROBLEMS
from web.answers import Reply
from web.caller import Caller
from web.freshness import Fresh
from web.operations import merged, operation


@operation(
    "GET",
    "/entries",
    name="entries",
    tag="Reading transactions",
    scope="read",
    answers={200: Entries},
    problems=FILTER_PROBLEMS,
)
async def entries(side: QuerySide, caller: Caller, query: EntryFilters, headers: Fresh) -> Reply:
    """A ledger's entries, newest first, each with its account's balance after it."""
    return await _listed(side, parameters.entries(query, caller.ledger, side.schema))


@operation(
    "GET",
    "/accounts/{account_id}/ledger",
    name="ledger",
    tag="Reading accounts",
    scope="read",
    answers={200: Entries},
    problems=merged(FILTER_PROBLEMS, NOT_FOUND),
)
async def of_account(
    side: QuerySide, caller: Caller, path: OfAccount, query: AccountEntryFilters, headers: Fresh
) -> Reply:
    """An account's entries, newest first, each with the balance after it."""
    asked = parameters.of_account(query, caller.ledger, path.account_id, side.schema)
    await account_queries.account(side.pool, caller.ledger, path.account_id)
    return await _listed(side, asked)


OPERATIONS = [entries, of_account]


async def _listed(side: QuerySide, asked: ListRequest) -> Reply:
    page = await lists.page(side.pool, *asked)
    items = [answers.entry(row, side.schema) for row in page.rows]
    return Reply(Entries(items, page.next, page.previous), position=page.position)
