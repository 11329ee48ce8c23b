"""Which lines of a statement are which entries of ours. Pure, and the same again for the same.

The rules are tried in order, each on what the ones before it have left:

    reference        they share a reference, and add up          1:1, 1:n, n:1
    amount_and_date  one amount, near days, and nothing else     1:1
    text             one amount; of several the likeliest text   1:1
    alike            as many lines as entries of one amount      n:n
    one_to_many      one line is the sum of several entries      1:n
    many_to_one      one entry is the sum of several lines       n:1
    reference_only   they share a reference, not the amount      1:1

What could be more than one thing is not guessed: it stays unmatched, with its candidates. Amounts
are signed minor units, positive is money in on both sides; likelihood is whole percent.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec
from rapidfuzz import fuzz

from bank_statements.matching import subsets
from bank_statements.statement import Line, key

CANDIDATES_MAX = 10
NEAR_MAX = 200
SEARCH_STEPS_MAX = 2_000_000
TEXTS_MAX = 20
TEXT_MARGIN = 10
CERTAIN, NEVER = 100, 0
# The rule of what a person links by hand.
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


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How alike is the same. Days lie between booking dates; `reference_days` where more is shared.

    `tolerance_minor` is how far amounts may be apart; `similarity` of texts is in percent.
    """

    rules: tuple[Rule, ...] = tuple(Rule)
    days: int = 3
    reference_days: int = 31
    tolerance_minor: int = 0
    similarity: int = 80


class Entry(NamedTuple):
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
    lines: tuple[Line, ...]
    entries: tuple[Entry, ...]

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
    candidates: dict[int, list[Entry]]


class Movement(Protocol):
    """What a line and an entry have in common."""

    @property
    def booked_on(self) -> date:
        """The day."""

    @property
    def amount(self) -> int:
        """Signed minor units."""


Moving = TypeVar("Moving", bound=Movement)


def match(lines: Sequence[Line], entries: Sequence[Entry], terms: Terms) -> Result:
    """Match what can be told apart; every line and every entry is in one match at most."""
    matching = _Matching(lines, entries, terms)
    for rule in Rule:
        if rule in terms.rules:
            _RULES[rule](matching)
    matching.matches.sort(key=lambda found: found.lines[0].number)
    return Result(matching.matches, _candidates(matching))


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


class _Matching:
    """What is left on both sides, and what was matched."""

    def __init__(self, lines: Sequence[Line], entries: Sequence[Entry], terms: Terms) -> None:
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
        lines: Sequence[Line],
        entries: Sequence[Entry],
    ) -> None:
        """Match them, and leave them to no later rule."""
        for line in lines:
            del self.lines[line.number]
        for entry in entries:
            del self.entries[entry[:2]]
        ours = tuple(sorted(lines, key=lambda line: line.number))
        self.matches.append(Match(rule, confidence, explanation, ours, tuple(sorted(entries))))


# --- a shared reference -------------------------------------------------------------------------


def _by_reference(matching: _Matching) -> None:
    for shared, lines, entries in _sharing(matching):
        ours, theirs = _pair_equal(matching, lines, entries)
        if not ours or not theirs or (len(ours) > 1 and len(theirs) > 1):
            continue
        near = spread(ours, theirs) <= matching.terms.reference_days
        if near and total(ours) == total(theirs):
            said = f"{_counted(ours, theirs)} share the reference {shared!r} and add up."
            matching.take(Rule.REFERENCE, 98, said, ours, theirs)


def _by_reference_only(matching: _Matching) -> None:
    for shared, lines, entries in _sharing(matching):
        if len(lines) == 1 == len(entries):
            line, entry = lines[0], entries[0]
            near = apart(line, entry) <= matching.terms.reference_days
            if near and (line.amount > 0) == (entry.amount > 0):
                said = f"Both have the reference {shared!r}, but not the same amount."
                matching.take(Rule.REFERENCE_ONLY, 60, said, lines, entries)


def _pair_equal(
    matching: _Matching, lines: list[Line], entries: list[Entry]
) -> tuple[list[Line], list[Entry]]:
    """Match pairs that share a reference and an amount that no other there has; return the rest."""
    by_amount: dict[int, tuple[list[Line], list[Entry]]] = defaultdict(lambda: ([], []))
    for line in lines:
        by_amount[line.amount][0].append(line)
    for entry in entries:
        by_amount[entry.amount][1].append(entry)
    for ours, theirs in by_amount.values():
        if len(ours) == len(theirs) == 1:
            known = _share(ours[0], theirs[0])
            if known and apart(ours[0], theirs[0]) <= matching.terms.reference_days:
                said = f"Both have the reference {known!r} and the same amount."
                matching.take(Rule.REFERENCE, CERTAIN, said, ours, theirs)
    left = [line for line in lines if line.number in matching.lines]
    return left, [entry for entry in entries if entry[:2] in matching.entries]


def _share(line: Line, entry: Entry) -> str | None:
    """Return a reference that both have, as the statement writes it."""
    known = {key(text) for text in entry.references}
    return next((text for text in line.references if key(text) in known), None)


def _sharing(matching: _Matching) -> list[tuple[str, list[Line], list[Entry]]]:
    """Return what is connected by references on both sides, each with a reference of it."""
    leader: dict[str, str] = {}

    def led(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    ours = {
        entry[:2]: [known for text in entry.references if (known := key(text))]
        for entry in matching.entries.values()
    }
    # A reference of one side only connects nothing.
    both = {known for names in ours.values() for known in names}
    theirs = {
        line.number: [known for text in line.references if (known := key(text)) in both]
        for line in matching.lines.values()
    }
    both &= {known for names in theirs.values() for known in names}
    for names in (*theirs.values(), *ours.values()):
        shared = [name for name in names if name in both]
        for name in shared:
            leader.setdefault(name, name)
            leader[led(name)] = led(shared[0])
    groups: dict[str, tuple[list[Line], list[Entry]]] = defaultdict(lambda: ([], []))
    for line in matching.lines.values():
        for name in theirs[line.number][:1]:
            groups[led(name)][0].append(line)
    for place, entry in matching.entries.items():
        for name in [name for name in ours[place] if name in both][:1]:
            groups[led(name)][1].append(entry)
    shown = {key(t): t for line in matching.lines.values() for t in line.references}
    return [(shown.get(name, name), lines, entries) for name, (lines, entries) in groups.items()]


# --- one line, one entry ------------------------------------------------------------------------


def _by_amount_and_date(matching: _Matching) -> None:
    near = _near(matching, matching.terms.days)
    back: dict[tuple[int, int], int] = defaultdict(int)
    for found in near.values():
        for entry in found:
            back[entry[:2]] += 1
    for number, found in near.items():
        if len(found) == 1 and back[found[0][:2]] == 1:
            line, entry = matching.lines[number], found[0]
            days, off = apart(line, entry), abs(line.amount - entry.amount)
            said = (
                f"{'The amounts differ by ' + str(off) + ' minor units' if off else 'Same amount'},"
                f" {_days(days)}, and no other line or entry comes into question."
            )
            confidence = max(95 - 5 * days - (10 if off else 0), 50)
            matching.take(Rule.AMOUNT_AND_DATE, confidence, said, (line,), (entry,))


def _by_text(matching: _Matching) -> None:
    """Of entries of one amount, take the one whose text is alike, if no other is nearly so."""
    near = _near(matching, matching.terms.reference_days)
    scored: list[tuple[int, int, Entry]] = []
    wanted: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, found in near.items():
        if len(found) > TEXTS_MAX:
            continue
        scores = sorted(
            ((_alike(matching.lines[number], entry), entry) for entry in found), reverse=True
        )
        best = scores[0][0]
        second = scores[1][0] if len(scores) > 1 else NEVER
        if best >= matching.terms.similarity and best - second >= TEXT_MARGIN:
            scored.append((best, number, scores[0][1]))
            wanted[scores[0][1][:2]].append(best)
    for best, number, entry in scored:
        rivals = sorted(wanted[entry[:2]], reverse=True)
        if rivals[0] == best and (len(rivals) == 1 or best - rivals[1] >= TEXT_MARGIN):
            line = matching.lines[number]
            said = f"Same amount, {_days(apart(line, entry))}, and the texts are {best} % alike."
            matching.take(Rule.TEXT, min(best - 10, 85), said, (line,), (entry,))


def _alike(line: Line, entry: Entry) -> int:
    """Return how alike two texts are, in whole percent."""
    theirs = " ".join(filter(None, (line.counterparty, line.text, *line.references))).casefold()
    ours = " ".join((entry.text, *entry.references)).casefold()
    if not theirs or not ours:
        return NEVER
    return int(fuzz.token_set_ratio(theirs, ours))


def _near(matching: _Matching, days: int) -> dict[int, list[Entry]]:
    """Return the entries that each line may be by amount and day, nearest first, if there are any.

    Of more than 200 there is no telling, so such a line has none.
    """
    tolerance = matching.terms.tolerance_minor
    by_amount: dict[int, list[Entry]] = defaultdict(list)
    for entry in sorted(matching.entries.values(), key=lambda each: (each.booked_on, each)):
        by_amount[entry.amount].append(entry)
    amounts = sorted(by_amount)
    near: dict[int, list[Entry]] = {}
    for number, line in matching.lines.items():
        like = subsets.between(amounts, line.amount - tolerance, line.amount + tolerance)
        found: list[Entry] = []
        for amount in like[: NEAR_MAX + 1]:
            if (amount > 0) == (line.amount > 0) and len(found) <= NEAR_MAX:
                found += _of_days(by_amount[amount], line.booked_on, days)
        if 0 < len(found) <= NEAR_MAX >= len(like):
            near[number] = sorted(found, key=lambda entry: _nearness(line, entry))
    return near


def _of_days(ordered: list[Entry], day: date, days: int) -> list[Entry]:
    """Return the entries that are at most so many days away, or just too many of them."""
    around = timedelta(days=days)
    first = bisect_left(ordered, day - around, key=_booked_on)
    last = bisect_right(ordered, day + around, key=_booked_on)
    return ordered[first : min(last, first + NEAR_MAX + 1)]


def _booked_on(entry: Entry) -> date:
    return entry.booked_on


def _nearness(line: Line, entry: Entry) -> tuple[int, ...]:
    return abs(line.amount - entry.amount), apart(line, entry), *entry[:2]


# --- sets ---------------------------------------------------------------------------------------


def _by_being_alike(matching: _Matching) -> None:
    """Which of equal payments is which does not matter, if there are as many on both sides."""
    by_amount: dict[int, list[Line | Entry]] = defaultdict(list)
    for line in matching.lines.values():
        by_amount[line.amount].append(line)
    for entry in matching.entries.values():
        by_amount[entry.amount].append(entry)
    for movements in by_amount.values():
        for cluster in _clusters(movements, matching.terms.days):
            lines = [each for each in cluster if isinstance(each, Line)]
            entries = [each for each in cluster if isinstance(each, Entry)]
            if lines and len(lines) == len(entries):
                said = f"{_counted(lines, entries)} of one amount, {_within(matching.terms.days)}."
                matching.take(Rule.ALIKE, 80, said, lines, entries)


def _clusters(movements: list[Line | Entry], days: int) -> Iterable[list[Line | Entry]]:
    """Yield movements whose days are near each other's and far from all others'."""
    ordered = sorted(movements, key=lambda each: each.booked_on)
    start = 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or apart(ordered[end - 1], ordered[end]) > days:
            if apart(ordered[start], ordered[end - 1]) <= days:
                yield ordered[start:end]
            start = end


def _one_to_many(matching: _Matching) -> None:
    def take(line: Line, entries: list[Entry], confidence: int, said: str) -> None:
        matching.take(Rule.ONE_TO_MANY, confidence, said, (line,), entries)

    _sums(matching, list(matching.lines.values()), matching.entries.values, take)


def _many_to_one(matching: _Matching) -> None:
    def take(entry: Entry, lines: list[Line], confidence: int, said: str) -> None:
        matching.take(Rule.MANY_TO_ONE, confidence, said, lines, (entry,))

    _sums(matching, list(matching.entries.values()), matching.lines.values, take)


One = TypeVar("One", bound=Movement)


def _sums(
    matching: _Matching,
    wholes: list[One],
    left: Callable[[], Iterable[Moving]],
    take: Callable[[One, list[Moving], int, str], None],
) -> None:
    """Take the wholes that are the sum of parts in just one way: all of a day, or some nearby.

    The work is bounded: for each whole by the subsets' own bounds, for all by SEARCH_STEPS_MAX.
    """
    days = matching.terms.days
    parts = subsets.ByDay(left())
    for whole in wholes:
        if matching.steps <= 0:
            return
        near = parts.near(whole.booked_on, days)
        found = next((all_of for day in near if (all_of := day.all_of(whole.amount))), None)
        if found is not None and len(found) > 1:
            said = f"It is the sum of all {len(found)} that are left of {found[0].booked_on}."
            take(whole, found, 80, said)
            parts.remove(found)
            continue
        possible = subsets.parts_of(near, whole.amount)
        only = subsets.only_sum([part.amount for part in possible], whole.amount)
        matching.steps -= only.steps
        if only.places is not None:
            chosen = [possible[place] for place in only.places]
            said = f"It is the sum of {len(chosen)}, {_within(days)}, and in no other way."
            take(whole, chosen, 65, said)
            parts.remove(chosen)


# --- what is left, and words --------------------------------------------------------------------


def _candidates(matching: _Matching) -> dict[int, list[Entry]]:
    """Return the nearest entries that a line could be, by amount or by reference."""
    near = _near(matching, matching.terms.reference_days)
    by_reference: dict[str, list[Entry]] = defaultdict(list)
    for entry in matching.entries.values():
        for text in entry.references:
            if known := key(text):
                by_reference[known].append(entry)
    found: dict[int, list[Entry]] = {}
    for number, line in matching.lines.items():
        shared = [
            entry
            for text in line.references
            for entry in by_reference.get(key(text) or "", ())[:CANDIDATES_MAX]
        ]
        both = dict.fromkeys((*shared, *near.get(number, ())))
        if both:
            found[number] = list(both)[:CANDIDATES_MAX]
    return found


def _days(days: int) -> str:
    return "the same day" if days == 0 else f"{days} day{'s' if days > 1 else ''} apart"


def _within(days: int) -> str:
    return "all on one day" if days == 0 else f"all within {days} day{'s' if days > 1 else ''}"


def _counted(lines: Sequence[Line], entries: Sequence[Entry]) -> str:
    return (
        f"{len(lines)} line{'s' if len(lines) > 1 else ''} and "
        f"{len(entries)} entr{'ies' if len(entries) > 1 else 'y'}"
    )


_RULES: dict[Rule, Callable[[_Matching], None]] = {
    Rule.REFERENCE: _by_reference,
    Rule.AMOUNT_AND_DATE: _by_amount_and_date,
    Rule.TEXT: _by_text,
    Rule.ALIKE: _by_being_alike,
    Rule.ONE_TO_MANY: _one_to_many,
    Rule.MANY_TO_ONE: _many_to_one,
    Rule.REFERENCE_ONLY: _by_reference_only,
}
