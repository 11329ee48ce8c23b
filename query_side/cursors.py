"""Opaque keyset cursors: where the last page ended, never how many rows were skipped."""

import base64
import binascii

import msgspec

from runtime.problems import Invalid

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(tuple[int, ...])
LIMIT_DEFAULT = 50
LIMIT_MAX = 500
LIMIT_DIGITS_MAX = len(str(LIMIT_MAX))
BIGGEST = 2**63 - 1


def encode(*key: int) -> str:
    """Return the cursor that continues after `key`."""
    return base64.urlsafe_b64encode(_ENCODER.encode(key)).decode().rstrip("=")


def decode(cursor: str | None, length: int) -> tuple[int, ...]:
    """Return the key in `cursor`; without one, the key before every row. Raises Invalid."""
    if cursor is None:
        return (BIGGEST,) * length
    try:
        key = _DECODER.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise _not_ours() from error
    if len(key) != length or not all(0 <= part <= BIGGEST for part in key):
        raise _not_ours()
    return key


def limit(text: str | None) -> int:
    """Return the page size asked for, 1 to 500. Raises Invalid."""
    if text is None:
        return LIMIT_DEFAULT
    digits = text.isascii() and text.isdigit() and len(text) <= LIMIT_DIGITS_MAX
    if not digits or not 1 <= int(text) <= LIMIT_MAX:
        raise Invalid("limit_invalid", f"`limit` must be 1 to {LIMIT_MAX}.", field="limit")
    return int(text)


def _not_ours() -> Invalid:
    return Invalid(
        "cursor_invalid", "`cursor` must be a `next` that this list gave.", field="cursor"
    )
