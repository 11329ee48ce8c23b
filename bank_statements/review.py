"""A person's word on a match: accepted, rejected, or made by hand. Each is kept for good.

proposed ──accept──▶ accepted ──reject──▶ rejected      a rejected match frees what it linked,
└───────────────reject───────────────────▲          and stays rejected
override ──▶ accepted                                   rejects the proposals in its way
"""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from bank_statements import store
from bank_statements.matching.types import CERTAIN, OVERRIDE, Match, MatchableEntry
from bank_statements.parameters import Linked, Override
from bank_statements.statement import StatementLine
from bank_statements.store import SQL, MirrorAccount
from runtime.database import Executor
from runtime.problems import Invalid, NotFound, Outdated
from runtime.sql import Row

Verdict = Literal["accepted", "rejected"]
LAST_NUMBER = 2**31 - 1


async def decide(
    connection: Executor,
    ledger: str,
    statement_id: UUID,
    number: int,
    verdict: Verdict,
    who: str,
    reason: str,
) -> None:
    """Accept or reject a match; what is decided so already stays so. Raises NotFound, Outdated."""
    row = await store.statement(connection, ledger, statement_id)
    async with connection.transaction():
        await store.lock(connection, ledger, row["account_id"])
        status = await connection.fetchval(SQL["match_to_decide"], statement_id, number)
        if status is None:
            raise NotFound("match_not_found", f"The statement has no match {number}.")
        if status == verdict:
            return
        if status == "rejected":
            detail = "The match was rejected. Link its lines and entries by hand instead."
            raise Outdated("match_rejected", detail)
        await _decide(connection, statement_id, number, verdict, who, reason)


async def link(
    connection: Executor, ledger: str, statement_id: UUID, given: Override, who: str
) -> int:
    """Link lines and entries because a person says so; return the match's number.

    Proposals that hold any of them are rejected. Raises Invalid, NotFound, Outdated.
    """
    row = await store.statement(connection, ledger, statement_id)
    of = await store.account(connection, ledger, row["account_id"])
    numbers, transactions = _checked(given)
    async with connection.transaction():
        await store.lock(connection, ledger, of.account_id)
        lines = await _lines(connection, statement_id, numbers)
        entries = await _entries(connection, of, given.entries, transactions)
        await _make_way(connection, statement_id, lines, entries, who, given.reason)
        said = f"{who} says so: {given.reason}"
        made = Match(OVERRIDE, CERTAIN, said, tuple(lines), tuple(entries))
        number = await store.add_matches(connection, statement_id, [made], "accepted")
        await connection.execute(
            SQL["add_decision"], statement_id, number, "accepted", who, given.reason
        )
    return number


def _checked(given: Override) -> tuple[list[int], list[UUID]]:
    try:
        transactions = [UUID(linked.transaction_id) for linked in given.entries]
    except ValueError as error:
        detail = "`transaction_id` is not a transaction id."
        raise Invalid("transaction_id_invalid", detail, field="transaction_id") from error
    return [number for number in given.lines if 0 < number <= LAST_NUMBER], transactions


async def _lines(
    connection: Executor, statement_id: UUID, numbers: list[int]
) -> list[StatementLine]:
    rows = await connection.fetch(SQL["lines_given"], statement_id, numbers)
    found = [
        StatementLine(number=row["line_number"], booked_on=row["booked_on"], amount=row["amount"])
        for row in rows
    ]
    if not found or {line.number for line in found} != set(numbers):
        raise NotFound("statement_line_not_found", "The statement has no such line.")
    return found


async def _entries(
    connection: Executor, of: MirrorAccount, given: Sequence[Linked], transactions: list[UUID]
) -> list[MatchableEntry]:
    rows = await connection.fetch(SQL["entries_given"], of.ledger, of.account_id, transactions)
    found: dict[tuple[int, int], MatchableEntry] = {}
    for linked, transaction_id in zip(given, transactions, strict=True):
        own = [
            row
            for row in rows
            if row["transaction_id"] == transaction_id and linked.line in (None, row["line"])
        ]
        if not own:
            detail = f"Transaction {transaction_id} has posted no such entry to {of.account_id!r}."
            raise NotFound("entry_not_found", detail)
        found |= {(row["position"], row["line"]): _entry(row, of) for row in own}
    return [found[place] for place in sorted(found)]


def _entry(row: Row, of: MirrorAccount) -> MatchableEntry:
    return MatchableEntry(
        row["position"],
        row["line"],
        row["transaction_id"],
        store.day(row["booked_at"]),
        of.signed(row["side"], row["amount"]),
        (),
        "",
    )


async def _make_way(
    connection: Executor,
    statement_id: UUID,
    lines: Sequence[StatementLine],
    entries: Sequence[MatchableEntry],
    who: str,
    reason: str,
) -> None:
    """Reject the proposals that hold what a person links otherwise. Raises Outdated."""
    rows = await connection.fetch(
        SQL["matches_of_links"],
        statement_id,
        [line.number for line in lines],
        [entry.position for entry in entries],
        [entry.line for entry in entries],
    )
    for row in rows:
        if row["status"] == "accepted":
            detail = (
                f"Match {row['match_number']} of statement {row['statement_id']} holds one of "
                f"these and was accepted. Reject it first."
            )
            raise Outdated("match_accepted", detail)
        await _decide(connection, row["statement_id"], row["match_number"], "rejected", who, reason)


async def _decide(
    connection: Executor,
    statement_id: UUID,
    number: int,
    verdict: Verdict,
    who: str,
    reason: str,
) -> None:
    await connection.execute(SQL["set_status"], statement_id, number, verdict)
    if verdict == "rejected":
        await connection.execute(SQL["release_lines"], statement_id, number)
        await connection.execute(SQL["release_entries"], statement_id, number)
    await connection.execute(SQL["add_decision"], statement_id, number, verdict, who, reason)
