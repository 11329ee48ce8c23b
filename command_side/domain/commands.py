"""What may be asked. A command is checked for shape here, and for permission in `decide`."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar
from uuid import UUID

import msgspec

from events.schema import ACCOUNT_ID, Schema
from events.types import Kind, Metadata, Posting, Rate, Status, transaction_id, written
from runtime.problems import Invalid

KEY_CHARACTERS_MAX = 255
REFERENCE_CHARACTERS_MAX = 255
# A client drops these from a path before it asks for the status.
UNPOLLABLE = (".", "..")
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A command whose idempotency key is its identity."""

    kind: ClassVar[Kind]

    ledger: str
    key: str

    @cached_property
    def transaction_id(self) -> UUID:
        """The stream that this command makes, or has made already."""
        return transaction_id(self.ledger, self.key)

    @property
    def fingerprint(self) -> str:
        """Equal exactly for equal commands: BLAKE2b of all fields, 128 bits, hex."""
        return _digest(self)


class Attached(Request, frozen=True, kw_only=True):
    """What a client may attach to anything with a key."""

    description: str | None = None
    reference: str | None = None
    metadata: Metadata | None = None


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must hold of an account: its policy's version; its posted balance afterwards."""

    account_id: str
    version: int | None = None
    balance_min: int | None = None
    balance_max: int | None = None


class _Movement(Attached, frozen=True, kw_only=True):
    postings: tuple[Posting, ...]
    rate: Rate | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same, of postings as the log has them: a fingerprint is kept for ever."""
        return _digest(msgspec.structs.replace(self, postings=written(self.postings)))


class Transfer(_Movement, frozen=True, kw_only=True, tag="transfer"):
    """Post `postings`, dated `effective_at` (None: now)."""

    kind: ClassVar[Kind] = Kind.TRANSFER

    effective_at: datetime | None = None


class Hold(_Movement, frozen=True, kw_only=True, tag="hold"):
    """Reserve `postings` until captured, voided, or `expires_at` (None: for ever)."""

    kind: ClassVar[Kind] = Kind.HOLD

    expires_at: datetime | None = None


class Schedule(_Movement, frozen=True, kw_only=True, tag="schedule"):
    """Decide and post `postings` at `due_at`."""

    kind: ClassVar[Kind] = Kind.TRANSFER

    due_at: datetime


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """`amount` minor units of posting `line` of an earlier transaction.

    `currency` is what the client said it is in, to be checked against the posting's.
    """

    line: int
    amount: int
    currency: str | None = None


class _FollowUp(Attached, frozen=True, kw_only=True):
    """About the earlier transaction `about`."""

    about: UUID


class Refund(_FollowUp, frozen=True, kw_only=True, tag="refund"):
    """Reverse `parts` of a completed transaction, or (None) all that is left of it."""

    kind: ClassVar[Kind] = Kind.REFUND

    parts: tuple[Part, ...] | None = None
    effective_at: datetime | None = None


class Capture(_FollowUp, frozen=True, kw_only=True, tag="capture"):
    """Post `parts` of a hold, or (None) all that is left of it."""

    kind: ClassVar[Kind] = Kind.CAPTURE

    parts: tuple[Part, ...] | None = None
    effective_at: datetime | None = None


class Void(_FollowUp, frozen=True, kw_only=True, tag="void"):
    """Release all that is left of a hold."""

    kind: ClassVar[Kind] = Kind.VOID


class Cancel(_FollowUp, frozen=True, kw_only=True, tag="cancel"):
    """Cancel a scheduled transfer."""

    kind: ClassVar[Kind] = Kind.CANCELLATION


class Atomic(msgspec.Struct, frozen=True, kw_only=True, tag="atomic"):
    """All of these, in order, or none."""

    ledger: str
    commands: tuple["Movement", ...]


class Settle(msgspec.Struct, frozen=True, kw_only=True, tag="settle"):
    """The sweeper's: a hold expires, or a scheduled transfer is due."""

    about: UUID


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True, tag="open_account"):
    """Open an account; `overdraft_limit` UNSET takes its class's."""

    ledger: str
    account_id: str
    currency: str
    overdraft_limit: int | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | None = None


class ChangeAccount(msgspec.Struct, frozen=True, kw_only=True, tag="change_account"):
    """Change an account's policy; what is UNSET stays. `currency` is the overdraft limit's.

    If `expected_version` is not the policy's version, somebody else was faster.
    """

    ledger: str
    account_id: str
    status: Status | msgspec.UnsetType = msgspec.UNSET
    overdraft_limit: int | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType | None = msgspec.UNSET
    currency: str
    expected_version: int | None = None


class CloseBooks(msgspec.Struct, frozen=True, kw_only=True, tag="close_books"):
    """Let nothing be dated before `closed_before` from here on."""

    ledger: str
    closed_before: datetime


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True, tag="rehearsal"):
    """Decide each of these, in order, as if it came now; then it is as if none had come."""

    ledger: str
    commands: tuple["Asked", ...]


Movement = Transfer | Hold | Schedule
FollowUp = Refund | Capture | Void | Cancel
Keyed = Movement | FollowUp
AccountCommand = OpenAccount | ChangeAccount
Asked = Keyed | AccountCommand | CloseBooks | Atomic
Command = Asked | Settle | Rehearsal
Single = Keyed | AccountCommand | CloseBooks | Settle


def _digest(command: Request) -> str:
    return hashlib.blake2b(_ENCODER.encode(command), digest_size=16).hexdigest()


def singles(commands: Sequence[Command]) -> Iterator[Single]:
    """Yield the commands one by one, those inside of others, too."""
    for command in commands:
        match command:
            case Transfer():
                yield command
            case Atomic() | Rehearsal():
                yield from singles(command.commands)
            case _:
                yield command


def weight(command: Command) -> int:
    """Return how many transactions are decided for `command`."""
    # Most are requests, and not to be of a class is found out slowly.
    match command:
        case Request():
            return 1
        case Rehearsal():
            return sum(map(weight, command.commands))
        case Atomic():
            return len(command.commands)
        case _:
            return 1


def accounts_of(command: Single) -> list[tuple[str, str]]:
    """Return the (ledger, id) of the accounts that `command` itself names, some more than once."""
    match command:
        case Transfer() | Hold() | Schedule():
            return [
                (command.ledger, account_id)
                for posting in command.postings
                for account_id in (posting.debit, posting.credit)
            ]
        case OpenAccount() | ChangeAccount():
            return [(command.ledger, command.account_id)]
        case Refund() | Capture() | Void() | Cancel() | Settle() | CloseBooks():
            return []


def check_account_id(account_id: str, field: str) -> str:
    """Return `account_id`, or raise Invalid."""
    if not ACCOUNT_ID.fullmatch(account_id):
        detail = (
            f"`{field}` must be 1 to 128 of A-Z a-z 0-9 . _ : @ - and start with a letter or digit."
        )
        raise Invalid("account_id_invalid", detail, field=field)
    return account_id


def check_key(in_body: str | None, in_header: str | None) -> str:
    """Return the idempotency key, given in either place or equal in both. Raises Invalid."""
    if in_body is not None and in_header is not None and in_body != in_header:
        raise Invalid(
            "idempotency_key_ambiguous", "`idempotencyKey` and the `Idempotency-Key` header differ."
        )
    key = in_body if in_body is not None else in_header
    if key is None:
        detail = "Send `idempotencyKey` in the body or the `Idempotency-Key` header."
        raise Invalid("idempotency_key_missing", detail, field="idempotencyKey")
    if not _KEY.fullmatch(key) or key in UNPOLLABLE:
        detail = f"The idempotency key must be 1 to {KEY_CHARACTERS_MAX} visible ASCII characters."
        raise Invalid("idempotency_key_invalid", detail, field="idempotencyKey")
    return key


def check_attachments(
    description: str | None, reference: str | None, metadata: Metadata | None, schema: Schema
) -> None:
    """Raise Invalid unless a transaction's attachments keep within the schema's limits."""
    limits = schema.limits
    if description is not None:
        if len(description) > limits.description_characters_max:
            detail = f"`description` has over {limits.description_characters_max} characters."
            raise Invalid("description_too_long", detail, field="description")
        _check_text(description, "description")
    if reference is not None:
        if not 1 <= len(reference) <= REFERENCE_CHARACTERS_MAX:
            detail = f"`reference` must have 1 to {REFERENCE_CHARACTERS_MAX} characters."
            raise Invalid("reference_invalid", detail, field="reference")
        _check_text(reference, "reference")
    missing = [key for key in limits.metadata_required if key not in (metadata or {})]
    if missing:
        detail = f"The accounting schema requires the metadata keys {', '.join(missing)}."
        raise Invalid("metadata_required", detail, field="metadata")
    check_metadata(metadata, schema)


def check_metadata(metadata: Metadata | None, schema: Schema) -> None:
    """Raise Invalid unless metadata keeps within the schema's limits."""
    if metadata is None:
        return
    limits = schema.limits
    size = len(_ENCODER.encode(metadata))
    if len(metadata) > limits.metadata_keys_max or size > limits.metadata_bytes_max:
        detail = (
            f"`metadata` may have {limits.metadata_keys_max} keys "
            f"and {limits.metadata_bytes_max} bytes as JSON."
        )
        raise Invalid("metadata_too_large", detail, field="metadata")
    if metadata.keys() == {"_type_", "_data_"}:
        # The `eventsourcing` library's JSON reader, an auditor of ours, would stop at it.
        detail = "`metadata` may not consist of exactly the keys `_type_` and `_data_`."
        raise Invalid("metadata_reserved", detail, field="metadata")
    for key, value in metadata.items():
        _check_text(key, "metadata")
        if isinstance(value, str):
            _check_text(value, "metadata")


def _check_text(text: str, field: str) -> None:
    # PostgreSQL cannot hold U+0000 in text; no reader wants the other control characters.
    if _CONTROL.search(text):
        raise Invalid("control_character", f"`{field}` holds a control character.", field=field)
