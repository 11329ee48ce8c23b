"""The bodies of commands. Amounts are in units: JSON numbers or strings, exact either way.

All shapes omit their defaults, so that `web/bodies.py` sees a repeated member by the length of its
JSON.
"""

from typing import Annotated

import msgspec

from events.types import Metadata, Status

# The text is kept: `money.minor_units` reads it, and says what is wrong with it.
Number = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="A JSON number or a string that holds one; exact either way.",
        extra_json_schema={"type": ["number", "string"]},
    ),
]
Amount = Number | msgspec.UnsetType


class PostingBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One posting; `amount` in units of `currency`, a JSON number or a string, exact either way."""

    source_account_id: str
    destination_account_id: str
    amount: Number
    currency: str | None = None


class ShareBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The share of one account: an amount, a percentage, or what remains."""

    account_id: str
    amount: Amount = msgspec.UNSET
    percentage: Amount = msgspec.UNSET
    remaining: bool = False


class ExchangeBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The currency to buy, and how many units of it one unit of the transaction's buys."""

    currency: str
    rate: Number


class ConditionBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What must be true of an account of the transaction, or it is refused."""

    account_id: str
    expected_version: int | None = None
    balance_min: Amount = msgspec.UNSET
    balance_max: Amount = msgspec.UNSET


class TransactionBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A transfer from one account to another, by postings, split by shares, or exchanged.

    `pending` makes it a hold, `due_at` a scheduled transfer, `effective_at` a back-dated one.
    """

    source_account_id: str | None = None
    destination_account_id: str | None = None
    amount: Amount = msgspec.UNSET
    currency: str | None = None
    postings: tuple[PostingBody, ...] | None = None
    sources: tuple[ShareBody, ...] | None = None
    destinations: tuple[ShareBody, ...] | None = None
    exchange: ExchangeBody | None = None
    pending: bool = False
    expires_at: str | None = None
    due_at: str | None = None
    effective_at: str | None = None
    conditions: tuple[ConditionBody, ...] = ()
    description: str | None = None
    reference: str | None = None
    metadata: Metadata | None = None


class SubmitBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`POST /transactions`, and each item of `POST /transactions/batch`."""

    transaction: TransactionBody
    idempotencyKey: str | None = None  # noqa: N815 - the API's own spelling


class PartBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How much of posting `line` (0, 1, 2 …) of the earlier transaction."""

    line: int
    amount: Number
    currency: str | None = None


class FollowUpBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Refund or capture `amount` of the only posting, or `postings`; without either, all of it."""

    amount: Amount = msgspec.UNSET
    currency: str | None = None
    postings: tuple[PartBody, ...] | None = None
    effective_at: str | None = None
    description: str | None = None
    reference: str | None = None
    metadata: Metadata | None = None
    idempotencyKey: str | None = None  # noqa: N815


class EndBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Void a hold, or cancel a scheduled transfer."""

    description: str | None = None
    reference: str | None = None
    metadata: Metadata | None = None
    idempotencyKey: str | None = None  # noqa: N815


class OpenBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`POST /accounts`; `overdraft` is "none", "unlimited" or an amount in units."""

    account_id: str
    currency: str | None = None
    overdraft: str | None = None
    metadata: Metadata | None = None


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`PATCH /accounts/{id}`; a missing field stays as it is. `overdraft` is in `currency`."""

    status: Status | None = None
    overdraft: str | None = None
    currency: str | None = None
    metadata: Metadata | msgspec.UnsetType | None = msgspec.UNSET
    expected_version: int | None = None


class CloseBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`POST /books/close`; a date means its first moment, in UTC."""

    closed_before: str
