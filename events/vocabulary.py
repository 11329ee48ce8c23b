"""What can happen. Each event is a frozen struct with a stable topic, never an import path.

    account.opened ──▶ account.changed*          one stream per account
    transfer.posted | transfer.rejected          one stream per command, version 1

A transaction is an atomic set of postings; a posting debits one account and credits another by
the same amount, so an event cannot be unbalanced by construction. Amounts travel as decimal
strings of integer minor units (up to 38 digits), safe for every reader of JSON. `fingerprint` is
the digest of the whole command, so that one key with two different commands is noticed for ever.
(No struct here can be part of a cycle, so none is tracked by the garbage collector.)
"""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

import msgspec

TRANSACTIONS = uuid.UUID("3f1f0b5e-6c0d-5d0e-9a43-0d1d7a9f2b10")
ACCOUNTS = uuid.UUID("8a0f3d52-0f3c-5c0c-8f55-3a8b6c1e7d21")
FIRST_VERSION = 1

Metadata = dict[str, str | int | bool | None]


class Side(StrEnum):
    """The two sides of every posting. An account's normal side is the one that increases it."""

    DEBIT = "debit"
    CREDIT = "credit"


class Status(StrEnum):
    """What an account allows: everything, nothing for now, nothing ever again."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


class Posting(msgspec.Struct, frozen=True, gc=False):
    """`amount` in minor units of `currency`, as a decimal string."""

    debit: str
    credit: str
    amount: str
    currency: str

    @property
    def amount_minor(self) -> int:
        """The amount as an exact integer of minor units."""
        return int(self.amount)


class AccountOpened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An account exists from here on. `overdraft_limit` None means unlimited."""

    topic: ClassVar[str] = "account.opened"
    class_version: ClassVar[int] = 1

    ledger: str
    account_id: str
    account_class: str
    currency: str
    normal_side: Side
    overdraft_limit: str | None
    recorded_at: datetime


class AccountChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The account's whole policy from here on."""

    topic: ClassVar[str] = "account.changed"
    class_version: ClassVar[int] = 1

    ledger: str
    account_id: str
    status: Status
    overdraft_limit: str | None
    recorded_at: datetime


class TransferPosted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money moved. `refund_of` is the transaction that this one reverses, in part or whole."""

    topic: ClassVar[str] = "transfer.posted"
    class_version: ClassVar[int] = 1

    ledger: str
    key: str
    fingerprint: str
    postings: tuple[Posting, ...]
    recorded_at: datetime
    description: str | None = None
    metadata: Metadata | None = None
    refund_of: uuid.UUID | None = None


class TransferRejected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A transfer was refused, for `code`; no money moved. Retries get this same answer."""

    topic: ClassVar[str] = "transfer.rejected"
    class_version: ClassVar[int] = 1

    ledger: str
    key: str
    fingerprint: str
    postings: tuple[Posting, ...]
    recorded_at: datetime
    code: str
    detail: str
    description: str | None = None
    metadata: Metadata | None = None
    refund_of: uuid.UUID | None = None


Event = AccountOpened | AccountChanged | TransferPosted | TransferRejected
EVENT_TYPES: tuple[type[Event], ...] = (
    AccountOpened,
    AccountChanged,
    TransferPosted,
    TransferRejected,
)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event in its place: `position` in the log, `version` in its originator's stream."""

    position: int
    originator_id: uuid.UUID
    version: int
    event: Event


def transaction_id(ledger: str, key: str) -> uuid.UUID:
    """Return the id that makes a command with this idempotency key unique, for ever."""
    return uuid.uuid5(TRANSACTIONS, f"{ledger}|{key}")


def account_stream_id(ledger: str, account_id: str) -> uuid.UUID:
    """Return the id of an account's stream of events."""
    return uuid.uuid5(ACCOUNTS, f"{ledger}|{account_id}")


def opposite(side: Side) -> Side:
    """Return the other side."""
    return Side.CREDIT if side is Side.DEBIT else Side.DEBIT
