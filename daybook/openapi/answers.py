"""The shapes of answers. No code builds them: they are here for their schemas, and tests hold them.

A field of the type `Money` stands for two: `amount`, an exact JSON number in the currency's unit,
and `amount_minor`, a string of integer minor units.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from events.vocabulary import AccountType, Kind, Metadata, Rate, Side, Stage, Status

# Not every answer has it: the key is left out.
Sometimes = UnsetType


class Money:
    """An amount in units, and the same in minor units."""


Position = Annotated[int, Meta(ge=0, description="A place in the log.")]


class Problem(Struct):
    """What was wrong, where, and what to do (RFC 9457). `code` is stable; `detail` may change.

    An atomic batch adds the `index` of the item, a dry run `dryRun`; what is in the log as a
    refusal adds `idempotencyKey`, `transactionId` and `pollUrl`.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | Sometimes | None = UNSET
    index: int | Sometimes = UNSET
    dryRun: Literal[True] | Sometimes = UNSET  # noqa: N815 - the API's own spelling
    idempotencyKey: str | Sometimes = UNSET  # noqa: N815
    transactionId: UUID | Sometimes = UNSET  # noqa: N815
    pollUrl: str | Sometimes = UNSET  # noqa: N815


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
    overdraft: Annotated[str, Meta(description="`unlimited`, or an amount in units.")]
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


class RehearsedAccount(_Policy):
    """An account as it would be."""

    balance: Money
    available: Money
    debits_posted: Money
    credits_posted: Money
    debits_pending: Money
    credits_pending: Money


class Books(Struct):
    """Until when the books are closed."""

    closed_before: datetime
    position: Position


# --- the service --------------------------------------------------------------------------------


class Health(Struct):
    """The process answers."""

    status: Literal["OK"]
    version: str


Component = Literal["ready", "unavailable"]


class Components(Struct):
    """What the process stands on."""

    database: Component
    cache: Component
    queue: Component


class Readiness(Struct):
    """Whether the process can do its work; it can without cache and queue."""

    status: Literal["READY", "DEGRADED", "NOT_READY"]
    components: Components


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
    memoryUsage: int | None  # noqa: N815
    timestamp: datetime


Json = dict[str, Any]
