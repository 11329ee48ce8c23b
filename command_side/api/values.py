"""What the values of a body mean, and whether they have the right shape. Pure.

Whether a command is permitted is for `domain/decide.py`.
"""

import re
from datetime import datetime

import msgspec

from events import money
from events.schema import ACCOUNT_ID, Schema
from events.types import Metadata
from runtime.problems import Invalid
from web import times

KEY_CHARACTERS_MAX = 255
REFERENCE_CHARACTERS_MAX = 255
# A client removes these from a path before it asks for the status.
UNPOLLABLE = (".", "..")
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ENCODER = msgspec.json.Encoder(order="deterministic")


def minor(amount: msgspec.Raw, currency: str, schema: Schema) -> int:
    """Return an amount of units as minor units. Raises Invalid."""
    return money.minor_units(bytes(amount), schema.decimals(currency), currency)


def currency_of(text: str | None, schema: Schema) -> str:
    """Return the currency in `text`, or the default if there is none. Raises Invalid."""
    currency = schema.defaults.currency if text is None else text
    schema.decimals(currency)
    return currency


def moment_of(text: str | None, field: str) -> datetime | None:
    """Return the moment that `text` means; a date is its first one, in UTC. Raises Invalid."""
    return None if text is None else times.start(text, field)


def ambiguous(detail: str) -> Invalid:
    """Return the answer to a body that says the same thing in two ways."""
    return Invalid("transaction_ambiguous", detail)


def check_account_id(account_id: str, field: str) -> str:
    """Return `account_id`. Raises Invalid if it is not the id of an account."""
    if not ACCOUNT_ID.fullmatch(account_id):
        detail = (
            f"`{field}` must be 1 to 128 of A-Z a-z 0-9 . _ : @ - and start with a letter or digit."
        )
        raise Invalid("account_id_invalid", detail, field=field)
    return account_id


def check_key(in_body: str | None, in_header: str | None) -> str:
    """Return the idempotency key from the body or the header, or from both if they are equal.

    Raises Invalid.
    """
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
        # The JSON reader of the `eventsourcing` library, which audits the log, would fail on it.
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
