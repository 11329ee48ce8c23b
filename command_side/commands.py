"""What may be asked. A command is checked for shape here, and for permission in `decide`."""

import hashlib
import re
from functools import cached_property
from uuid import UUID

import msgspec

from events.schema import ACCOUNT_ID, Schema
from events.vocabulary import Metadata, Status, transaction_id
from runtime.problems import Invalid

KEY_CHARACTERS_MAX = 255
# A client drops these from a path before it asks for the status.
UNPOLLABLE = (".", "..")
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ENCODER = msgspec.json.Encoder(order="deterministic")


class _Keyed(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A command whose idempotency key is its identity; both digests are computed once."""

    ledger: str
    key: str

    @cached_property
    def transaction_id(self) -> UUID:
        """The stream that this command makes, or has made already."""
        return transaction_id(self.ledger, self.key)

    @cached_property
    def fingerprint(self) -> str:
        """Equal exactly for equal commands: BLAKE2b of all fields, 128 bits, hex."""
        return hashlib.blake2b(_ENCODER.encode(self), digest_size=16).hexdigest()


class Transfer(_Keyed, frozen=True, kw_only=True, tag="transfer"):
    """Move `amount` minor units from source (debited) to destination (credited)."""

    source: str
    destination: str
    amount: int
    currency: str
    description: str | None = None
    metadata: Metadata | None = None


class Refund(_Keyed, frozen=True, kw_only=True, tag="refund"):
    """Reverse `amount` minor units (of `currency`) of `refund_of`, or all that is left of it."""

    refund_of: UUID
    amount: int | None = None
    currency: str | None = None
    description: str | None = None
    metadata: Metadata | None = None


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True, tag="open_account"):
    """Open an account; `overdraft_limit` UNSET takes its class's."""

    ledger: str
    account_id: str
    currency: str
    overdraft_limit: int | msgspec.UnsetType | None = msgspec.UNSET


class ChangeAccount(msgspec.Struct, frozen=True, kw_only=True, tag="change_account"):
    """Change an account's policy; what is UNSET stays. `currency` is the overdraft limit's."""

    ledger: str
    account_id: str
    status: Status | msgspec.UnsetType = msgspec.UNSET
    overdraft_limit: int | msgspec.UnsetType | None = msgspec.UNSET
    currency: str


Keyed = Transfer | Refund
AccountCommand = OpenAccount | ChangeAccount
Command = Keyed | AccountCommand


def accounts_of(command: Command) -> tuple[str, ...]:
    """Return the ids of the accounts that `command` itself names."""
    match command:
        case Transfer():
            return (command.source, command.destination)
        case OpenAccount() | ChangeAccount():
            return (command.account_id,)
        case Refund():
            return ()


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


def check_attachments(description: str | None, metadata: Metadata | None, schema: Schema) -> None:
    """Raise Invalid unless description and metadata keep within the schema's limits."""
    limits = schema.limits
    if description is not None:
        if len(description) > limits.description_characters_max:
            detail = f"`description` has over {limits.description_characters_max} characters."
            raise Invalid("description_too_long", detail, field="description")
        _check_text(description, "description")
    missing = [key for key in limits.metadata_required if key not in (metadata or {})]
    if missing:
        detail = f"The accounting schema requires the metadata keys {', '.join(missing)}."
        raise Invalid("metadata_required", detail, field="metadata")
    if metadata is not None:
        _check_metadata(metadata, schema)


def _check_metadata(metadata: Metadata, schema: Schema) -> None:
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
