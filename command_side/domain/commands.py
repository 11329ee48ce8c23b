"""The commands, as one struct each, and what must be known to decide them. Pure.

    KeyedCommand   Transfer | Hold | Schedule          movements: postings that a client asks for
                   Refund | Capture | Void | Cancel    follow-ups to an earlier transaction
    unkeyed        OpenAccount | ChangeAccount | CloseBooks | Settle
    groups         Atomic, Rehearsal

A command has the right shape already (`api/values.py`). Whether it is permitted is for `decide`.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, assert_never
from uuid import UUID

import msgspec

from events.codec import WrittenPosting
from events.types import (
    Kind,
    Metadata,
    Posting,
    Rate,
    Status,
    transaction_id,
)

Value = TypeVar("Value")

_ENCODER = msgspec.json.Encoder(order="deterministic")


class once(Generic[Value]):  # noqa: N801 - used as `property` is
    """A property that is computed once: `cached_property` without its lock, in half the time."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute

    def __get__(self, command: Any, _: type | None = None) -> Value:  # noqa: ANN401 - any command
        """Compute the value, and put it in front of this."""
        value = self._compute(command)
        command.__dict__[self._compute.__name__] = value
        return value


class KeyedCommand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A command whose idempotency key is its identity.

    `weight` is the number of transactions that it may make. `kept` names the fields that its event
    has besides those of every event.
    """

    kind: ClassVar[Kind]
    weight: ClassVar[int] = 1
    kept: ClassVar[tuple[str, ...]] = ()

    ledger: str
    key: str
    description: str | None = None
    reference: str | None = None
    metadata: Metadata | None = None

    @once
    def transaction_id(self) -> UUID:
        """The stream that this command makes, or has made already."""
        return transaction_id(self.ledger, self.key)

    @property
    def fingerprint(self) -> str:
        """Equal exactly for equal commands: BLAKE2b of all fields as JSON, 128 bits, hex.

        Fingerprints are kept in the log for ever, so that JSON must never change.
        """
        return _digest(self)

    def event_fields(self, postings: Sequence[Posting], recorded_at: datetime) -> dict[str, Any]:
        """Return the fields of the event that this command causes with `postings`."""
        fields: dict[str, Any] = {
            "ledger": self.ledger,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "postings": tuple(postings),
            "recorded_at": recorded_at,
            "kind": self.kind,
            "description": self.description,
            "reference": self.reference,
            "metadata": self.metadata,
        }
        for name in self.kept:
            fields[name] = getattr(self, name)
        return fields


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must be true of an account: the version of its policy, its posted balance afterwards."""

    account_id: str
    version: int | None = None
    balance_min: int | None = None
    balance_max: int | None = None


class _Movement(KeyedCommand, frozen=True, kw_only=True):
    kept: ClassVar[tuple[str, ...]] = ("rate",)

    postings: tuple[Posting, ...]
    rate: Rate | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same, with the postings as the log has them: their amounts are strings there."""
        as_written = [
            WrittenPosting(
                each.debit, each.credit, str(each.amount_minor), each.currency, each.line
            )
            for each in self.postings
        ]
        return _digest(msgspec.structs.replace(self, postings=as_written))


class Transfer(_Movement, frozen=True, kw_only=True, tag="transfer"):
    """Post `postings`, dated `effective_at` (None: now)."""

    kind: ClassVar[Kind] = Kind.TRANSFER
    kept: ClassVar[tuple[str, ...]] = ("rate", "effective_at")

    effective_at: datetime | None = None


class Hold(_Movement, frozen=True, kw_only=True, tag="hold"):
    """Reserve `postings` until they are captured or voided, or `expires_at` (None: for ever)."""

    kind: ClassVar[Kind] = Kind.HOLD

    expires_at: datetime | None = None


class Schedule(_Movement, frozen=True, kw_only=True, tag="schedule"):
    """Decide and post `postings` at `due_at`."""

    kind: ClassVar[Kind] = Kind.TRANSFER

    due_at: datetime


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """`amount` minor units of posting `line` of an earlier transaction.

    `currency` is the one that the client named, to be compared with the posting's.
    """

    line: int
    amount: int
    currency: str | None = None


class _FollowUp(KeyedCommand, frozen=True, kw_only=True):
    """About the earlier transaction `about`."""

    kept: ClassVar[tuple[str, ...]] = ("about",)

    about: UUID


class Refund(_FollowUp, frozen=True, kw_only=True, tag="refund"):
    """Reverse `parts` of a completed transaction, or (None) all that is left of it."""

    kind: ClassVar[Kind] = Kind.REFUND
    kept: ClassVar[tuple[str, ...]] = ("about", "effective_at")

    parts: tuple[Part, ...] | None = None
    effective_at: datetime | None = None


class Capture(_FollowUp, frozen=True, kw_only=True, tag="capture"):
    """Post `parts` of a hold, or (None) all that is left of it."""

    kind: ClassVar[Kind] = Kind.CAPTURE
    kept: ClassVar[tuple[str, ...]] = ("about", "effective_at")

    parts: tuple[Part, ...] | None = None
    effective_at: datetime | None = None


class Void(_FollowUp, frozen=True, kw_only=True, tag="void"):
    """Release all that is left of a hold."""

    kind: ClassVar[Kind] = Kind.VOID


class Cancel(_FollowUp, frozen=True, kw_only=True, tag="cancel"):
    """Cancel a scheduled transfer."""

    kind: ClassVar[Kind] = Kind.CANCELLATION


class Atomic(msgspec.Struct, frozen=True, kw_only=True, tag="atomic"):
    """Do all of `commands`, in order, or none of them."""

    ledger: str
    commands: tuple["Movement", ...]

    @property
    def weight(self) -> int:
        """The number of transactions that it may make."""
        return len(self.commands)


class Settle(msgspec.Struct, frozen=True, kw_only=True, tag="settle"):
    """Let a hold expire, or post a scheduled transfer: the time of `about` has come.

    Settlements of all ledgers are submitted together, so they wait under a name that no ledger has.
    """

    ledger: ClassVar[str] = ""
    weight: ClassVar[int] = 1

    about: UUID


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True, tag="open_account"):
    """Open an account. An UNSET `overdraft_limit` is that of the account's class."""

    weight: ClassVar[int] = 1

    ledger: str
    account_id: str
    currency: str
    overdraft_limit: int | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | None = None


class ChangeAccount(msgspec.Struct, frozen=True, kw_only=True, tag="change_account"):
    """Change an account's policy; an UNSET field stays as it is.

    `currency` is that of the overdraft limit. If the policy has another version than
    `expected_version`, another request changed it first, and this one is refused.
    """

    weight: ClassVar[int] = 1

    ledger: str
    account_id: str
    status: Status | msgspec.UnsetType = msgspec.UNSET
    overdraft_limit: int | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType | None = msgspec.UNSET
    currency: str
    expected_version: int | None = None


class CloseBooks(msgspec.Struct, frozen=True, kw_only=True, tag="close_books"):
    """From now on, refuse every date before `closed_before`."""

    weight: ClassVar[int] = 1

    ledger: str
    closed_before: datetime


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True, tag="rehearsal"):
    """Decide each of `commands`, in order, and undo all of them."""

    ledger: str
    commands: tuple["Request", ...]

    @property
    def weight(self) -> int:
        """The number of transactions that it would make."""
        return sum(command.weight for command in self.commands)


Movement = Transfer | Hold | Schedule
FollowUp = Refund | Capture | Void | Cancel
Keyed = Movement | FollowUp
AccountCommand = OpenAccount | ChangeAccount
Request = Keyed | AccountCommand | CloseBooks | Atomic
Command = Request | Settle | Rehearsal
Single = Keyed | AccountCommand | CloseBooks | Settle


class Needs(msgspec.Struct):
    """What must be known to decide some commands.

    `commands` is their number, with those inside of groups. `streams` are those that keyed commands
    make, `earlier` the transactions that commands are about, and `accounts` those that commands
    name, by (ledger, id). `dated` are the ledgers whose closed books matter: a date is named.
    """

    commands: int = 0
    streams: set[UUID] = msgspec.field(default_factory=set)
    earlier: set[UUID] = msgspec.field(default_factory=set)
    accounts: set[tuple[str, str]] = msgspec.field(default_factory=set)
    dated: set[str] = msgspec.field(default_factory=set)


def needs(commands: Iterable[Command]) -> Needs:
    """Return what must be known to decide `commands`."""
    found = Needs()
    _add_needs(commands, found)
    return found


def _add_needs(commands: Iterable[Command], found: Needs) -> None:
    for command in commands:
        # Transfers come first: most commands are, and it is slow to find out that one is not.
        match command:
            case Transfer() | Hold() | Schedule():
                found.streams.add(command.transaction_id)
                ledger = command.ledger
                for posting in command.postings:
                    found.accounts.add((ledger, posting.debit))
                    found.accounts.add((ledger, posting.credit))
            case Refund() | Capture() | Void() | Cancel():
                found.streams.add(command.transaction_id)
                found.earlier.add(command.about)
            case OpenAccount() | ChangeAccount():
                found.accounts.add((command.ledger, command.account_id))
            case Settle():
                found.earlier.add(command.about)
            case CloseBooks():
                found.dated.add(command.ledger)
            case Atomic() | Rehearsal():
                _add_needs(command.commands, found)
                continue
            case _:
                assert_never(command)
        found.commands += 1
        if isinstance(command, Transfer | Refund | Capture) and command.effective_at is not None:
            found.dated.add(command.ledger)


def _digest(command: KeyedCommand) -> str:
    return hashlib.blake2b(_ENCODER.encode(command), digest_size=16).hexdigest()
