"""Rule: one amount, near days, and nothing else comes into question (1:1). Pure."""

from collections import defaultdict

from bank_statements.matching.explanations import days_apart_text
from bank_statements.matching.nearness import near
from bank_statements.matching.types import Rule, apart
from bank_statements.matching.unmatched import Unmatched


def apply(left: Unmatched) -> None:
    """Take the matches that this rule finds."""
    nearby = near(left, left.terms.days)
    back: dict[tuple[int, int], int] = defaultdict(int)
    for found in nearby.values():
        for entry in found:
            back[entry[:2]] += 1
    for number, found in nearby.items():
        if len(found) == 1 and back[found[0][:2]] == 1:
            line, entry = left.lines[number], found[0]
            days, off = apart(line, entry), abs(line.amount - entry.amount)
            said = (
                f"{'The amounts differ by ' + str(off) + ' minor units' if off else 'Same amount'},"
                f" {days_apart_text(days)}, and no other line or entry comes into question."
            )
            confidence = max(95 - 5 * days - (10 if off else 0), 50)
            left.take(Rule.AMOUNT_AND_DATE, confidence, said, (line,), (entry,))
