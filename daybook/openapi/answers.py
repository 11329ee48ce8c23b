"""The shapes of answers. No code builds them: they are here for their schemas, and tests hold them.

A field of the type `Money` stands for two: `amount`, an exact JSON number in the currency's unit,
and `amount_minor`, a string of integer minor units.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from auditing.discrepancies import Discrepancy
from auditing.discrepancies import Kind as DiscrepancyKind
from auditing.repair.plan import Action, Obstacle
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


# --- reconciling --------------------------------------------------------------------------------


class PostedAndPending(Struct):
    """The four counters."""

    debits_posted: Money
    credits_posted: Money
    debits_pending: Money
    credits_pending: Money


class _Report(Struct):
    reconciliationId: UUID  # noqa: N815
    account_id: str
    startDate: datetime | None  # noqa: N815
    endDate: datetime | None  # noqa: N815
    status: Literal["CLEAN", "DISCREPANCIES"]
    eventsRead: int  # noqa: N815
    entriesCompared: int  # noqa: N815
    discrepancyCount: int  # noqa: N815
    discrepancies: list[Discrepancy]
    position: Position
    timestamp: datetime


class Reconciliation(_Report):
    """What the log says of an account (expected), and what the read models show (actual)."""

    currency: str
    expected_balance: Units
    actual_balance: Units | None
    difference: Money
    expected_counters: PostedAndPending
    actual_counters: PostedAndPending | None


class KeptReport(_Report):
    """A report as it was kept."""


class Reports(Struct):
    """Newest first, each with its first 100 discrepancies."""

    items: list[KeptReport]
    next: str | None


class Progress(Struct):
    """How far the log was compared, of how much."""

    position: Position
    target: Position
    etaSeconds: int | None  # noqa: N815


class AskedReconciliation(Struct):
    """A reconciliation and how it stands; of the continuous one, only what is the ledger's."""

    reconciliationId: UUID  # noqa: N815
    kind: Literal["once", "continuous"]
    status: Literal["QUEUED", "RUNNING", "CLEAN", "DISCREPANCIES", "FAILED"]
    account_id: str | None
    startDate: datetime | None  # noqa: N815
    endDate: datetime | None  # noqa: N815
    progress: Progress
    eventsRead: int | None  # noqa: N815
    entriesCompared: int | None  # noqa: N815
    balancesCompared: int | None  # noqa: N815
    discrepancyCount: int  # noqa: N815
    kinds: dict[str, int]
    failure: str | None
    askedAt: datetime  # noqa: N815
    startedAt: datetime | None  # noqa: N815
    updatedAt: datetime  # noqa: N815
    finishedAt: datetime | None  # noqa: N815


class AskedReconciliations(Struct):
    """A page, newest first."""

    items: list[AskedReconciliation]
    next: str | None


class KeptDiscrepancy(Struct):
    """A difference; ids grow in the order in which they can be seen."""

    id: int
    kind: str
    view: str
    ledger: str | None
    account_id: str | None
    transaction_id: UUID | None
    position: Position
    expected: str
    actual: str
    explanation: str
    found_at: datetime


class Discrepancies(Struct):
    """A page, the first one found first."""

    items: list[KeptDiscrepancy]
    next: str | None


# --- repairing ----------------------------------------------------------------------------------


class RepairedRow(Struct):
    """A row of a view, whole, before and after. Amounts are text of integer minor units."""

    action: Action
    table: str
    kind: DiscrepancyKind
    position: Position
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class RepairPlan(Struct):
    """What a repair would do. `plan` names it; obstacles are what is wrong with the log itself."""

    status: Literal["CLEAN", "PLANNED", "REFUSED", "TOO_LARGE"]
    account_id: str | None
    plan: str
    rowCount: int  # noqa: N815
    changes: list[RepairedRow]
    obstacles: list[Obstacle]
    position: Position


class RepairVerification(Struct):
    """The same was compared again: so many rows still differ."""

    remaining: int
    timestamp: datetime


class RepairDone(Struct):
    """What was mended, by whom and why."""

    repairId: UUID  # noqa: N815
    status: Literal["APPLIED"]
    account_id: str | None
    plan: str
    appliedBy: str  # noqa: N815
    reason: str
    rowCount: int  # noqa: N815
    changes: list[RepairedRow]
    verification: RepairVerification | None
    position: Position
    timestamp: datetime


class Repairs(Struct):
    """The latest 100, newest first."""

    items: list[RepairDone]


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


# --- the four-way view ----------------------------------------------------------------------------


class SideTotal(Struct):
    """Entries that were posted, and their sums."""

    count: int
    debits: Money
    credits: Money


class AccountSide(PostedAndPending, kw_only=True):
    """An account on one side: its counters, and the entries that make what is posted."""

    currency: str
    entries: SideTotal


class StatedLines(Struct):
    """Lines of an account's statements, by what became of them."""

    accepted: Tally
    proposed: Tally
    unmatched: Tally


class StatedAccount(Struct):
    """An account's statements; both balances are those of the last one's end.

    `unmatched_entries` are the ledger's, of days that a statement covers; `days_not_covered` lie
    between the first and the last.
    """

    currency: str
    agrees: bool
    starts_on: date
    ends_on: date
    days_not_covered: int
    closing_balance: Money | None
    ledger_balance: Money
    lines: StatedLines
    unmatched_entries: Tally


class FourWayAccount(Struct):
    """An account that is not shown as the log has it, or that has statements."""

    account_id: str
    agrees: bool
    log: AccountSide | None
    read_models: AccountSide | None
    external: StatedAccount | None


class Verdict(Struct):
    """Whether a side agrees, and what there is to say."""

    agrees: bool
    explanation: str


class Verdicts(Struct):
    """Of each side."""

    log: Verdict
    read_models: Verdict
    published: Verdict
    external: Verdict


class PublishedSide(Struct):
    """How far the relay is; so many of the ledger's events wait, the first one since then."""

    position: Position
    waiting: int
    since: datetime | None


class FourWayReport(Struct):
    """A ledger at `position`, of a log that ends at `head`; totals are by currency.

    The worst 100 accounts are listed: first those that are not shown as the log has them
    (`differingCount`), then those whose statements do not agree (`unsettledCount`, of
    `statedCount`), then the others with statements. `leftOut` more would follow.
    """

    ledger: str
    status: Literal["CLEAN", "DISCREPANCIES"]
    position: Position
    head: Position
    timestamp: datetime
    verdicts: Verdicts
    log: dict[str, SideTotal]
    read_models: dict[str, SideTotal]
    published: PublishedSide
    accountCount: int  # noqa: N815
    differingCount: int  # noqa: N815
    statedCount: int  # noqa: N815
    unsettledCount: int  # noqa: N815
    accounts: list[FourWayAccount]
    leftOut: int  # noqa: N815


class FourWay(Struct):
    """The ledger's view as it stands. `report` is the last one, until there is a newer one."""

    status: Literal["QUEUED", "RUNNING", "CLEAN", "DISCREPANCIES", "FAILED"]
    progress: Progress
    failure: str | None
    askedAt: datetime  # noqa: N815
    startedAt: datetime | None  # noqa: N815
    updatedAt: datetime  # noqa: N815
    finishedAt: datetime | None  # noqa: N815
    report: FourWayReport | None


# --- the service --------------------------------------------------------------------------------


Json = dict[str, Any]
