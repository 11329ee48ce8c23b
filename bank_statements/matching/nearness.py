"""Which entries a line may be, by amount and day. Pure."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from datetime import date, timedelta

from bank_statements.matching import subsets
from bank_statements.matching.types import MatchableEntry, apart
from bank_statements.matching.unmatched import Unmatched
from bank_statements.statement import StatementLine

NEAR_MAX = 200


def near(left: Unmatched, days: int) -> dict[int, list[MatchableEntry]]:
    """Return the entries that each line may be by amount and day, nearest first, if there are any.

    Of more than 200 there is no telling, so such a line has none.
    """
    tolerance = left.terms.tolerance_minor
    by_amount: dict[int, list[MatchableEntry]] = defaultdict(list)
    for entry in sorted(left.entries.values(), key=lambda each: (each.booked_on, each)):
        by_amount[entry.amount].append(entry)
    amounts = sorted(by_amount)
    near: dict[int, list[MatchableEntry]] = {}
    for number, line in left.lines.items():
        like = subsets.between(amounts, line.amount - tolerance, line.amount + tolerance)
        found: list[MatchableEntry] = []
        for amount in like[: NEAR_MAX + 1]:
            if (amount > 0) == (line.amount > 0) and len(found) <= NEAR_MAX:
                found += _within_days(by_amount[amount], line.booked_on, days)
        if 0 < len(found) <= NEAR_MAX >= len(like):
            near[number] = sorted(found, key=lambda entry: _nearness(line, entry))
    return near


def _within_days(ordered: list[MatchableEntry], day: date, days: int) -> list[MatchableEntry]:
    """Return the entries that are at most so many days away, or just too many of them."""
    around = timedelta(days=days)
    first = bisect_left(ordered, day - around, key=_booked_on)
    last = bisect_right(ordered, day + around, key=_booked_on)
    return ordered[first : min(last, first + NEAR_MAX + 1)]


def _booked_on(entry: MatchableEntry) -> date:
    return entry.booked_on


def _nearness(line: StatementLine, entry: MatchableEntry) -> tuple[int, ...]:
    return abs(line.amount - entry.amount), apart(line, entry), *entry[:2]
