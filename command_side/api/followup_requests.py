"""From a body to a refund, a capture, a void or a cancellation. Pure."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from command_side.api.bodies import EndBody, FollowUpBody
from command_side.api.values import ambiguous, check_attachments, minor, moment_of
from command_side.domain.commands import Cancel, Capture, Part, Refund, Void
from events.schema import Schema
from events.types import Posting, TransactionEvent
from runtime.problems import Invalid

LINE_MAX = 2**15 - 1


def refund(
    ledger: str,
    key: str,
    about: UUID,
    original: TransactionEvent | None,
    body: FollowUpBody,
    schema: Schema,
) -> Refund:
    """Return the refund that `body` asks for, amounts read as of `original`. Raises Invalid."""
    return Refund(**_follow_up(ledger, key, about, original, body, schema))


def capture(
    ledger: str,
    key: str,
    about: UUID,
    original: TransactionEvent | None,
    body: FollowUpBody,
    schema: Schema,
) -> Capture:
    """Return the capture that `body` asks for, amounts read as of `original`. Raises Invalid."""
    return Capture(**_follow_up(ledger, key, about, original, body, schema))


def void(ledger: str, key: str, about: UUID, body: EndBody, schema: Schema) -> Void:
    """Return the void that `body` asks for. Raises Invalid."""
    return Void(**_end(ledger, key, about, body, schema))


def cancel(ledger: str, key: str, about: UUID, body: EndBody, schema: Schema) -> Cancel:
    """Return the cancellation that `body` asks for. Raises Invalid."""
    return Cancel(**_end(ledger, key, about, body, schema))


def _follow_up(
    ledger: str,
    key: str,
    about: UUID,
    original: TransactionEvent | None,
    body: FollowUpBody,
    schema: Schema,
) -> dict[str, Any]:
    return _end(ledger, key, about, body, schema) | {
        "parts": _parts(body, original, schema),
        "effective_at": moment_of(body.effective_at, "effective_at"),
    }


def _end(
    ledger: str, key: str, about: UUID, body: FollowUpBody | EndBody, schema: Schema
) -> dict[str, Any]:
    check_attachments(body.description, body.reference, body.metadata, schema)
    return {
        "ledger": ledger,
        "key": key,
        "about": about,
        "description": body.description,
        "reference": body.reference,
        "metadata": body.metadata,
    }


def _parts(
    body: FollowUpBody, original: TransactionEvent | None, schema: Schema
) -> tuple[Part, ...] | None:
    postings = () if original is None else original.postings
    if body.currency is not None:
        schema.decimals(body.currency)  # Checked here: a refusal keeps it as it is.
    if body.postings is None:
        if body.amount is msgspec.UNSET:
            return None
        if len(postings) > 1:
            detail = f"The transaction has {len(postings)} postings; say how much of which."
            raise Invalid("line_missing", detail, field="postings")
        return (_part(0, body.amount, body.currency, postings, schema),)
    if body.amount is not msgspec.UNSET:
        raise ambiguous("Give either `amount` or `postings`.")
    lines = [part.line for part in body.postings]
    if not lines or len(set(lines)) < len(lines) or not 0 <= min(lines) <= max(lines) <= LINE_MAX:
        detail = "`postings` names each `line` (0, 1, 2 …) once, and at least one."
        raise Invalid("line_invalid", detail, field="postings")
    return tuple(
        _part(part.line, part.amount, part.currency or body.currency, postings, schema)
        for part in body.postings
    )


def _part(
    line: int,
    amount: msgspec.Raw,
    currency: str | None,
    postings: Sequence[Posting],
    schema: Schema,
) -> Part:
    """Return a part. If there is no such posting, any currency will do: it is refused anyway."""
    known = postings[line].currency if line < len(postings) else schema.defaults.currency
    return Part(line, minor(amount, currency or known, schema), currency)
