"""What can happen. Each event is a frozen struct with a stable topic, never an import path.

    account.opened ──▶ account.changed*                       one stream per account
    books.closed*                                             one stream per ledger
    transfer.posted | transfer.rejected                       one stream per command
    hold.placed ──▶ hold.expired?
    transfer.scheduled ──▶ (transfer.posted | transfer.rejected)?
    hold.voided, transfer.cancelled                           about an earlier transaction

A transaction is an atomic set of postings. A posting debits one account and credits another by the
same amount, so no event can be unbalanced. An amount is an integer of minor units here. In JSON it
is a decimal string of up to 38 digits, which is safe for every reader. `fingerprint` is the digest
of the whole command: it tells for ever whether one key was used for two different commands. An
expiry, or the posting of a scheduled transfer, is the second event of the stream that it ends.
(No struct here can be part of a cycle, so the garbage collector tracks none of them.)
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha1
from typing import Any, ClassVar, NamedTuple

import msgspec

TRANSACTIONS = uuid.UUID("3f1f0b5e-6c0d-5d0e-9a43-0d1d7a9f2b10")
ACCOUNTS = uuid.UUID("8a0f3d52-0f3c-5c0c-8f55-3a8b6c1e7d21")
BOOKS = uuid.UUID("5c7e9d14-2b61-5f0a-b3c8-6e4f1a0d9b32")
FIRST_VERSION = 1
SECOND_VERSION = 2

Metadata = dict[str, str | int | bool | None]


class Side(StrEnum):
    """The two sides of every posting. An account's normal side is the one that increases it."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountType(StrEnum):
    """The five types of accounts in double entry."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"

    @property
    def normal_side(self) -> Side:
        """The side that increases such an account, unless it is a contra account."""
        if self in (AccountType.ASSET, AccountType.EXPENSE):
            return Side.DEBIT
        return Side.CREDIT


class Status(StrEnum):
    """What an account allows: everything, no money in, none out, neither, nothing ever again."""

    OPEN = "open"
    FROZEN_IN = "frozen_in"
    FROZEN_OUT = "frozen_out"
    FROZEN = "frozen"
    CLOSED = "closed"


class Kind(StrEnum):
    """The kind of a transaction: what its command was."""

    TRANSFER = "transfer"
    HOLD = "hold"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    CANCELLATION = "cancellation"


class Stage(StrEnum):
    """How a transaction stands."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    PENDING = "PENDING"  # A hold, of which something may be captured.
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    SCHEDULED = "SCHEDULED"
    CANCELLED = "CANCELLED"


class Posting(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    gc=False,
    rename={"amount_minor": "amount"},
):
    """An amount that moves from account `debit` to account `credit`.

    The amount is an exact integer of minor units of `currency`. In a refund, capture, void or
    expiry `line` says which posting of the earlier transaction (0, 1, 2 …) this one reverses,
    moves or releases.
    """

    debit: str
    credit: str
    amount_minor: int
    currency: str
    line: int = 0


class Rate(msgspec.Struct, frozen=True, gc=False):
    """One unit of currency `sold` was exchanged for `rate` units of `bought` (a decimal string)."""

    sold: str
    bought: str
    rate: str


class AccountOpened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An account exists from here on. `overdraft_limit` None means unlimited."""

    topic: ClassVar[str] = "account.opened"
    class_version: ClassVar[int] = 2

    ledger: str
    account_id: str
    account_class: str
    account_type: AccountType
    currency: str
    normal_side: Side
    overdraft_limit: str | None
    recorded_at: datetime
    metadata: Metadata | None = None

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Version 1 had no types: an account that a debit increases was an asset."""
        debit = state["normal_side"] == Side.DEBIT
        state["account_type"] = AccountType.ASSET if debit else AccountType.LIABILITY


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The account's whole policy from here on."""

    topic: ClassVar[str] = "account.changed"
    class_version: ClassVar[int] = 1

    ledger: str
    account_id: str
    status: Status
    overdraft_limit: str | None
    recorded_at: datetime
    metadata: Metadata | None = None


class BooksClosed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From now on, nothing may be dated before `closed_before`."""

    topic: ClassVar[str] = "books.closed"
    class_version: ClassVar[int] = 1

    ledger: str
    closed_before: datetime
    recorded_at: datetime


class TransactionEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The event that a command about money caused: the base of six events.

    `stage` is that of the transaction, as long as no event follows. `about` is the earlier
    transaction that this one refunds, captures, voids or cancels. `effective_at` None means the
    time when it was recorded.
    """

    topic: ClassVar[str]
    class_version: ClassVar[int] = 1
    stage: ClassVar[Stage] = Stage.COMPLETED

    ledger: str
    key: str
    fingerprint: str
    postings: tuple[Posting, ...]
    recorded_at: datetime
    kind: Kind = Kind.TRANSFER
    about: uuid.UUID | None = None
    effective_at: datetime | None = None
    description: str | None = None
    reference: str | None = None
    metadata: Metadata | None = None
    rate: Rate | None = None

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Version 1 of two of these events had only transfers and refunds."""
        if "refund_of" in state:
            state["kind"], state["about"] = Kind.REFUND, state.pop("refund_of")


class TransferPosted(TransactionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money moved. `completes`: after this capture, nothing of the hold is left."""

    topic: ClassVar[str] = "transfer.posted"
    class_version: ClassVar[int] = 2

    completes: bool = False


class TransferRejected(TransactionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A command was refused, for `code`; no money moved. Every retry gets the same answer."""

    topic: ClassVar[str] = "transfer.rejected"
    class_version: ClassVar[int] = 2
    stage: ClassVar[Stage] = Stage.FAILED

    code: str
    detail: str


class HoldPlaced(TransactionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money is reserved until it is captured or voided, or `expires_at` (None: for ever)."""

    topic: ClassVar[str] = "hold.placed"
    stage: ClassVar[Stage] = Stage.PENDING

    expires_at: datetime | None = None


class HoldVoided(TransactionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The rest of the hold `about`, which is `postings`, is free again."""

    topic: ClassVar[str] = "hold.voided"


class TransferScheduled(TransactionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The transfer will be decided and posted at `due_at`."""

    topic: ClassVar[str] = "transfer.scheduled"
    stage: ClassVar[Stage] = Stage.SCHEDULED

    due_at: datetime


class TransferCancelled(TransactionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The scheduled transfer `about`, of `postings`, was cancelled."""

    topic: ClassVar[str] = "transfer.cancelled"


class HoldExpired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The hold of this stream expired; the rest of it, which is `postings`, is free again."""

    topic: ClassVar[str] = "hold.expired"
    class_version: ClassVar[int] = 1

    ledger: str
    key: str
    postings: tuple[Posting, ...]
    recorded_at: datetime


Event = (
    AccountOpened
    | AccountChanged
    | BooksClosed
    | TransferPosted
    | TransferRejected
    | HoldPlaced
    | HoldVoided
    | HoldExpired
    | TransferScheduled
    | TransferCancelled
)
EVENT_TYPES: tuple[type[Event], ...] = (
    AccountOpened,
    AccountChanged,
    BooksClosed,
    TransferPosted,
    TransferRejected,
    HoldPlaced,
    HoldVoided,
    HoldExpired,
    TransferScheduled,
    TransferCancelled,
)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event in its place: `position` in the log, `version` in its originator's stream."""

    position: int
    originator_id: uuid.UUID
    version: int
    event: Event


def transaction_id(ledger: str, key: str) -> uuid.UUID:
    """Return the id of the transaction with this idempotency key, which is unique for ever."""
    return _named(TRANSACTIONS, f"{ledger}|{key}")


def account_stream_id(ledger: str, account_id: str) -> uuid.UUID:
    """Return the id of an account's stream of events."""
    return _named(ACCOUNTS, f"{ledger}|{account_id}")


def books_stream_id(ledger: str) -> uuid.UUID:
    """Return the id of the stream of a ledger's closed books."""
    return _named(BOOKS, ledger)


def _named(namespace: uuid.UUID, name: str) -> uuid.UUID:
    """Return `uuid.uuid5(namespace, name)` in half the time: that imports its hash at each call."""
    digest = sha1(namespace.bytes + name.encode(), usedforsecurity=False).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


def accounts_of(postings: Sequence[Posting]) -> list[str]:
    """Return the ids of the accounts of `postings`, each once, in order."""
    return list(
        dict.fromkeys(
            account_id for posting in postings for account_id in (posting.debit, posting.credit)
        )
    )


class Summary(NamedTuple):
    """What all postings of a transaction have in common; None where they differ.

    `amount_minor` is the sum of all postings in the first one's currency.
    """

    source: str | None
    destination: str | None
    amount_minor: int | None
    currency: str | None


def summary_of(postings: Sequence[Posting]) -> Summary:
    """Return what `postings` have in common; without postings, all is None."""
    if not postings:
        return Summary(None, None, None, None)
    first = postings[0]
    if len(postings) == 1:
        return Summary(first.debit, first.credit, first.amount_minor, first.currency)
    amount = sum(p.amount_minor for p in postings if p.currency == first.currency)
    return Summary(
        first.debit if len({p.debit for p in postings}) == 1 else None,
        first.credit if len({p.credit for p in postings}) == 1 else None,
        amount,
        first.currency,
    )


def due_at(event: TransactionEvent) -> datetime | None:
    """Return when the hold that `event` placed expires, or when its transfer is due; or None."""
    match event:
        case HoldPlaced():
            return event.expires_at
        case TransferScheduled():
            return event.due_at
        case _:
            return None
