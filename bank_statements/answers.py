"""What is answered about bank statements. Pure. Amounts go out in units and in minor units."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from bank_statements.differences import StatementDifference
from bank_statements.findings import CANDIDATES, TERMS, StatementOfAccount, StatementTotals
from bank_statements.formats.reading import Format, Reader
from bank_statements.matching.types import MatchingTerms
from bank_statements.parameters import MatchStatus
from bank_statements.summary import Sums
from events.money import Minor, Units, to_json
from runtime.sql import Row

_READER = msgspec.json.Decoder(Reader)


class Tally(Struct):
    """How many movements, and what came in and went out by them."""

    count: int
    incoming: Units
    incoming_minor: Minor
    outgoing: Units
    outgoing_minor: Minor


class LineTallies(Struct):
    """The lines of a statement by what became of them; matched are accepted and proposed ones."""

    matched: Tally
    accepted: Tally
    proposed: Tally
    unmatched: Tally


class BankStatement(Struct):
    """A file of a bank or a processor, and the terms that it was matched on last."""

    statement_id: UUID
    account_id: str
    format: Format
    file_sha256: str
    external_account: str | None
    currency: str
    starts_on: date | None
    ends_on: date | None
    opening_balance: Units | None
    opening_balance_minor: Minor | None
    closing_balance: Units | None
    closing_balance_minor: Minor | None
    terms: MatchingTerms
    matched_position: int
    imported_by: str
    imported_at: datetime


class MatchedStatement(BankStatement):
    """A statement, and how much of it agrees; discrepancies are counted by kind."""

    status: Literal["CLEAN", "DISCREPANCIES"]
    lines: LineTallies
    unmatched_entries: Tally
    matches: dict[str, int]
    discrepancies: dict[str, int]


class StatementCandidate(Struct):
    """An entry that an unmatched line could be."""

    transaction_id: UUID
    line: int
    booked_on: date
    amount: Units
    amount_minor: Minor


class BankStatementLine(Struct):
    """A movement: positive is money in. `line` is its number in the file."""

    line: int
    booked_on: date
    value_on: date | None
    amount: Units
    amount_minor: Minor
    references: list[str]
    counterparty: str | None
    description: str | None
    match_id: int | None
    status: Literal["accepted", "proposed", "unmatched"]
    candidates: list[StatementCandidate]


class MatchedEntry(Struct):
    """An entry of a match, signed as the statement's lines are."""

    transaction_id: UUID
    position: int
    line: int
    amount: Units
    amount_minor: Minor


class MatchDecision(Struct):
    """What a person decided, kept for good."""

    verdict: Literal["accepted", "rejected"]
    decided_by: str
    decided_at: datetime
    reason: str


class StatementMatch(Struct):
    """Lines that are entries; the difference is what the lines have more."""

    match_id: int
    status: MatchStatus
    rule: str
    confidence: Annotated[int, Meta(ge=0, le=100, description="In percent.")]
    explanation: str
    amount_difference: Units
    amount_difference_minor: Minor
    days_apart: int
    lines: list[int]
    entries: list[MatchedEntry]
    decisions: list[MatchDecision]
    proposed_at: datetime


class BankStatements(Struct):
    """A page, the latest statement first."""

    items: list[BankStatement]
    next: str | None


class BankStatementLines(Struct):
    """A page, in the order of the file."""

    items: list[BankStatementLine]
    next: str | None


class StatementMatches(Struct):
    """A page, in the order of their numbers."""

    items: list[StatementMatch]
    next: str | None


class StatementDifferences(Struct):
    """A page, kind by kind."""

    items: list[StatementDifference]
    next: str | None


class _Linked(Struct):
    transaction_id: UUID
    position: int
    line: int
    minor: str


_LINKED = msgspec.json.Decoder(list[_Linked])
_DECISIONS = msgspec.json.Decoder(list[MatchDecision])


def statement(row: Row, decimals: int) -> BankStatement:
    """Return what a statement says of itself, and how it was imported."""
    return BankStatement(**_statement(row, decimals))


def summary(of: StatementOfAccount, totals: StatementTotals) -> MatchedStatement:
    """Return a statement with how much of it agrees."""
    lines, decimals = totals.lines, of.decimals
    return MatchedStatement(
        **_statement(of.row, decimals),
        status="DISCREPANCIES" if any(totals.discrepancies.values()) else "CLEAN",
        lines=LineTallies(
            tally(lines.matched, decimals),
            tally(lines.accepted, decimals),
            tally(lines.proposed, decimals),
            tally(lines.unmatched, decimals),
        ),
        unmatched_entries=tally(totals.entries, decimals),
        matches=totals.matches,
        discrepancies={str(kind): count for kind, count in totals.discrepancies.items()},
    )


def tally(sums: Sums, decimals: int) -> Tally:
    """Return sums with their amounts in units and in minor units."""
    return Tally(
        sums.count,
        to_json(sums.incoming, decimals),
        str(sums.incoming),
        to_json(sums.outgoing, decimals),
        str(sums.outgoing),
    )


def line(row: Row, decimals: int) -> BankStatementLine:
    """Return a line with its match, or with the entries that it could be."""
    return BankStatementLine(
        line=row["line_number"],
        booked_on=row["booked_on"],
        value_on=row["value_on"],
        amount=to_json(row["amount"], decimals),
        amount_minor=str(row["amount"]),
        references=row["refs"],
        counterparty=row["counterparty"],
        description=row["description"],
        match_id=row["match_number"],
        status=row["status"] or "unmatched",
        candidates=[
            StatementCandidate(
                candidate.transaction_id,
                candidate.line,
                candidate.booked_on,
                to_json(int(candidate.minor), decimals),
                candidate.minor,
            )
            for candidate in (CANDIDATES.decode(row["candidates"]) if not row["status"] else ())
        ],
    )


def match(row: Row, decimals: int) -> StatementMatch:
    """Return a match with what it links, and what people decided."""
    difference = row["amount_difference"]
    return StatementMatch(
        match_id=row["match_number"],
        status=row["status"],
        rule=row["rule"],
        confidence=row["confidence"],
        explanation=row["explanation"],
        amount_difference=to_json(difference, decimals),
        amount_difference_minor=str(difference),
        days_apart=row["days_apart"],
        lines=row["line_numbers"],
        entries=[
            MatchedEntry(
                linked.transaction_id,
                linked.position,
                linked.line,
                to_json(int(linked.minor), decimals),
                linked.minor,
            )
            for linked in _LINKED.decode(row["entries"])
        ],
        decisions=_DECISIONS.decode(row["decisions"] or "[]"),
        proposed_at=row["proposed_at"],
    )


def _statement(row: Row, decimals: int) -> dict[str, Any]:
    """Return the fields that every answer about a statement has."""
    opening, closing = row["opening"], row["closing"]
    return {
        "statement_id": row["statement_id"],
        "account_id": row["account_id"],
        "format": _READER.decode(row["reader"]).format,
        "file_sha256": bytes(row["file_sha256"]).hex(),
        "external_account": row["external_account"],
        "currency": row["currency"],
        "starts_on": row["starts_on"],
        "ends_on": row["ends_on"],
        "opening_balance": None if opening is None else to_json(opening, decimals),
        "opening_balance_minor": None if opening is None else str(opening),
        "closing_balance": None if closing is None else to_json(closing, decimals),
        "closing_balance_minor": None if closing is None else str(closing),
        "terms": TERMS.decode(row["terms"]),
        "matched_position": row["position"],
        "imported_by": row["imported_by"],
        "imported_at": row["imported_at"],
    }
