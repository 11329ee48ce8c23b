"""Which lines of a bank statement are which entries of ours. Pure and deterministic.

The rules are tried in order, each on what the ones before it have left:

    reference        they share a reference, and add up          1:1, 1:n, n:1
    amount_and_date  one amount, near days, and nothing else     1:1
    text             one amount; of several the likeliest text   1:1
    alike            as many lines as entries of one amount      n:n
    one_to_many      one line is the sum of several entries      1:n
    many_to_one      one entry is the sum of several lines       n:1
    reference_only   they share a reference, not the amount      1:1

A line that could be more than one entry is not guessed: it stays unmatched, with its candidates.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from bank_statements.matching import (
    by_amount_and_date,
    by_equal_counts,
    by_reference,
    by_reference_only,
    by_sum,
    by_text,
)
from bank_statements.matching.nearness import near
from bank_statements.matching.types import MatchableEntry, MatchingTerms, Result, Rule
from bank_statements.matching.unmatched import Unmatched
from bank_statements.statement import StatementLine, key

CANDIDATES_MAX = 10
_RULES: dict[Rule, Callable[[Unmatched], None]] = {
    Rule.REFERENCE: by_reference.apply,
    Rule.AMOUNT_AND_DATE: by_amount_and_date.apply,
    Rule.TEXT: by_text.apply,
    Rule.ALIKE: by_equal_counts.apply,
    Rule.ONE_TO_MANY: by_sum.apply_one_to_many,
    Rule.MANY_TO_ONE: by_sum.apply_many_to_one,
    Rule.REFERENCE_ONLY: by_reference_only.apply,
}


def match(
    lines: Sequence[StatementLine], entries: Sequence[MatchableEntry], terms: MatchingTerms
) -> Result:
    """Match what can be told apart; every line and every entry is in one match at most."""
    left = Unmatched(lines, entries, terms)
    for rule in Rule:
        if rule in terms.rules:
            _RULES[rule](left)
    left.matches.sort(key=lambda found: found.lines[0].number)
    return Result(left.matches, _candidates(left))


def _candidates(left: Unmatched) -> dict[int, list[MatchableEntry]]:
    """Return the nearest entries that a line could be, by amount or by reference."""
    nearby = near(left, left.terms.reference_days)
    by_reference: dict[str, list[MatchableEntry]] = defaultdict(list)
    for entry in left.entries.values():
        for text in entry.references:
            if known := key(text):
                by_reference[known].append(entry)
    found: dict[int, list[MatchableEntry]] = {}
    for number, line in left.lines.items():
        shared = [
            entry
            for text in line.references
            for entry in by_reference.get(key(text) or "", ())[:CANDIDATES_MAX]
        ]
        both = dict.fromkeys((*shared, *nearby.get(number, ())))
        if both:
            found[number] = list(both)[:CANDIDATES_MAX]
    return found
