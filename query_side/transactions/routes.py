"""HTTP ↔ transactions. Every answer carries `Daybook-Position`, the last event that it shows."""

from events.answers import Polled, Transaction
from events.types import transaction_id as id_of_key
from query_side import lists, queries
from query_side.app import QuerySide
from query_side.parameters import FILTER_PROBLEMS
from query_side.transactions import answers, parameters
from query_side.transactions import queries as transaction_queries
from query_side.transactions.answers import Processing, Transactions, Verification
from query_side.transactions.parameters import OfKey, OfTransaction, TransactionFilters
from runtime.problems import NotFound
from web.answers import Reply
from web.caller import Caller
from web.freshness import Fresh
from web.operations import operation

TAG = "Reading transactions"
NOT_FOUND = {404: ("transaction_not_found",)}


@operation(
    "GET",
    "/transactions/status/{key:path}",
    name="status",
    tag=TAG,
    scope="read",
    answers={200: Polled, 202: Processing},
    problems=NOT_FOUND,
)
async def status(side: QuerySide, caller: Caller, path: OfKey, headers: Fresh) -> Reply:
    """What became of a submission, by its idempotency key.

    202 while the submission is in the log and not yet in the read models, then 200 with its result.
    """
    transaction_id = id_of_key(caller.ledger, path.key)
    found = await queries.read(side.pool, "transaction", transaction_id, caller.ledger)
    if found.row is not None:
        return Reply(answers.polled(found.row, side.schema), position=found.position)
    if await transaction_queries.submitted(side.pool, transaction_id):
        return Reply(Processing("PROCESSING", path.key), 202, found.position)
    detail = f"Nothing was submitted with the idempotency key {path.key!r}."
    raise NotFound("transaction_not_found", detail)


@operation(
    "GET",
    "/transactions/{transaction_id}",
    name="transaction",
    tag=TAG,
    scope="read",
    answers={200: Transaction},
    problems=NOT_FOUND,
)
async def transaction(
    side: QuerySide, caller: Caller, path: OfTransaction, headers: Fresh
) -> Reply:
    """One transaction as it stands, and what refers to it."""
    found, related = await transaction_queries.transaction(
        side.pool, path.transaction_id, caller.ledger
    )
    if found.row is None:
        raise parameters.no_transaction(str(path.transaction_id))
    return Reply(answers.transaction(found.row, side.schema, related), position=found.position)


@operation(
    "GET",
    "/transactions",
    name="transactions",
    tag=TAG,
    scope="read",
    answers={200: Transactions},
    problems=FILTER_PROBLEMS,
)
async def transactions(
    side: QuerySide, caller: Caller, query: TransactionFilters, headers: Fresh
) -> Reply:
    """A ledger's transactions, failed ones included, newest first."""
    asked = parameters.transactions(query, caller.ledger, side.schema)
    page = await lists.page(side.pool, *asked)
    items = [answers.transaction(row, side.schema) for row in page.rows]
    return Reply(Transactions(items, page.next, page.previous), position=page.position)


@operation(
    "POST",
    "/transactions/{transaction_id}/verify-double-entry",
    name="verifyDoubleEntry",
    tag=TAG,
    scope="read",
    answers={200: Verification},
    problems=NOT_FOUND,
)
async def verify_double_entry(
    side: QuerySide, caller: Caller, path: OfTransaction, headers: Fresh
) -> Reply:
    """A transaction's entries, and whether they balance."""
    found, entries = await transaction_queries.transaction_entries(
        side.pool, path.transaction_id, caller.ledger
    )
    if found.row is None:
        raise parameters.no_transaction(str(path.transaction_id))
    return Reply(answers.verification(found.row, entries), position=found.position)


OPERATIONS = [status, transaction, transactions, verify_double_entry]
