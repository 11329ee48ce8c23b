"""Rules: one line is the sum of several entries (1:n), or the other way round (n:1). Pure."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from bank_statements.matching import subsets
from bank_statements.matching.explanations import within_text
from bank_statements.matching.types import MatchableEntry, Movement, Rule
from bank_statements.matching.unmatched import Unmatched
from bank_statements.statement import StatementLine

One = TypeVar("One", bound=Movement)
Moving = TypeVar("Moving", bound=Movement)


def apply_one_to_many(left: Unmatched) -> None:
    """Take the lines that are the sum of entries."""

    def take(
        line: StatementLine, entries: list[MatchableEntry], confidence: int, said: str
    ) -> None:
        left.take(Rule.ONE_TO_MANY, confidence, said, (line,), entries)

    _sums(left, list(left.lines.values()), left.entries.values, take)


def apply_many_to_one(left: Unmatched) -> None:
    """Take the entries that are the sum of lines."""

    def take(entry: MatchableEntry, lines: list[StatementLine], confidence: int, said: str) -> None:
        left.take(Rule.MANY_TO_ONE, confidence, said, lines, (entry,))

    _sums(left, list(left.entries.values()), left.lines.values, take)


def _sums(
    left: Unmatched,
    wholes: list[One],
    unmatched: Callable[[], Iterable[Moving]],
    take: Callable[[One, list[Moving], int, str], None],
) -> None:
    """Take the wholes that are the sum of parts in just one way: all of a day, or some nearby.

    The work is bounded: for each whole by the subsets' own bounds, for all by SEARCH_STEPS_MAX.
    """
    days = left.terms.days
    parts = subsets.ByDay(unmatched())
    for whole in wholes:
        if left.steps <= 0:
            return
        nearby = parts.near(whole.booked_on, days)
        found = next((all_of for day in nearby if (all_of := day.all_of(whole.amount))), None)
        if found is not None and len(found) > 1:
            said = f"It is the sum of all {len(found)} that are left of {found[0].booked_on}."
            take(whole, found, 80, said)
            parts.remove(found)
            continue
        possible = subsets.parts_of(nearby, whole.amount)
        only = subsets.only_sum([part.amount for part in possible], whole.amount)
        left.steps -= only.steps
        if only.places is not None:
            chosen = [possible[place] for place in only.places]
            said = f"It is the sum of {len(chosen)}, {within_text(days)}, and in no other way."
            take(whole, chosen, 65, said)
            parts.remove(chosen)
