"""Rule: as many lines as entries of one amount on near days (n:n). Pure."""

from collections import defaultdict
from collections.abc import Iterable

from bank_statements.matching.explanations import counted_text, within_text
from bank_statements.matching.types import MatchableEntry, Rule, apart
from bank_statements.matching.unmatched import Unmatched
from bank_statements.statement import StatementLine


def apply(left: Unmatched) -> None:
    """Match equal payments if both sides have as many: then it does not matter which is which."""
    by_amount: dict[int, list[StatementLine | MatchableEntry]] = defaultdict(list)
    for line in left.lines.values():
        by_amount[line.amount].append(line)
    for entry in left.entries.values():
        by_amount[entry.amount].append(entry)
    for movements in by_amount.values():
        for cluster in _clusters(movements, left.terms.days):
            lines = [each for each in cluster if isinstance(each, StatementLine)]
            entries = [each for each in cluster if isinstance(each, MatchableEntry)]
            if lines and len(lines) == len(entries):
                said = (
                    f"{counted_text(lines, entries)} of one amount, {within_text(left.terms.days)}."
                )
                left.take(Rule.ALIKE, 80, said, lines, entries)


def _clusters(
    movements: list[StatementLine | MatchableEntry], days: int
) -> Iterable[list[StatementLine | MatchableEntry]]:
    """Yield movements whose days are near each other's and far from all others'."""
    ordered = sorted(movements, key=lambda each: each.booked_on)
    start = 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or apart(ordered[end - 1], ordered[end]) > days:
            if apart(ordered[start], ordered[end - 1]) <= days:
                yield ordered[start:end]
            start = end
