"""What the rules match, what they leave, and that nothing is ever matched twice."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_statements.matching import rules, subsets
from bank_statements.matching.types import MatchableEntry, MatchingTerms, Result, Rule
from bank_statements.statement import StatementLine

DAY = date(2026, 1, 15)


def line(number: int, amount: int, day: int = 0, *references: str, text: str = "") -> StatementLine:
    """Return a line, so many days after DAY."""
    booked = DAY + timedelta(days=day)
    return StatementLine(
        number=number, booked_on=booked, amount=amount, references=references, text=text
    )


def entry(
    position: int, amount: int, day: int = 0, *references: str, text: str = ""
) -> MatchableEntry:
    """Return an entry, so many days after DAY."""
    booked = DAY + timedelta(days=day)
    return MatchableEntry(position, 0, UUID(int=position), booked, amount, references, text)


def links(found: Result) -> list[tuple[str, list[int], list[int]]]:
    """Return what is matched: rule, numbers of lines, positions of entries."""
    return [
        (match.rule, [each.number for each in match.lines], [each[0] for each in match.entries])
        for match in found.matches
    ]


CASES = [
    # What it is about, the lines, the entries, and what is matched.
    (
        "a reference, whatever its case and spaces, over any near days",
        [line(1, 100, 20, "INV 7")],
        [entry(1, 100, 0, "inv7"), entry(2, 100, 20)],
        [("reference", [1], [1])],
    ),
    (
        "a reference too far away is none",
        [line(1, 100, 32, "A")],
        [entry(1, 100, 0, "A")],
        [],
    ),
    (
        "one reference and two amounts: the fee of a bank",
        [line(1, 98, 0, "A")],
        [entry(1, 100, 0, "A")],
        [("reference_only", [1], [1])],
    ),
    (
        "not if money goes the other way",
        [line(1, -98, 0, "A")],
        [entry(1, 100, 0, "A")],
        [],
    ),
    (
        "one line with the references of two entries that add up",
        [line(1, 300, 0, "A", "B")],
        [entry(1, 100, 0, "A"), entry(2, 200, 0, "B")],
        [("reference", [1], [1, 2])],
    ),
    (
        "lines of a batch under the reference of one entry",
        [line(1, -100, 0, "a", "RUN"), line(2, -200, 0, "b", "RUN")],
        [entry(1, -300, 0, "run")],
        [("reference", [1, 2], [1])],
    ),
    (
        "a customer's number under every payment: amounts tell them apart",
        [line(1, 100, 0, "CUST"), line(2, 200, 0, "CUST")],
        [entry(1, 200, 0, "CUST"), entry(2, 100, 0, "CUST")],
        [("reference", [1], [2]), ("reference", [2], [1])],
    ),
    (
        "the same number and amount each month: days tell them apart",
        [line(1, 100, -14, "CUST"), line(2, 100, 14, "CUST")],
        [entry(1, 100, -13, "CUST"), entry(2, 100, 13, "CUST")],
        [("amount_and_date", [1], [1]), ("amount_and_date", [2], [2])],
    ),
    (
        "one amount, near days, and nothing else",
        [line(1, 100, 3)],
        [entry(1, 100), entry(2, -100), entry(3, 101)],
        [("amount_and_date", [1], [1])],
    ),
    ("a day too far", [line(1, 100, 4)], [entry(1, 100)], []),
    ("two that could be it are not guessed", [line(1, 100)], [entry(1, 100), entry(2, 100)], []),
    ("nor is one for two lines", [line(1, 100), line(2, 100)], [entry(1, 100)], []),
    (
        "a text tells two apart",
        [line(1, 100, text="Invoice of ACME Corporation")],
        [entry(1, 100, text="Rent"), entry(2, 100, text="ACME corporation invoice")],
        [("text", [1], [2])],
    ),
    (
        "a text that fits both does not",
        [line(1, 100, text="Rent")],
        [entry(1, 100, text="Rent"), entry(2, 100, text="rent")],
        [],
    ),
    (
        "two lines do not share the entry whose text fits both",
        [line(1, 100, text="Rent"), line(2, 100, text="Rent")],
        [entry(1, 100, text="Rent"), entry(2, 100, 9, text="Power")],
        [],
    ),
    (
        "as many lines as entries of one amount",
        [line(1, 100), line(2, 100, 1)],
        [entry(1, 100, 1), entry(2, 100)],
        [("alike", [1, 2], [1, 2])],
    ),
    (
        "a payout is all of a day, refunds taken off",
        [line(1, 970, 1)],
        [*(entry(n, 100) for n in range(1, 11)), entry(11, -30), entry(12, 5, 1)],
        [("one_to_many", [1], list(range(1, 12)))],
    ),
    (
        "or some that are nearby, in the only way",
        [line(1, 700)],
        [entry(1, 400), entry(2, 300, 2), entry(3, 50), entry(4, 700, 9)],
        [("one_to_many", [1], [1, 2])],
    ),
    (
        "in two ways is in no way",
        [line(1, 700)],
        [entry(1, 400), entry(2, 300, 2), entry(3, 500, 1), entry(4, 200, 2)],
        [],
    ),
    (
        "an entry that the bank booked in parts",
        [line(1, -400), line(2, -300, 1), line(3, -7)],
        [entry(1, -700)],
        [("many_to_one", [1, 2], [1])],
    ),
]


@pytest.mark.parametrize("about, lines, entries, matched", CASES, ids=[case[0] for case in CASES])
def test_a_rule_matches_what_it_says(
    about: str,
    lines: list[StatementLine],
    entries: list[MatchableEntry],
    matched: list[tuple[str, list[int], list[int]]],
) -> None:
    """The first rule that can tell; and the same whatever the order of what is given."""
    for ours, theirs in ((lines, entries), (lines[::-1], entries[::-1])):
        assert links(rules.match(ours, theirs, MatchingTerms())) == matched


def test_what_is_not_sure_is_named() -> None:
    """A line that is left has its candidates, nearest first and bounded."""
    entries = [entry(n, 100, n % 3) for n in range(1, 30)]
    found = rules.match([line(1, 100, 0, "X"), line(2, 55)], entries, MatchingTerms())
    assert found.matches == []
    assert [each.position for each in found.candidates[1]] == [3, 6, 9, 12, 15, 18, 21, 24, 27, 1]
    assert set(found.candidates) == {1}


def test_terms_change_what_is_the_same() -> None:
    """A tolerance of amounts and days; rules that are left out match nothing."""
    lines, entries = [line(1, 100, 5)], [entry(1, 103)]
    assert links(rules.match(lines, entries, MatchingTerms())) == []
    loose = MatchingTerms(days=5, tolerance_minor=3)
    (match,) = rules.match(lines, entries, loose).matches
    assert (match.rule, match.amount_difference, match.days_apart) == ("amount_and_date", -3, 5)
    only = MatchingTerms(rules=(Rule.REFERENCE,), days=5, tolerance_minor=3)
    assert links(rules.match(lines, entries, only)) == []


def test_surer_rules_are_surer() -> None:
    """Percent, whole: what shares a reference and an amount is certain."""
    certain = rules.match([line(1, 100, 0, "A")], [entry(1, 100, 0, "A")], MatchingTerms())
    near = [
        rules.match([line(1, 100, day)], [entry(1, 100)], MatchingTerms()).matches[0].confidence
        for day in range(4)
    ]
    assert certain.matches[0].confidence == 100
    assert near == sorted(near, reverse=True)
    assert all(type(confidence) is int and 0 < confidence < 100 for confidence in near)


def test_many_alike_take_no_longer_than_they_may() -> None:
    """Thousands that cannot be told apart end at the bounds of each search."""
    count = 5_000
    lines = [line(n, 100 + n % 3, n % 28) for n in range(1, count)]
    entries = [entry(n, 100 + n % 3, n % 28) for n in range(1, count - 7)]
    found = rules.match(lines, entries, MatchingTerms())
    assert len(found.matches) < count
    assert all(len(few) <= rules.CANDIDATES_MAX for few in found.candidates.values())


# --- sums of subsets ----------------------------------------------------------------------------


@given(st.lists(st.integers(1, 60), max_size=9), st.integers(1, 200), st.sampled_from((1, -1)))
def test_a_sum_is_found_just_when_it_is_the_only_one(
    amounts: list[int], whole: int, sign: int
) -> None:
    """Against trying them all."""
    ways = [
        list(places)
        for count in range(1, min(len(amounts), subsets.CHOSEN_MAX) + 1)
        for places in combinations(range(len(amounts)), count)
        if sum(amounts[place] for place in places) == whole
    ]
    found = subsets.only_sum([sign * amount for amount in amounts], sign * whole)
    unique = len(ways) == 1 and len(ways[0]) > 1
    assert found.places == (ways[0] if unique else None)


def test_a_search_ends() -> None:
    """At its steps, and then it says nothing."""
    amounts = [2 * n + 10**9 for n in range(subsets.PARTS_MAX)]
    found = subsets.only_sum(amounts, 6 * 10**9 + 1)
    assert found.places is None
    assert found.steps <= subsets.STEPS_MAX


# --- a statement made of entries ----------------------------------------------------------------


@st.composite
def noisy(
    draw: st.DrawFn,
) -> tuple[list[StatementLine], list[MatchableEntry], list[tuple[set[int], set[int]]]]:
    """Return entries, a statement that was made of them with noise, and which is which."""
    count = draw(st.integers(1, 25))
    amounts = draw(
        st.lists(st.integers(-(10**38), 10**38).filter(bool), min_size=count, max_size=count)
    )
    entries: list[MatchableEntry] = []
    lines: list[StatementLine] = []
    truth: list[tuple[set[int], set[int]]] = []
    for position, amount in enumerate(amounts, 1):
        day, late = draw(st.integers(0, 300)), draw(st.integers(0, 3))
        reference = f"REF-{position:04}"
        kind = draw(st.sampled_from(("one", "split", "joined", "missing", "foreign")))
        if kind == "foreign":
            lines.append(line(len(lines) + 1, amount, day + 1_000, f"BANK-{position}"))
            continue
        if kind == "missing":
            entries.append(entry(position, amount, day - 2_000, reference))
            continue
        written = draw(st.sampled_from((reference, reference.lower(), " REF -" + reference[4:])))
        parts = [amount]
        if kind == "split" and abs(amount) > 1:
            part = draw(st.integers(1, abs(amount) - 1)) * (1 if amount > 0 else -1)
            parts = [part, amount - part]
        first = len(lines) + 1
        if kind == "joined":
            entries.append(entry(position, amount, day, reference))
            entries.append(entry(position + 1_000, amount, day, reference))
            lines.append(line(first, 2 * amount, day + late, written, "NOTPROVIDED"))
            truth.append(({first}, {position, position + 1_000}))
            continue
        entries.append(entry(position, amount, day, reference))
        for place, part in enumerate(parts):
            lines.append(line(first + place, part, day + late, written, "NONREF", text="noise"))
        truth.append((set(range(first, first + len(parts))), {position}))
    return draw(st.permutations(lines)), draw(st.permutations(entries)), truth


@settings(max_examples=200, deadline=None)
@given(noisy())
def test_what_was_made_of_entries_is_matched_whole_and_never_twice(
    made: tuple[Sequence[StatementLine], Sequence[MatchableEntry], list[tuple[set[int], set[int]]]],
) -> None:
    """Every line finds just what it was made of; what was made of nothing stays alone."""
    lines, entries, truth = made
    found = rules.match(lines, entries, MatchingTerms(rules=(Rule.REFERENCE,)))
    as_sets = [
        ({each.number for each in match.lines}, {each.position for each in match.entries})
        for match in found.matches
    ]
    assert sorted(as_sets, key=repr) == sorted(truth, key=repr)
    assert all(match.amount_difference == 0 for match in found.matches)
    every = rules.match(lines, entries, MatchingTerms())
    numbers = [each.number for match in every.matches for each in match.lines]
    places = [each[:2] for match in every.matches for each in match.entries]
    assert len(set(numbers)) == len(numbers)
    assert len(set(places)) == len(places)
    assert {number for ours, _ in truth for number in ours} <= set(numbers)
    assert not set(numbers) & set(every.candidates)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), max_size=30),
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), max_size=30),
    st.integers(0, 5),
)
def test_of_many_alike_nothing_is_matched_twice(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]], tolerance: int
) -> None:
    """However alike they are; all that is matched without a tolerance adds up."""
    lines = [line(number, *given_) for number, given_ in enumerate(ours, 1)]
    entries = [entry(number, *given_) for number, given_ in enumerate(theirs, 1)]
    found = rules.match(lines, entries, MatchingTerms(tolerance_minor=tolerance))
    numbers = [each.number for match in found.matches for each in match.lines]
    places = [each[:2] for match in found.matches for each in match.entries]
    assert len(set(numbers)) == len(numbers)
    assert len(set(places)) == len(places)
    assert all(abs(match.amount_difference) <= tolerance for match in found.matches)
    again = rules.match(lines[::-1], entries[::-1], MatchingTerms(tolerance_minor=tolerance))
    assert again == found
