"""HTTP ↔ accounts. Every answer carries `Daybook-Position`, the last event that it shows."""

from events import codec
from events.answers import Books
from query_side import lists, queries
from query_side.accounts import answers, difference, parameters, points
from query_side.accounts import queries as account_queries
from query_side.accounts.answers import Account, Accounts, Balance, BalanceDifference, Events
from query_side.accounts.parameters import (
    NOT_FOUND,
    POINT_PROBLEMS,
    AccountFilters,
    DifferenceParameters,
    OfAccount,
    PointParameters,
)
from query_side.app import QuerySide
from query_side.parameters import FILTER_PROBLEMS, ListParameters
from web.answers import Reply
from web.caller import Caller
from web.freshness import Fresh
from web.operations import merged, operation

TAG = "Reading accounts"


@operation(
    "GET",
    "/accounts",
    name="accounts",
    tag=TAG,
    scope="read",
    answers={200: Accounts},
    problems=FILTER_PROBLEMS,
)
async def accounts(side: QuerySide, caller: Caller, query: AccountFilters, headers: Fresh) -> Reply:
    """A ledger's accounts by id, each with its policy and its balance."""
    asked = parameters.accounts(query, caller.ledger, side.schema)
    page = await lists.page(side.pool, *asked)
    items = [answers.listed_account(row, side.schema) for row in page.rows]
    return Reply(Accounts(items, page.next, page.previous), position=page.position)


@operation(
    "GET",
    "/accounts/{account_id}",
    name="account",
    tag=TAG,
    scope="read",
    answers={200: Account},
    problems=NOT_FOUND,
)
async def account(side: QuerySide, caller: Caller, path: OfAccount, headers: Fresh) -> Reply:
    """An account's policy."""
    found = await account_queries.account(side.pool, caller.ledger, path.account_id)
    assert found.row is not None
    return Reply(answers.account(found.row, side.schema), position=found.position)


@operation(
    "GET",
    "/accounts/{account_id}/balance",
    name="balance",
    tag=TAG,
    scope="read",
    answers={200: Balance},
    problems=merged(NOT_FOUND, POINT_PROBLEMS),
)
async def balance(
    side: QuerySide, caller: Caller, path: OfAccount, query: PointParameters, headers: Fresh
) -> Reply:
    """An account's counters, now or at a point."""
    asked = query.point()
    await points.reached(side, headers, asked)
    async with queries.snapshot(side.pool) as connection:
        found = await points.account(connection, caller.ledger, path.account_id)
        decimals = side.schema.decimals(found.currency)
        point = await points.locate(connection, asked)
        if query == PointParameters():
            counters = await points.now(connection, found)
            return Reply(answers.balance(found, counters, decimals), position=point.known)
        counters = await points.at(connection, found, point)
    return Reply(answers.balance(found, counters, decimals, point), position=point.known)


@operation(
    "GET",
    "/accounts/{account_id}/balance-difference",
    name="balanceDifference",
    tag=TAG,
    scope="read",
    answers={200: BalanceDifference},
    problems=merged(NOT_FOUND, POINT_PROBLEMS),
)
async def balance_difference(
    side: QuerySide, caller: Caller, path: OfAccount, query: DifferenceParameters, headers: Fresh
) -> Reply:
    """An account's counters at two points, and every entry between."""
    asked = query.points()
    await points.reached(side, headers, *asked)
    found = await difference.between(
        side.pool, caller.ledger, path.account_id, asked, query.cursor, query.limit
    )
    decimals = side.schema.decimals(found.account.currency)
    return Reply(answers.difference(found, decimals), position=found.last.known)


@operation(
    "GET",
    "/accounts/{account_id}/audit-trail",
    name="auditTrail",
    tag=TAG,
    scope="read",
    answers={200: Events},
    problems=NOT_FOUND,
)
async def audit_trail(
    side: QuerySide, caller: Caller, path: OfAccount, query: ListParameters, headers: Fresh
) -> Reply:
    """Every event that concerns an account, as recorded, newest first, refusals included."""
    asked = parameters.audit_trail(query, caller.ledger, path.account_id)
    await account_queries.account(side.pool, caller.ledger, path.account_id)
    page = await lists.page(side.pool, *asked)
    items = [answers.event(codec.recorded(row)) for row in page.rows]
    return Reply(Events(items, page.next, page.previous), position=page.position)


@operation("GET", "/books", name="books", tag=TAG, scope="read", answers={200: Books})
async def books(side: QuerySide, caller: Caller, headers: Fresh) -> Reply:
    """Until when the ledger's books are closed."""
    found = await queries.read(side.pool, "books", caller.ledger)
    return Reply(answers.books(found.row), position=found.position)


OPERATIONS = [accounts, account, balance, balance_difference, audit_trail, books]
