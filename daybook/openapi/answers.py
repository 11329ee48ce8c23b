"""The shapes of answers. No code builds them: they are here for their schemas, and tests hold them.

A field of the type `Money` stands for two: `amount`, an exact JSON number in the currency's unit,
and `amount_minor`, a string of integer minor units.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from bank_statements.findings import Finding
from bank_statements.formats.reading import Format as StatementFormat
from bank_statements.matching.types import MatchingTerms

# Not every answer has it: the key is left out.
Sometimes = UnsetType


class Money:
    """An amount in units, and the same in minor units."""


class Units:
    """An amount in units only."""


Position = Annotated[int, Meta(ge=0, description="A place in the log.")]
Overdraft = Annotated[str, Meta(description="`unlimited`, or an amount in units.")]


class Problem(Struct):
    """What was wrong, where, and what to do (RFC 9457). `code` is stable; `detail` may change.

    An atomic batch adds the `index` of the item, a dry run `dryRun`, a file its `line`; what is in
    the log as a refusal adds `idempotencyKey`, `transactionId` and `pollUrl`.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | Sometimes | None = UNSET
    index: int | Sometimes = UNSET
    line: int | Sometimes = UNSET
    dryRun: Literal[True] | Sometimes = UNSET  # noqa: N815 - the API's own spelling
    idempotencyKey: str | Sometimes = UNSET  # noqa: N815
    transactionId: UUID | Sometimes = UNSET  # noqa: N815
    pollUrl: str | Sometimes = UNSET  # noqa: N815


# --- submissions --------------------------------------------------------------------------------


# --- accounts -----------------------------------------------------------------------------------


# --- the seal -----------------------------------------------------------------------------------


# --- statements of others -----------------------------------------------------------------------


class Tally(Struct):
    """How many movements, and what came in and went out by them."""

    count: int
    incoming: Money
    outgoing: Money


class Tallies(Struct):
    """The lines of a statement by what became of them; matched are accepted and proposed ones."""

    matched: Tally
    accepted: Tally
    proposed: Tally
    unmatched: Tally


class ExternalStatement(Struct):
    """A file of a bank or a processor, and the terms that it was matched on last."""

    statement_id: UUID
    account_id: str
    format: StatementFormat
    file_sha256: str
    external_account: str | None
    currency: str
    starts_on: date | None
    ends_on: date | None
    opening_balance: Money | None
    closing_balance: Money | None
    terms: MatchingTerms
    matched_position: Position
    imported_by: str
    imported_at: datetime


class ExternalStatements(Struct):
    """A page, the latest first."""

    items: list[ExternalStatement]
    next: str | None


class MatchedStatement(ExternalStatement):
    """A statement, and how much of it agrees; discrepancies are counted by kind."""

    status: Literal["CLEAN", "DISCREPANCIES"]
    lines: Tallies
    unmatched_entries: Tally
    matches: dict[str, int]
    discrepancies: dict[str, int]


class StatementCandidate(Struct):
    """An entry that an unmatched line could be."""

    transaction_id: UUID
    line: int
    booked_on: date
    amount: Money


class ExternalLine(Struct):
    """A movement: positive is money in. `line` is its number in the file."""

    line: int
    booked_on: date
    value_on: date | None
    amount: Money
    references: list[str]
    counterparty: str | None
    description: str | None
    match_id: int | None
    status: Literal["accepted", "proposed", "unmatched"]
    candidates: list[StatementCandidate]


class ExternalLines(Struct):
    """A page, in the order of the file."""

    items: list[ExternalLine]
    next: str | None


class MatchedEntry(Struct):
    """An entry of a match, signed as the statement's lines are."""

    transaction_id: UUID
    position: Position
    line: int
    amount: Money


class MatchDecision(Struct):
    """A person's word, kept for good."""

    verdict: Literal["accepted", "rejected"]
    decided_by: str
    decided_at: datetime
    reason: str


class StatementMatch(Struct):
    """Lines that are entries; the difference is what the lines have more."""

    match_id: int
    status: Literal["proposed", "accepted", "rejected"]
    rule: str
    confidence: Annotated[int, Meta(ge=0, le=100, description="In percent.")]
    explanation: str
    amount_difference: Money
    days_apart: int
    lines: list[int]
    entries: list[MatchedEntry]
    decisions: list[MatchDecision]
    proposed_at: datetime


class StatementMatches(Struct):
    """A page, in the order of their numbers."""

    items: list[StatementMatch]
    next: str | None


class StatementDifferences(Struct):
    """A page, kind by kind."""

    items: list[Finding]
    next: str | None


# --- the service --------------------------------------------------------------------------------


Json = dict[str, Any]
