"""HTTP ↔ bank statements: import, match, list what differs, decide.

The scope `reconcile` imports and decides; `read` looks. A statement belongs to one account, an
account to one ledger, and every query asks for the caller's ledger.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bank_statements import answers, findings, importer, parameters, review, store
from bank_statements.answers import (
    BankStatementLines,
    BankStatements,
    MatchedStatement,
    StatementDifferences,
    StatementMatch,
    StatementMatches,
)
from bank_statements.app import StatementSide
from bank_statements.findings import DifferencePlace, StatementOfAccount
from bank_statements.formats.reading import MEDIA_TYPES
from bank_statements.importer import Upload
from bank_statements.matching.types import MatchingTerms
from bank_statements.parameters import (
    Decision,
    DifferenceFilters,
    Import,
    MatchFilters,
    OfMatch,
    OfStatement,
    Override,
    Paging,
    StatementFilters,
)
from bank_statements.store import SQL
from events import checkpoints
from runtime.database import Executor
from runtime.problems import NotFound
from runtime.sql import Row
from web import cursors
from web.answers import Reply
from web.caller import Caller
from web.cursors import BIGGEST, Cursor
from web.freshness import Fresh
from web.operations import merged, operation

TAG = "Bank statements"
# A file whose media type says nothing is what `format` says.
UNTYPED = "application/octet-stream"
FILES = dict.fromkeys((UNTYPED, *MEDIA_TYPES), bytes)
NO_STATEMENT = {404: ("statement_not_found",)}
NO_MATCH = {404: ("match_not_found",)}
PAGED = {400: ("cursor_invalid",)}
MATCHING = {413: ("statement_too_long",)}
DECIDING = merged(NO_STATEMENT, NO_MATCH, {400: ("reason_invalid",), 409: ("match_rejected",)})


@operation(
    "POST",
    "/statements",
    name="importStatement",
    tag=TAG,
    scope="reconcile",
    reads=FILES,
    body_limit="statement_bytes_max",
    answers={200: MatchedStatement, 201: MatchedStatement},
    problems=merged(
        MATCHING,
        {
            400: (
                "statement_unreadable",
                "statement_line_invalid",
                "statement_ambiguous",
                "statement_currency_mismatch",
            ),
            404: ("account_not_found",),
        },
    ),
)
async def import_statement(
    side: StatementSide, caller: Caller, query: Import, headers: Fresh, kind: str, body: bytes
) -> Reply:
    """Import a bank's file, and propose matches; 200 if it was imported before."""
    terms = msgspec.convert(query, MatchingTerms, from_attributes=True)
    upload = Upload(body, parameters.how_to_read(query, kind), terms, caller.who)
    async with side.pool.acquire() as connection:
        done = await importer.import_file(
            connection, caller.ledger, query.account_id, upload, side.schema
        )
    return await _summary(side, caller, done.statement_id, 201 if done.new else 200)


@operation(
    "POST",
    "/statements/{statement_id}/match",
    name="matchStatement",
    tag=TAG,
    scope="reconcile",
    answers={200: MatchedStatement},
    problems=merged(NO_STATEMENT, MATCHING),
)
async def match_again(
    side: StatementSide, caller: Caller, path: OfStatement, query: MatchingTerms, headers: Fresh
) -> Reply:
    """Match what is left of a statement with the entries that there are now."""
    known_as = _id(path)
    async with side.pool.acquire() as connection:
        await importer.match_again(connection, caller.ledger, known_as, query)
    return await _summary(side, caller, known_as)


@operation(
    "GET",
    "/statements",
    name="importedStatements",
    tag=TAG,
    scope="read",
    answers={200: BankStatements},
)
async def statements(
    side: StatementSide, caller: Caller, query: StatementFilters, headers: Fresh
) -> Reply:
    """A ledger's imported statements, the latest first."""
    limit, (below,) = query.limit, _after(query, "statements", (BIGGEST,))
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        rows = await connection.fetch(
            SQL["statements_after"], caller.ledger, below, query.account_id, limit + 1
        )
    items = [answers.statement(row, side.schema.decimals(row["currency"])) for row in rows[:limit]]
    last = (rows[limit - 1]["statement_number"],) if len(rows) > limit else None
    return Reply(BankStatements(items, _next("statements", last)), position=position)


@operation(
    "GET",
    "/statements/{statement_id}",
    name="importedStatement",
    tag=TAG,
    scope="read",
    answers={200: MatchedStatement},
    problems=NO_STATEMENT,
)
async def statement(
    side: StatementSide, caller: Caller, path: OfStatement, headers: Fresh
) -> Reply:
    """A statement, and how much of it agrees with the ledger."""
    return await _summary(side, caller, _id(path))


@operation(
    "GET",
    "/statements/{statement_id}/lines",
    name="statementLines",
    tag=TAG,
    scope="read",
    answers={200: BankStatementLines},
    problems=NO_STATEMENT,
)
async def lines(
    side: StatementSide, caller: Caller, path: OfStatement, query: Paging, headers: Fresh
) -> Reply:
    """A statement's lines, each with its match."""
    limit, (after,) = query.limit, _after(query, "lines", (0,))
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, _id(path))
        rows = await connection.fetch(SQL["lines_after"], of.row["statement_id"], after, limit + 1)
    items = [answers.line(row, of.decimals) for row in rows[:limit]]
    last = (rows[limit - 1]["line_number"],) if len(rows) > limit else None
    return Reply(BankStatementLines(items, _next("lines", last)), position=position)


@operation(
    "GET",
    "/statements/{statement_id}/matches",
    name="statementMatches",
    tag=TAG,
    scope="read",
    answers={200: StatementMatches},
    problems=NO_STATEMENT,
)
async def matches(
    side: StatementSide, caller: Caller, path: OfStatement, query: MatchFilters, headers: Fresh
) -> Reply:
    """A statement's matches, rejected ones included, with what people decided."""
    limit, (after,) = query.limit, _after(query, "matches", (0,))
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, _id(path))
        rows = await _matches(connection, of, after, query.status, limit + 1)
    items = [answers.match(row, of.decimals) for row in rows[:limit]]
    last = (rows[limit - 1]["match_number"],) if len(rows) > limit else None
    return Reply(StatementMatches(items, _next("matches", last)), position=position)


@operation(
    "GET",
    "/statements/{statement_id}/discrepancies",
    name="statementDiscrepancies",
    tag=TAG,
    scope="read",
    answers={200: StatementDifferences},
    problems=NO_STATEMENT,
)
async def discrepancies(
    side: StatementSide, caller: Caller, path: OfStatement, query: DifferenceFilters, headers: Fresh
) -> Reply:
    """Where a statement and the ledger do not agree."""
    after = DifferencePlace(*_after(query, "findings", tuple(DifferencePlace())))
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, _id(path))
        found, last = await findings.page(connection, of, after, query.limit, query.kind)
    following = _next("findings", None if last is None else tuple(last))
    return Reply(StatementDifferences(found, following), position=position)


@operation(
    "POST",
    "/statements/{statement_id}/matches/{match_id}/accept",
    name="acceptMatch",
    tag=TAG,
    scope="reconcile",
    answers={200: StatementMatch},
    problems=DECIDING,
)
async def accept(
    side: StatementSide, caller: Caller, path: OfMatch, headers: Fresh, body: Decision
) -> Reply:
    """Accept a match that was proposed."""
    return await _decide(side, caller, path, body, "accepted")


@operation(
    "POST",
    "/statements/{statement_id}/matches/{match_id}/reject",
    name="rejectMatch",
    tag=TAG,
    scope="reconcile",
    answers={200: StatementMatch},
    problems=DECIDING,
)
async def reject(
    side: StatementSide, caller: Caller, path: OfMatch, headers: Fresh, body: Decision
) -> Reply:
    """Reject a match, accepted or not: what it linked is free again."""
    return await _decide(side, caller, path, body, "rejected")


@operation(
    "POST",
    "/statements/{statement_id}/matches",
    name="overrideMatch",
    tag=TAG,
    scope="reconcile",
    answers={201: StatementMatch},
    problems=merged(
        NO_STATEMENT,
        {
            400: ("reason_invalid", "transaction_id_invalid"),
            404: ("statement_line_not_found", "entry_not_found"),
            409: ("match_accepted",),
        },
    ),
)
async def override(
    side: StatementSide, caller: Caller, path: OfStatement, headers: Fresh, body: Override
) -> Reply:
    """Link lines and entries by hand."""
    known_as = _id(path)
    given = msgspec.structs.replace(body, reason=parameters.reason(body.reason))
    async with side.pool.acquire() as connection:
        number = await review.link(connection, caller.ledger, known_as, given, caller.who)
    return await _match(side, caller, known_as, number, 201)


OPERATIONS = [
    import_statement,
    statements,
    statement,
    lines,
    matches,
    discrepancies,
    accept,
    reject,
    override,
    match_again,
]


async def _decide(
    side: StatementSide, caller: Caller, path: OfMatch, body: Decision, verdict: review.Verdict
) -> Reply:
    known_as, reason = _id(path), parameters.reason(body.reason)
    number = _number(path.match_id)
    async with side.pool.acquire() as connection:
        await review.decide(
            connection, caller.ledger, known_as, number, verdict, caller.who, reason
        )
    return await _match(side, caller, known_as, number)


async def _statement(
    connection: Executor, side: StatementSide, caller: Caller, statement_id: UUID
) -> StatementOfAccount:
    row = await store.statement(connection, caller.ledger, statement_id)
    account = await store.account(connection, caller.ledger, row["account_id"])
    return StatementOfAccount(row, account, side.schema.decimals(row["currency"]))


async def _summary(
    side: StatementSide, caller: Caller, statement_id: UUID, status: int = 200
) -> Reply:
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, statement_id)
        totals = await findings.totals(connection, of)
    return Reply(answers.summary(of, totals), status, position)


async def _match(
    side: StatementSide, caller: Caller, statement_id: UUID, number: int, status: int = 200
) -> Reply:
    async with side.pool.acquire() as connection:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        of = await _statement(connection, side, caller, statement_id)
        (row,) = await _matches(connection, of, number - 1, None, 1)
    return Reply(answers.match(row, of.decimals), status, position)


async def _matches(
    connection: Executor, of: StatementOfAccount, after: int, status: str | None, count: int
) -> Sequence[Row]:
    return await connection.fetch(
        SQL["matches_after"], of.row["statement_id"], after, status, count
    )


def _id(path: OfStatement) -> UUID:
    text = path.statement_id
    try:
        return UUID(text)
    except ValueError as error:
        # The same answer as for a statement of another ledger.
        raise NotFound("statement_not_found", f"There is no statement {text}.") from error


def _number(text: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) < len(str(review.LAST_NUMBER))
    if not digits:
        raise NotFound("match_not_found", f"The statement has no match {text}.")
    return int(text)


def _after(query: Paging, name: str, start: tuple[int, ...]) -> tuple[int, ...]:
    """Return the key that a page comes after."""
    return start if query.cursor is None else cursors.decode(query.cursor, name, start).cut


def _next(name: str, last: tuple[int, ...] | None) -> str | None:
    return None if last is None else cursors.encode(name, Cursor(up=True, cut=last))
