"""What the routes of accounts take: filters of the list, and points at which balances are. Pure.

A point is a position, or a time: a moment includes what was recorded just then, and a day is a
whole day, in UTC.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from events.schema import Schema
from events.types import AccountType, Status, account_stream_id
from query_side import parameters
from query_side.list_query import FIRST, LAST, ListQuery, ListRequest
from query_side.parameters import (
    Amount,
    Currency,
    ListParameters,
    Metadata,
    Order,
    Position,
    Text,
    time_filter,
)
from runtime.problems import Invalid, NotFound
from web import times
from web.cursors import LIMIT_DEFAULT, CursorText, Cut, Limit

NOT_FOUND = {404: ("account_not_found",)}
POINT_PROBLEMS = {400: ("point_ambiguous",)}
FIRST_ID: Cut = ("",)
# Greater than every character that an account id may hold.
AFTER_IDS = "~"
_BALANCE = "The balance, in units; may be negative"
_OPENED = "When it was opened"


class OfAccount(Struct, frozen=True):
    """The path of one account."""

    account_id: Annotated[
        str, Meta(description="The id that the client chose.", extra={"code": "path_invalid"})
    ]


def id_prefix(text: str, name: str) -> str:
    """Return the beginning of account ids; no text is that of all. Raises Invalid."""
    if text:
        parameters.account_id(text, name)
    return text


class AccountFilters(ListParameters, frozen=True, kw_only=True):
    """Which accounts of a ledger."""

    order: Annotated[
        Order, Meta(description="By the account's id.", extra={"code": "order_unknown"})
    ] = Order.ASCENDING
    prefix: Annotated[
        str,
        Meta(
            description="The id begins so.",
            extra={"parse": id_prefix, "code": "account_id_invalid"},
        ),
    ] = ""
    class_: Annotated[Text, Meta(description="Of this class.")] | None = field(
        default=None, name="class"
    )
    type: (
        Annotated[AccountType, Meta(description="Of this type.", extra={"code": "type_unknown"})]
        | None
    ) = None
    status: (
        Annotated[Status, Meta(description="What it allows now.", extra={"code": "status_unknown"})]
        | None
    ) = None
    currency: Currency | None = None
    balance_min: Annotated[Amount, Meta(description=f"{_BALANCE}: at least.")] | None = None
    balance_max: Annotated[Amount, Meta(description=f"{_BALANCE}: at most.")] | None = None
    opened_from: Annotated[datetime, time_filter(times.start, f"{_OPENED}: not before.")] | None = (
        None
    )
    opened_to: Annotated[datetime, time_filter(times.end, f"{_OPENED}: before its end.")] | None = (
        None
    )
    text: (
        Annotated[Text, Meta(description="Part of its id, or of a value of its metadata.")] | None
    ) = None
    metadata: Metadata = field(default_factory=dict)


def accounts(filters: AccountFilters, ledger: str, schema: Schema) -> ListRequest:
    """Return which accounts of a ledger are asked for. Raises Invalid."""
    page = filters.page("accounts", FIRST_ID)
    currency = parameters.currency_of(filters.currency, schema)
    bounds = (filters.balance_min, filters.balance_max)
    query = ListQuery(
        name="accounts",
        key=("account_id",),
        # All ids with one beginning are neighbours.
        low=(filters.prefix,),
        high=(filters.prefix + AFTER_IDS,),
        key_query="account_keys",
        key_arguments=(ledger,),
        row_query="account_rows",
        row_arguments=(
            ledger,
            filters.class_,
            filters.type,
            filters.status,
            currency,
            *parameters.amount_range("balance", bounds, currency, schema, signed=True),
            filters.opened_from,
            filters.opened_to,
            filters.text,
            *parameters.metadata_filter(filters.metadata),
        ),
    )
    return query, page


def audit_trail(filters: ListParameters, ledger: str, account: str) -> ListRequest:
    """Return which of the events that concern `account` are asked for. Raises Invalid."""
    query = ListQuery(
        name="audit-trail",
        key=("notification_id",),
        low=FIRST,
        high=LAST,
        key_query="audit_trail_keys",
        key_arguments=(ledger, account, account_stream_id(ledger, account)),
        row_query="event_rows",
        row_arguments=(),
    )
    return query, filters.page("audit-trail", FIRST)


class PointRequest(Struct, frozen=True):
    """A point: at a position, or at what was recorded before a time; None twice is now.

    With `effective_before` it is what had taken effect before that time, as known at the point.
    """

    position: int | None = None
    recorded_before: datetime | None = None
    effective_before: datetime | None = None


def point(
    position: int | None,
    recorded_before: datetime | None,
    effective_before: datetime | None = None,
    *,
    name: str = "position",
    time_name: str = "at",
) -> PointRequest:
    """Return the point that two parameters of these names ask for. Raises Invalid for both."""
    if position is not None and recorded_before is not None:
        detail = f"`{name}` and `{time_name}` are two ways to name one point: send one of them."
        raise Invalid("point_ambiguous", detail, field=time_name)
    return PointRequest(position, recorded_before, effective_before)


def _at(what: str) -> Any:  # noqa: ANN401 - msgspec's Meta
    text = f"{what}: after what was recorded at this time or before."
    return times.parameter(times.through, text)


def _position(what: str) -> Meta:
    return Meta(description=f"{what}: after the event at this position.")


class KnownAtParameters(Struct, frozen=True, kw_only=True):
    """A point in the log."""

    position: Annotated[Position, _position("The point")] | None = None
    at: Annotated[datetime, _at("The point")] | None = None

    def point(self) -> PointRequest:
        """Return the point asked for. Raises Invalid."""
        return point(self.position, self.at)


class PointParameters(KnownAtParameters, frozen=True, kw_only=True):
    """A point in the log, and what had taken effect by a time."""

    effective_at: (
        Annotated[datetime, times.parameter(times.through, "What had taken effect by this time.")]
        | None
    ) = None

    def point(self) -> PointRequest:
        """Return the point asked for. Raises Invalid."""
        return point(self.position, self.at, self.effective_at)


_FIRST = "The first point, the log's beginning without one"
_SECOND = "The second point, now without one"


class DifferenceParameters(Struct, frozen=True, kw_only=True):
    """Two points in the log, and which page of the entries between them."""

    from_position: Annotated[Position, _position(_FIRST)] | None = None
    from_at: Annotated[datetime, _at(_FIRST)] | None = None
    to_position: Annotated[Position, _position(_SECOND)] | None = None
    to_at: Annotated[datetime, _at(_SECOND)] | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None

    def points(self) -> tuple[PointRequest, PointRequest]:
        """Return both points. Raises Invalid."""
        first = point(self.from_position, self.from_at, name="from_position", time_name="from_at")
        second = point(self.to_position, self.to_at, name="to_position", time_name="to_at")
        if self.cursor is None and first == PointRequest():
            first = PointRequest(position=0)
        return first, second


def no_account(account_id: str, position: int) -> NotFound:
    """Return the answer to the id of no account."""
    detail = f"There is no account {account_id!r} (up to position {position})."
    return NotFound("account_not_found", detail)
