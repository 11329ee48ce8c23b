"""The shapes of answers. No code builds them: they are here for their schemas, and tests hold them.

A field of the type `Money` stands for two: `amount`, an exact JSON number in the currency's unit,
and `amount_minor`, a string of integer minor units.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from auditing.discrepancies import Discrepancy
from auditing.discrepancies import Kind as DiscrepancyKind
from auditing.repair.plan import Action, Obstacle
from bank_statements.findings import Finding
from bank_statements.formats.reading import Format as StatementFormat
from bank_statements.matching.types import MatchingTerms
from events.types import AccountType, Kind, Metadata, Rate, Side, Stage, Status

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


class Counters(Struct):
    """What was debited and credited, and what is reserved on either side; and what that makes."""

    balance: Money
    available: Money
    debits_posted: Money
    credits_posted: Money
    debits_pending: Money
    credits_pending: Money


class Page(Struct):
    """A page of a list. Only `next: null` is the end; `previous` finds what was added since."""

    next: str | None
    previous: str


# --- submissions --------------------------------------------------------------------------------


class Accepted(Struct):
    """Decided, and durable in the log. `messageId` is the transaction's id."""

    status: Literal["ACCEPTED"]
    idempotencyKey: str  # noqa: N815
    messageId: UUID  # noqa: N815
    pollUrl: str  # noqa: N815
    expiresAt: datetime  # noqa: N815


class PostingView(Struct):
    """One posting; `line` is of the earlier transaction, in a refund, capture or void."""

    source_account_id: str
    destination_account_id: str
    amount: Money
    currency: str
    line: int | Sometimes = UNSET
    refunded: Money | Sometimes = UNSET
    captured: Money | Sometimes = UNSET


class CurrencyTotal(Struct):
    """What a transaction of several currencies moves in one of them."""

    currency: str
    amount: Money
    refunded: Money | Sometimes = UNSET
    captured: Money | Sometimes = UNSET


class Related(Struct):
    """A transaction that refers to this one."""

    id: UUID
    kind: Kind
    status: Stage


class Transaction(Struct):
    """A transaction as it stands. A refused one has `code` and `detail`.

    The summary (`source_account_id`, `destination_account_id`, `amount`) is null where there is
    more than one; `postings` say all. `refund_of`, `hold_id` and `scheduled_id` name the earlier
    transaction that it is about.
    """

    id: UUID
    kind: Kind
    status: Stage
    source_account_id: str | None
    destination_account_id: str | None
    amount: Money | None
    currency: str | None
    postings: list[PostingView]
    description: str | None
    reference: str | None
    metadata: Metadata | None
    rate: Rate | None
    refund_of: UUID | None
    effective_at: datetime
    position: Position | None
    created_at: datetime
    hold_id: UUID | Sometimes = UNSET
    scheduled_id: UUID | Sometimes = UNSET
    expires_at: datetime | Sometimes = UNSET
    due_at: datetime | Sometimes = UNSET
    refunded: Money | Sometimes = UNSET
    captured: Money | Sometimes = UNSET
    totals: list[CurrencyTotal] | Sometimes = UNSET
    code: str | Sometimes = UNSET
    detail: str | Sometimes = UNSET
    changed_at: datetime | Sometimes = UNSET
    changed_position: Position | Sometimes = UNSET
    related: list[Related] | Sometimes = UNSET


class Polled(Struct):
    """What became of a submission: FAILED if it was refused, at once or when it was due."""

    status: Literal["COMPLETED", "FAILED"]
    idempotencyKey: str  # noqa: N815
    result: Transaction


class Processing(Struct):
    """In the log, and not yet in the read models."""

    status: Literal["PROCESSING"]
    idempotencyKey: str  # noqa: N815


class BatchResult(Struct):
    """What became of an item: `code` and `detail` say why it has no effect.

    UNAVAILABLE: it may have happened or not, and the same key finds out.
    """

    index: int
    status: Literal["ACCEPTED", "REFUSED", "INVALID", "UNAVAILABLE"]
    idempotencyKey: str | Sometimes = UNSET  # noqa: N815
    messageId: UUID | Sometimes = UNSET  # noqa: N815
    position: Position | Sometimes = UNSET
    replayed: Literal[True] | Sometimes = UNSET
    code: str | Sometimes = UNSET
    detail: str | Sometimes = UNSET


class BatchResults(Struct):
    """One result for each item, in the order of the request."""

    results: list[BatchResult]


class Decision(Struct):
    """What would become of one command."""

    status: Literal["ACCEPTED", "REFUSED", "INVALID"]
    replayed: Literal[True] | Sometimes = UNSET
    transaction: Transaction | Sometimes = UNSET
    code: str | Sometimes = UNSET
    detail: str | Sometimes = UNSET


# --- accounts -----------------------------------------------------------------------------------


class _Policy(Struct):
    account_id: str
    class_: str = msgspec.field(name="class")
    type: AccountType
    currency: str
    normal_side: Side
    overdraft: Overdraft
    status: Status
    metadata: Metadata | None
    version: int


class Policy(_Policy):
    """An account's policy, as a command left it."""

    position: Position


class Rehearsed(Struct):
    """The answer to `dry_run=true`: what would be decided now, and what accounts that would leave.

    Nothing was appended.
    """

    dryRun: Literal[True]  # noqa: N815
    results: list[Decision]
    accounts: list["RehearsedAccount"]


class RehearsedAccount(Counters):
    """An account as it would be."""

    account_id: str
    class_: str = msgspec.field(name="class")
    type: AccountType
    currency: str
    normal_side: Side
    overdraft: Overdraft
    status: Status
    metadata: Metadata | None
    version: int


class Books(Struct):
    """Until when the books are closed; null, if never."""

    closed_before: datetime | None
    position: Position | None


class Account(_Policy):
    """An account's policy."""

    opened_at: datetime


class ListedAccount(Counters):
    """An account's policy and its balance in one."""

    account_id: str
    class_: str = msgspec.field(name="class")
    type: AccountType
    currency: str
    normal_side: Side
    overdraft: Overdraft
    status: Status
    metadata: Metadata | None
    version: int
    opened_at: datetime
    position: Position
    as_of: datetime


class Accounts(Page):
    """Accounts by id."""

    items: list[ListedAccount]


# --- reading transactions -----------------------------------------------------------------------

Movement = Literal["posted", "held", "released"]


class Transactions(Page):
    """Transactions, newest first."""

    items: list[Transaction]


class Entry(Struct):
    """One line of an account's ledger, with the account's balance after it."""

    account_id: str
    position: Position
    line: int
    transaction_id: UUID
    kind: Movement
    side: Side
    amount: Money
    currency: str
    balance: Money
    available: Money
    effective_at: datetime
    recorded_at: datetime


class Entries(Page):
    """Entries, newest first."""

    items: list[Entry]


class VerifiedTotal(Struct):
    """The sums of one kind of entry in one currency."""

    kind: Movement
    currency: str
    debits_minor: str
    credits_minor: str


class VerifiedEntry(Struct):
    """An entry of the transaction's own events."""

    account_id: str
    kind: Movement
    side: Side
    amount_minor: str
    currency: str


class Verification(Struct):
    """Whether debits equal credits, and both what the postings say."""

    transaction_id: UUID
    balanced: bool
    totals: list[VerifiedTotal]
    entries: list[VerifiedEntry]


class EventView(Struct):
    """An event of the log, as it was recorded; amounts are minor units."""

    position: Position
    stream_id: UUID
    version: int
    type: str
    recorded_at: datetime
    data: dict[str, Any]


class Events(Page):
    """Events, newest first."""

    items: list[EventView]


class LogEvent(Struct):
    """An event as it was recorded, as a CloudEvent: `id` is its position, `subject` its stream.

    `data` is what is stored; amounts are minor units.
    """

    specversion: Literal["1.0"]
    id: str
    source: Literal["/daybook/log"]
    type: str
    subject: UUID
    time: datetime
    datacontenttype: Literal["application/json"]
    streamversion: int
    data: dict[str, Any]


class LogEvents(Page):
    """Events, in the order of the log."""

    items: list[LogEvent]


# --- balances, statements, the trial balance ----------------------------------------------------


class Balance(Counters):
    """An account's counters. `at_position` and `effective_at` say which point, if one was named.

    `position` and `as_of` are of the last event that changed the account by then.
    """

    account_id: str
    currency: str
    position: Position | None
    as_of: datetime | None
    at_position: Position | Sometimes = UNSET
    effective_at: datetime | Sometimes | None = UNSET


class CountersAt(Counters):
    """An account's counters at a position."""

    at_position: Position


class Change(Struct):
    """An entry; `posted` and `pending` are what it added to the counters of its side."""

    position: Position
    line: int
    transaction_id: UUID
    kind: Kind
    movement: Movement
    side: Side
    amount: Money
    posted: Money
    pending: Money
    currency: str
    recorded_at: datetime
    effective_at: datetime
    reference: str | None
    description: str | None


class BalanceDifference(Struct):
    """An account's balances at two points, and every entry between, newest first."""

    account_id: str
    currency: str
    from_: CountersAt = msgspec.field(name="from")
    to: CountersAt
    difference: Counters
    items: list[Change]
    next: str | None


class StatementLine(Struct):
    """An entry of a statement, with the balance after it."""

    position: Position
    line: int
    transaction_id: UUID
    kind: Kind
    side: Side
    amount: Money
    balance: Money
    recorded_at: datetime
    effective_at: datetime
    counterparty_account_id: str
    reference: str | None
    description: str | None


class Statement(Struct):
    """What was posted to an account in a period. The same `at_position` gives the same statement.

    `books_closed`: nothing can be dated into the period any more.
    """

    statement_id: UUID
    account_id: str
    currency: str
    normal_side: Side
    basis: Literal["recorded", "effective"]
    from_: datetime = msgspec.field(name="from")
    to: datetime
    at_position: Position
    books_closed: bool
    opening_balance: Money
    closing_balance: Money
    total_debits: Money
    total_credits: Money
    debit_count: int
    credit_count: int
    entries: list[StatementLine]


class Sum(Struct):
    """The counters of some accounts, and their balance by the side that their type usually has."""

    debits_posted: Money
    credits_posted: Money
    debits_pending: Money
    credits_pending: Money
    account_type: AccountType | Sometimes = UNSET
    account_class: str | Sometimes = UNSET
    balance: Money | Sometimes = UNSET


class Total(Sum, kw_only=True):
    """All accounts in one currency, and those of each type and each class."""

    currency: str
    balanced: bool
    types: list[Sum]
    classes: list[Sum]


class BalancedAccount(Counters):
    """An account of the trial balance."""

    account_id: str
    account_type: AccountType
    account_class: str
    normal_side: Side
    currency: str


class TrialBalance(Struct):
    """The totals of each currency, and a page of the accounts."""

    at_position: Position
    effective_at: datetime | None
    totals: list[Total]
    items: list[BalancedAccount]
    next: str | None


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


class QueueStats(Struct):
    """What the queue says of itself."""

    queueUrl: str  # noqa: N815
    messageCount: int  # noqa: N815
    inFlightCount: int  # noqa: N815
    visibilityTimeout: int  # noqa: N815
    isFifo: bool  # noqa: N815
    contentDeduplication: bool  # noqa: N815
    timestamp: datetime


class CacheStats(Struct):
    """What the cache says of itself."""

    connected: bool
    totalKeys: int | None  # noqa: N815
    prefix: str
    defaultTtl: int  # noqa: N815
    memoryUsage: str | None  # noqa: N815
    timestamp: datetime


Json = dict[str, Any]
