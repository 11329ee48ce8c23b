"""What both the command side and the query side answer with. Pure.

Every amount goes out twice: in units, as an exact JSON number, and in minor units, as a string.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from events.money import Minor, Units
from events.types import Kind, Metadata, Rate, Stage

Position = Annotated[int, Meta(ge=0, description="A place in the log.")]


class PostingView(Struct, kw_only=True):
    """One posting. In a refund, capture or void, `line` is that of the earlier transaction."""

    source_account_id: str
    destination_account_id: str
    amount: Units
    amount_minor: Minor
    currency: str
    line: int | UnsetType = UNSET
    refunded: Units | UnsetType = UNSET
    refunded_minor: Minor | UnsetType = UNSET
    captured: Units | UnsetType = UNSET
    captured_minor: Minor | UnsetType = UNSET


class CurrencyTotal(Struct, kw_only=True):
    """The total of a transaction of several currencies in one of them."""

    currency: str
    amount: Units
    amount_minor: Minor
    refunded: Units | UnsetType = UNSET
    refunded_minor: Minor | UnsetType = UNSET
    captured: Units | UnsetType = UNSET
    captured_minor: Minor | UnsetType = UNSET


class Related(Struct):
    """A transaction that refers to this one."""

    id: UUID
    kind: Kind
    status: Stage


class Transaction(Struct, kw_only=True):
    """A transaction as it stands. A refused one has `code` and `detail`.

    The summary (`source_account_id`, `destination_account_id`, `amount`) is null where postings
    differ; `postings` list all of them. `refund_of`, `hold_id` and `scheduled_id` name the earlier
    transaction that this one refers to.
    """

    id: UUID
    kind: Kind
    status: Stage
    source_account_id: str | None
    destination_account_id: str | None
    amount: Units | None
    amount_minor: Minor | None
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
    hold_id: UUID | UnsetType = UNSET
    scheduled_id: UUID | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    due_at: datetime | UnsetType = UNSET
    refunded: Units | UnsetType = UNSET
    refunded_minor: Minor | UnsetType = UNSET
    captured: Units | UnsetType = UNSET
    captured_minor: Minor | UnsetType = UNSET
    totals: list[CurrencyTotal] | UnsetType = UNSET
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    changed_at: datetime | UnsetType = UNSET
    changed_position: Position | UnsetType = UNSET
    related: list[Related] | UnsetType = UNSET


class Polled(Struct):
    """What became of a submission: FAILED if it was refused, at once or when it was due."""

    status: Literal["COMPLETED", "FAILED"]
    idempotencyKey: str  # noqa: N815 - the API's own spelling
    result: Transaction


class Books(Struct):
    """Until when the books are closed; null, if they never were."""

    closed_before: datetime | None
    position: Position | None
