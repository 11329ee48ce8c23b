"""Where a statement and the ledger do not agree: found anew whenever it is asked for.

`expected` is what the ledger says, `actual` what the statement says. The kinds are gone through in
their order, each by its own key, so that a page costs what it shows.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from bank_statements import store, summary
from bank_statements.differences import DifferenceKind, StatementDifference
from bank_statements.matching.types import MatchingTerms
from bank_statements.statement import Mismatch
from bank_statements.store import SQL, Candidate, MirrorAccount
from bank_statements.summary import Lines, Sums
from events import money
from events.types import Side
from runtime.database import Executor
from runtime.sql import Row

CANDIDATES = msgspec.json.Decoder(list[Candidate])
TERMS = msgspec.json.Decoder(MatchingTerms)
_MISMATCHES = msgspec.json.Decoder(list[Mismatch], strict=False)


class DifferencePlace(NamedTuple):
    """Where a list of findings goes on: after a key of a kind."""

    kind: int = 0
    key: int = 0
    line: int = 0


class StatementTotals(NamedTuple):
    """A statement's lines and the ledger's entries of its days; and what differs, by kind."""

    lines: Lines
    entries: Sums
    matches: dict[str, int]
    discrepancies: dict[DifferenceKind, int]


class StatementOfAccount(NamedTuple):
    """A statement's row, with what is needed to say something of it."""

    row: Row
    account: MirrorAccount
    decimals: int

    @property
    def terms(self) -> MatchingTerms:
        """What it was matched on last."""
        return TERMS.decode(self.row["terms"])

    @property
    def mismatches(self) -> list[Mismatch]:
        """Where its own balances do not agree."""
        return _MISMATCHES.decode(self.row["mismatches"])

    def text(self, minor: int) -> str:
        """Return an amount with its currency."""
        return f"{money.to_text(minor, self.decimals)} {self.row['currency']}"

    def directed(self, minor: int) -> str:
        """Return an amount with its currency and direction."""
        return f"{self.text(abs(minor))} {'in' if minor > 0 else 'out'}"


Found = list[tuple[DifferencePlace, StatementDifference]]


async def page(
    connection: Executor,
    of: StatementOfAccount,
    after: DifferencePlace,
    count: int,
    only: DifferenceKind | None = None,
) -> tuple[list[StatementDifference], DifferencePlace | None]:
    """Return at most `count` findings after a place, and where to go on, if there are more."""
    found: Found = []
    for number, kind in enumerate(DifferenceKind):
        if number < after.kind or only not in (None, kind):
            continue
        start = after if number == after.kind else DifferencePlace(number)
        found += await _OF[kind](connection, of, start, count + 1 - len(found))
        if len(found) > count:
            return [finding for _, finding in found[:count]], found[count - 1][0]
    return [finding for _, finding in found], None


async def totals(connection: Executor, of: StatementOfAccount) -> StatementTotals:
    """Return how much of a statement agrees."""
    known_as = of.row["statement_id"]
    rows = await connection.fetch(SQL["lines_summed"], of.account.ledger, known_as)
    lines = summary.per_account(rows).get(of.account.account_id, Lines(of.row["currency"]))
    entries = Sums()
    if of.row["starts_on"] is not None:
        days = [(of.row["starts_on"], of.row["ends_on"])]
        entries = await summary.unmatched_entries(connection, of.account, days)
    counted = await connection.fetch(SQL["matches_counted"], known_as, of.terms.days)
    holding = [row for row in counted if row["status"] != "rejected"]
    matches = dict.fromkeys(("proposed", "accepted", "rejected"), 0)
    return StatementTotals(
        lines,
        entries,
        matches | {row["status"]: row["matches"] for row in counted},
        {
            DifferenceKind.STATEMENT_BALANCE_MISMATCH: len(of.mismatches),
            DifferenceKind.UNMATCHED_STATEMENT_LINE: lines.unmatched.count,
            DifferenceKind.UNMATCHED_ENTRY: entries.count,
            DifferenceKind.AMOUNT_DIFFERS: sum(row["amount_differs"] for row in holding),
            DifferenceKind.DATE_DIFFERS: sum(row["date_differs"] for row in holding),
        },
    )


async def _balances(
    _: Executor, of: StatementOfAccount, after: DifferencePlace, count: int
) -> Found:
    found: Found = []
    for number, mismatch in enumerate(of.mismatches, 1):
        if number <= after.key or len(found) == count:
            continue
        reached = of.text(mismatch.expected)
        said = (
            f"The opening balance and the lines of page {mismatch.page} make {reached}, and its "
            f"closing balance is another."
            if mismatch.after_lines
            else f"Page {mismatch.page} does not begin with the {reached} that the one before "
            f"ended with."
        )
        finding = StatementDifference(
            kind=DifferenceKind.STATEMENT_BALANCE_MISMATCH,
            account_id=of.account.account_id,
            expected=reached,
            actual=of.text(mismatch.actual),
            explanation=f"{said} Lines are missing in the file, or are there twice.",
        )
        found.append((DifferencePlace(after.kind, number), finding))
    return found


async def _lines(
    connection: Executor, of: StatementOfAccount, after: DifferencePlace, count: int
) -> Found:
    rows = await connection.fetch(
        SQL["unmatched_lines_after"], of.row["statement_id"], after.key, count
    )
    return [
        (DifferencePlace(after.kind, row["line_number"]), _unmatched_line(of, row)) for row in rows
    ]


def _unmatched_line(of: StatementOfAccount, row: Row) -> StatementDifference:
    candidates = CANDIDATES.decode(row["candidates"])
    told = f" ({row['description']})" if row["description"] else ""
    amount = of.directed(row["amount"])
    said = f"The statement has {amount} on {row['booked_on']}{told}, and the ledger no such entry"
    if len(candidates) == 1:
        said += " that is near enough to be sure; one could be it"
    elif candidates:
        said += f" that can be told apart: {len(candidates)} could be it"
    return StatementDifference(
        kind=DifferenceKind.UNMATCHED_STATEMENT_LINE,
        account_id=of.account.account_id,
        lines=(row["line_number"],),
        expected="nothing",
        actual=f"{amount} on {row['booked_on']}",
        explanation=f"{said}.",
        candidates=tuple(candidate.transaction_id for candidate in candidates),
    )


async def _entries(
    connection: Executor, of: StatementOfAccount, after: DifferencePlace, count: int
) -> Found:
    if of.row["starts_on"] is None:
        return []
    rows = await connection.fetch(
        SQL["unmatched_entries_after"],
        of.account.ledger,
        of.account.account_id,
        *store.bounds(of.row["starts_on"], of.row["ends_on"]),
        after.key,
        after.line if after.key else -1,
        count,
    )
    return [
        (DifferencePlace(after.kind, row["position"], row["line"]), _unmatched_entry(of, row))
        for row in rows
    ]


def _unmatched_entry(of: StatementOfAccount, row: Row) -> StatementDifference:
    amount = of.directed(of.account.signed(row["side"], row["amount"]))
    day = store.day(row["booked_at"])
    side = "debited" if row["side"] == Side.DEBIT else "credited"
    return StatementDifference(
        kind=DifferenceKind.UNMATCHED_ENTRY,
        account_id=of.account.account_id,
        transaction_id=row["transaction_id"],
        position=row["position"],
        expected=f"{amount} on {day}",
        actual="nothing",
        explanation=(
            f"Transaction {row['transaction_id']} {side} the account on {day}, {amount}, and no "
            f"statement has it."
        ),
    )


async def _amounts(
    connection: Executor, of: StatementOfAccount, after: DifferencePlace, count: int
) -> Found:
    return await _differing(connection, of, after, count, DifferenceKind.AMOUNT_DIFFERS)


async def _dates(
    connection: Executor, of: StatementOfAccount, after: DifferencePlace, count: int
) -> Found:
    return await _differing(connection, of, after, count, DifferenceKind.DATE_DIFFERS)


async def _differing(
    connection: Executor,
    of: StatementOfAccount,
    after: DifferencePlace,
    count: int,
    kind: DifferenceKind,
) -> Found:
    by_amount, days = kind is DifferenceKind.AMOUNT_DIFFERS, of.terms.days
    rows = await connection.fetch(
        SQL["differing_matches_after"], of.row["statement_id"], after.key, by_amount, days, count
    )
    return [
        (
            DifferencePlace(after.kind, row["match_number"]),
            StatementDifference(
                kind=kind,
                account_id=of.account.account_id,
                match_id=row["match_number"],
                lines=tuple(row["line_numbers"]),
                transaction_id=UUID(row["transaction_id"]),
                **(_amounts_said(of, row) if by_amount else _days_said(row, days)),
            ),
        )
        for row in rows
    ]


def _amounts_said(of: StatementOfAccount, row: Row) -> dict[str, Any]:
    ours, difference = row["amount"], row["amount_difference"]
    more = "more" if difference > 0 else "less"
    return {
        "expected": of.text(ours),
        "actual": of.text(ours + difference),
        "explanation": (
            f"Match {row['match_number']}: the statement has {of.text(abs(difference))} {more} "
            f"than the ledger. {row['explanation']}"
        ),
    }


def _days_said(row: Row, days: int) -> dict[str, Any]:
    return {
        "expected": f"at most {days} days apart",
        "actual": f"{row['days_apart']} days apart",
        "explanation": (
            f"Match {row['match_number']}: statement and ledger are {row['days_apart']} days "
            f"apart. {row['explanation']}"
        ),
    }


_OF: dict[
    DifferenceKind, Callable[[Executor, StatementOfAccount, DifferencePlace, int], Awaitable[Found]]
] = {
    DifferenceKind.STATEMENT_BALANCE_MISMATCH: _balances,
    DifferenceKind.UNMATCHED_STATEMENT_LINE: _lines,
    DifferenceKind.UNMATCHED_ENTRY: _entries,
    DifferenceKind.AMOUNT_DIFFERS: _amounts,
    DifferenceKind.DATE_DIFFERS: _dates,
}
