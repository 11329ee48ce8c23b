"""What the routes of statements take: periods, points, and formats. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from query_side.accounts.parameters import KnownAtParameters, PointParameters
from query_side.parameters import Currency
from runtime.problems import Invalid
from web import times
from web.cursors import LIMIT_DEFAULT, CursorText, Limit
from web.media import JSON

CSV = "text/csv"
XML = "application/xml"
TEXT_XML = "text/xml"
PERIOD_PROBLEMS = {400: ("period_invalid",)}


class Basis(StrEnum):
    """Which of an entry's two times places it in a period."""

    RECORDED = "recorded"
    EFFECTIVE = "effective"


class StatementFormat(StrEnum):
    """What a statement may be written as."""

    JSON = "json"
    CSV = "csv"
    CAMT053 = "camt.053"


class TrialBalanceFormat(StrEnum):
    """What a trial balance may be written as."""

    JSON = "json"
    CSV = "csv"


FORMAT_OF = {
    JSON: StatementFormat.JSON,
    CSV: StatementFormat.CSV,
    XML: StatementFormat.CAMT053,
    TEXT_XML: StatementFormat.CAMT053,
}
_FORMAT = Meta(
    description="Without it the media type that `Accept` prefers.",
    extra={"code": "format_invalid"},
)


class StatementPeriod(Struct, frozen=True):
    """From `start` up to `end`, which is not included."""

    start: datetime
    end: datetime


class StatementParameters(KnownAtParameters, frozen=True, kw_only=True):
    """A period, which time places an entry in it, and the point at which it was known."""

    from_: Annotated[datetime, times.parameter(times.start, "The period's beginning.")] = field(
        name="from"
    )
    to: Annotated[
        datetime,
        times.parameter(times.end, "The period's end: a day is included, a moment is not."),
    ]
    basis: Annotated[
        Basis,
        Meta(description="Which time places an entry.", extra={"code": "basis_invalid"}),
    ] = Basis.EFFECTIVE
    format: Annotated[StatementFormat, _FORMAT] | None = None

    def period(self) -> StatementPeriod:
        """Return the period. Raises Invalid unless it ends after it begins."""
        if self.from_ >= self.to:
            raise Invalid("period_invalid", "`from` must be before `to`.", field="from")
        return StatementPeriod(self.from_, self.to)


class TrialBalanceParameters(PointParameters, frozen=True, kw_only=True):
    """A point, a currency, and which page of the accounts."""

    currency: Currency | None = None
    format: Annotated[TrialBalanceFormat, _FORMAT] | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None
