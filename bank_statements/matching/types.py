"""What is matched, and on what terms. Pure.

Amounts are signed minor units: positive is money in, on both sides. Confidence is whole percent.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, NamedTuple, Protocol
from uuid import UUID

import msgspec

from bank_statements.statement import StatementLine
from runtime.problems import Invalid

CERTAIN, NEVER = 100, 0
# The rule of a match that a person made.
OVERRIDE = "override"


class Rule(StrEnum):
    """The rules, in the order in which they are tried."""

    REFERENCE = "reference"
    AMOUNT_AND_DATE = "amount_and_date"
    TEXT = "text"
    ALIKE = "alike"
    ONE_TO_MANY = "one_to_many"
    MANY_TO_ONE = "many_to_one"
    REFERENCE_ONLY = "reference_only"


DAYS_MAX = 31
REFERENCE_DAYS_MAX = 366
TOLERANCE_MINOR_MAX = 10**9
PERCENT_MAX = 100


def _rules(text: str, name: str) -> tuple[Rule, ...]:
    """Return the rules in a list that commas separate, in their own order. Raises Invalid."""
    try:
        chosen = {Rule(each.strip()) for each in text.split(",") if each.strip()}
    except ValueError as error:
        detail = f"`{name}` must be some of {', '.join(Rule)}, separated by commas."
        raise Invalid("terms_invalid", detail, field=name) from error
    return tuple(rule for rule in Rule if rule in chosen)


def _at_most(most: int, description: str) -> msgspec.Meta:
    return msgspec.Meta(ge=0, le=most, description=description, extra={"code": "terms_invalid"})


class MatchingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as the same when lines and entries are matched."""

    rules: Annotated[
        tuple[Rule, ...],
        msgspec.Meta(
            description="Which rules are tried; all without it.",
            extra={"parse": _rules, "code": "terms_invalid"},
        ),
    ] = tuple(Rule)
    days: Annotated[int, _at_most(DAYS_MAX, "Booking dates are at most so many days apart.")] = 3
    reference_days: Annotated[
        int, _at_most(REFERENCE_DAYS_MAX, "The same, with a common reference or text.")
    ] = 31
    tolerance_minor: Annotated[
        int, _at_most(TOLERANCE_MINOR_MAX, "How far amounts may differ, in minor units.")
    ] = 0
    similarity: Annotated[int, _at_most(PERCENT_MAX, "How alike texts must be, in percent.")] = 80


class MatchableEntry(NamedTuple):
    """An entry of our account; its key is its place in the log."""

    position: int
    line: int
    transaction_id: UUID
    booked_on: date
    amount: int
    references: tuple[str, ...]
    text: str


class Match(NamedTuple):
    """Lines that are these entries, with the rule that says so."""

    rule: str
    confidence: int
    explanation: str
    lines: tuple[StatementLine, ...]
    entries: tuple[MatchableEntry, ...]

    @property
    def amount_difference(self) -> int:
        """What the lines have more than the entries, in minor units."""
        return total(self.lines) - total(self.entries)

    @property
    def days_apart(self) -> int:
        """The most days between a line and an entry."""
        return spread(self.lines, self.entries)


class Result(NamedTuple):
    """The matches in the order of their lines, and what a line that has none could be."""

    matches: list[Match]
    candidates: dict[int, list[MatchableEntry]]


class Movement(Protocol):
    """What a line and an entry have in common."""

    @property
    def booked_on(self) -> date:
        """The day."""

    @property
    def amount(self) -> int:
        """Signed minor units."""


def total(movements: Iterable[Movement]) -> int:
    """Return the sum of their amounts."""
    return sum(movement.amount for movement in movements)


def apart(one: Movement, other: Movement) -> int:
    """Return the days between two movements."""
    return abs((one.booked_on - other.booked_on).days)


def spread(ours: Sequence[Movement], theirs: Sequence[Movement]) -> int:
    """Return the most days between one of ours and one of theirs."""
    one, other = ([each.booked_on for each in side] for side in (ours, theirs))
    return max((max(one) - min(other)).days, (max(other) - min(one)).days)
