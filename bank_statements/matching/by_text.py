"""Rule: of several entries of one amount, the one with the likeliest text (1:1). Pure."""

from collections import defaultdict

from rapidfuzz import fuzz

from bank_statements.matching.explanations import days_apart_text
from bank_statements.matching.nearness import near
from bank_statements.matching.types import NEVER, MatchableEntry, Rule, apart
from bank_statements.matching.unmatched import Unmatched
from bank_statements.statement import StatementLine

TEXTS_MAX = 20
TEXT_MARGIN = 10


def apply(left: Unmatched) -> None:
    """Of entries of one amount, take the one whose text is alike, if no other is nearly so."""
    nearby = near(left, left.terms.reference_days)
    scored: list[tuple[int, int, MatchableEntry]] = []
    wanted: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, found in nearby.items():
        if len(found) > TEXTS_MAX:
            continue
        scores = sorted(
            ((_alike(left.lines[number], entry), entry) for entry in found), reverse=True
        )
        best = scores[0][0]
        second = scores[1][0] if len(scores) > 1 else NEVER
        if best >= left.terms.similarity and best - second >= TEXT_MARGIN:
            scored.append((best, number, scores[0][1]))
            wanted[scores[0][1][:2]].append(best)
    for best, number, entry in scored:
        rivals = sorted(wanted[entry[:2]], reverse=True)
        if rivals[0] == best and (len(rivals) == 1 or best - rivals[1] >= TEXT_MARGIN):
            line = left.lines[number]
            days = days_apart_text(apart(line, entry))
            said = f"Same amount, {days}, and the texts are {best} % alike."
            left.take(Rule.TEXT, min(best - 10, 85), said, (line,), (entry,))


def _alike(line: StatementLine, entry: MatchableEntry) -> int:
    """Return how alike two texts are, in whole percent."""
    theirs = " ".join(filter(None, (line.counterparty, line.text, *line.references))).casefold()
    ours = " ".join((entry.text, *entry.references)).casefold()
    if not theirs or not ours:
        return NEVER
    return int(fuzz.token_set_ratio(theirs, ours))
