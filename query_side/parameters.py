"""The query parameters that several subjects share, and what they mean. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple
from uuid import UUID

from msgspec import Meta, Struct

from events import money
from events.schema import ACCOUNT_ID, Schema
from query_side.list_query import PageRequest
from runtime.problems import Invalid
from web import cursors, times
from web.cursors import BIGGEST, LIMIT_DEFAULT, CursorText, Cut, Limit

# The problems of lists with filters, besides those of each parameter.
FILTER_PROBLEMS = {
    400: ("currency_required", "amount_not_positive", "amount_too_precise", "amount_too_large")
}


class Order(StrEnum):
    """Ascending or descending by the list's key."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class AmountRange(NamedTuple):
    """From `least` to `most` minor units; both are included."""

    least: int | None = None
    most: int | None = None


class MetadataFilter(NamedTuple):
    """Metadata that items must have: each of `keys` with its one of `values`."""

    keys: list[str]
    values: list[str]


def account_id(text: str, name: str) -> str:
    """Return an account id. Raises Invalid."""
    if not ACCOUNT_ID.fullmatch(text):
        raise Invalid("account_id_invalid", f"`{name}` is not an account id.", field=name)
    return text


AccountId = Annotated[
    str,
    Meta(
        pattern=f"^{ACCOUNT_ID.pattern}$", extra={"parse": account_id, "code": "account_id_invalid"}
    ),
]
Text = Annotated[str, Meta(extra={"code": "control_character"})]
TransactionId = Annotated[UUID, Meta(extra={"code": "transaction_id_invalid"})]
Position = Annotated[int, Meta(ge=0, le=BIGGEST, extra={"code": "position_invalid"})]
Currency = Annotated[str, Meta(description="In this currency.", extra={"code": "currency_unknown"})]
Metadata = Annotated[
    dict[str, str],
    Meta(
        description="`metadata.KEY=VALUE`: the metadata has KEY with this value. At most 20 keys.",
        extra={"code": "metadata_too_large"},
    ),
]
# An amount in units, which is read once its currency is known.
Amount = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?$",
        extra={"parse": lambda text, _name: text, "code": "amount_not_a_number"},
    ),
]


def time_filter(meaning: times.Meaning, description: str) -> Meta:
    """Return how an end of a period is read, by `times.start` or `times.end`."""
    return Meta(
        description=description,
        extra={
            "parse": lambda text, name: meaning(text, name, "time_invalid"),
            "code": "time_invalid",
        },
        extra_json_schema=times.SCHEMA,
    )


_RECORDED = "When it was recorded"
_EFFECTIVE = "When it counts as having happened"
RecordedFrom = Annotated[datetime, time_filter(times.start, f"{_RECORDED}: not before.")]
RecordedTo = Annotated[datetime, time_filter(times.end, f"{_RECORDED}: before its end.")]
EffectiveFrom = Annotated[datetime, time_filter(times.start, f"{_EFFECTIVE}: not before.")]
EffectiveTo = Annotated[datetime, time_filter(times.end, f"{_EFFECTIVE}: before its end.")]


class ListParameters(Struct, frozen=True, kw_only=True):
    """The parameters of every list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None
    order: Annotated[
        Order, Meta(description="By the list's key.", extra={"code": "order_unknown"})
    ] = Order.DESCENDING

    def page(self, name: str, example: Cut) -> PageRequest:
        """Return the page asked for; a cursor must be of the list `name`. Raises Invalid."""
        cursor = None if self.cursor is None else cursors.decode(self.cursor, name, example)
        return PageRequest(self.order is Order.ASCENDING, cursor, self.limit)


def currency_of(text: str | None, schema: Schema) -> str | None:
    """Return a currency of the schema, if one is given. Raises Invalid."""
    if text is not None:
        schema.decimals(text)
    return text


def amount_range(
    name: str,
    bounds: tuple[str | None, str | None],
    currency: str | None,
    schema: Schema,
    *,
    signed: bool = False,
) -> AmountRange:
    """Return what `name`_min and `name`_max mean in units of `currency`. Raises Invalid."""
    least, most = bounds
    return AmountRange(
        _minor(f"{name}_min", least, currency, schema, signed=signed),
        _minor(f"{name}_max", most, currency, schema, signed=signed),
    )


def metadata_filter(members: Mapping[str, str]) -> MetadataFilter:
    """Return the metadata that items must have."""
    return MetadataFilter(list(members), list(members.values()))


def _minor(
    name: str, text: str | None, currency: str | None, schema: Schema, *, signed: bool
) -> int | None:
    if text is None:
        return None
    if currency is None:
        detail = f"`{name}` needs `currency`: amounts of several cannot be compared."
        raise Invalid("currency_required", detail, field="currency")
    amount = money.parse(b'"%s"' % text.encode(), name)
    if not amount:
        return 0
    negative = signed and amount < 0
    minor = money.to_minor(
        amount.copy_abs() if signed else amount, schema.decimals(currency), currency, name
    )
    return -minor if negative else minor
