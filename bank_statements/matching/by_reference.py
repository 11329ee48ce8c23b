"""Rule: they share a reference, and add up (1:1, 1:n, n:1). Pure."""

from collections import defaultdict

from bank_statements.matching.explanations import counted_text
from bank_statements.matching.shared_references import shared_reference, sharing
from bank_statements.matching.types import CERTAIN, MatchableEntry, Rule, apart, spread, total
from bank_statements.matching.unmatched import Unmatched
from bank_statements.statement import StatementLine


def apply(left: Unmatched) -> None:
    """Take the matches that this rule finds."""
    for shared, lines, entries in sharing(left):
        ours, theirs = _pair_equal(left, lines, entries)
        if not ours or not theirs or (len(ours) > 1 and len(theirs) > 1):
            continue
        near = spread(ours, theirs) <= left.terms.reference_days
        if near and total(ours) == total(theirs):
            said = f"{counted_text(ours, theirs)} share the reference {shared!r} and add up."
            left.take(Rule.REFERENCE, 98, said, ours, theirs)


def _pair_equal(
    left: Unmatched, lines: list[StatementLine], entries: list[MatchableEntry]
) -> tuple[list[StatementLine], list[MatchableEntry]]:
    """Match pairs that share a reference and an amount that no other there has; return the rest."""
    by_amount: dict[int, tuple[list[StatementLine], list[MatchableEntry]]] = defaultdict(
        lambda: ([], [])
    )
    for line in lines:
        by_amount[line.amount][0].append(line)
    for entry in entries:
        by_amount[entry.amount][1].append(entry)
    for ours, theirs in by_amount.values():
        if len(ours) == len(theirs) == 1:
            known = shared_reference(ours[0], theirs[0])
            if known and apart(ours[0], theirs[0]) <= left.terms.reference_days:
                said = f"Both have the reference {known!r} and the same amount."
                left.take(Rule.REFERENCE, CERTAIN, said, ours, theirs)
    rest = [line for line in lines if line.number in left.lines]
    return rest, [entry for entry in entries if entry[:2] in left.entries]
