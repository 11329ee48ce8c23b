"""What is left to match on both sides, and what was matched. Pure."""

from collections.abc import Sequence

from bank_statements.matching.types import Match, MatchableEntry, MatchingTerms, Rule
from bank_statements.statement import StatementLine

SEARCH_STEPS_MAX = 2_000_000


class Unmatched:
    """What is left on both sides, and what was matched."""

    def __init__(
        self,
        lines: Sequence[StatementLine],
        entries: Sequence[MatchableEntry],
        terms: MatchingTerms,
    ) -> None:
        self.terms = terms
        self.lines = {line.number: line for line in sorted(lines, key=lambda each: each.number)}
        self.entries = {entry[:2]: entry for entry in sorted(entries)}
        self.matches: list[Match] = []
        self.steps = SEARCH_STEPS_MAX

    def take(
        self,
        rule: Rule,
        confidence: int,
        explanation: str,
        lines: Sequence[StatementLine],
        entries: Sequence[MatchableEntry],
    ) -> None:
        """Match them, and leave them to no later rule."""
        for line in lines:
            del self.lines[line.number]
        for entry in entries:
            del self.entries[entry[:2]]
        ours = tuple(sorted(lines, key=lambda line: line.number))
        self.matches.append(Match(rule, confidence, explanation, ours, tuple(sorted(entries))))
