"""Rule: they share a reference, but not the amount (1:1). Pure."""

from bank_statements.matching.shared_references import sharing
from bank_statements.matching.types import Rule, apart
from bank_statements.matching.unmatched import Unmatched


def apply(left: Unmatched) -> None:
    """Take the matches that this rule finds."""
    for shared, lines, entries in sharing(left):
        if len(lines) == 1 == len(entries):
            line, entry = lines[0], entries[0]
            near = apart(line, entry) <= left.terms.reference_days
            if near and (line.amount > 0) == (entry.amount > 0):
                said = f"Both have the reference {shared!r}, but not the same amount."
                left.take(Rule.REFERENCE_ONLY, 60, said, lines, entries)
