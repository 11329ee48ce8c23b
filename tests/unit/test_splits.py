"""Dividing and exchanging, any amounts: nothing is lost, nothing made, nothing rounded twice."""

import itertools
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from command_side.domain import splits
from command_side.domain.splits import PERCENT_DECIMALS, RATE_DECIMALS, Share
from events.money import DECIMALS_MAX, DIGITS_MAX
from runtime.problems import Invalid

LARGEST: int = 10**DIGITS_MAX - 1
WHOLE: int = 100 * 10**PERCENT_DECIMALS
ACCOUNTS_MAX = 12

amounts = st.one_of(st.integers(1, 1_000), st.integers(1, LARGEST), st.just(LARGEST))
decimals = st.integers(0, DECIMALS_MAX)


def parts_of(whole: int, cuts: Sequence[int]) -> list[int]:
    """Return the pieces, all above zero, that distinct cuts make of a whole."""
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < whole}), whole]
    return [high - low for low, high in itertools.pairwise(edges)]


def cut(whole: int) -> st.SearchStrategy[list[int]]:
    """Return pieces of a whole."""
    cuts = st.lists(st.integers(1, max(1, whole - 1)), max_size=ACCOUNTS_MAX - 1)
    return cuts.map(lambda each: parts_of(whole, each))


percentages = st.one_of(
    cut(WHOLE), cut(100).map(lambda parts: [part * 10**PERCENT_DECIMALS for part in parts])
)


def of_percents(percents: Sequence[int]) -> list[Share]:
    """Return shares of an account each."""
    return [Share(account_id=f"a{n}", percent=percent) for n, percent in enumerate(percents)]


def divided(total: int, shares: Sequence[Share]) -> list[int]:
    """Return the shares' minor units; a share for which nothing is left is no example."""
    try:
        made = splits.divide(total, shares, "sources")
    except Invalid as problem:
        assume(problem.code != "split_exceeded")
        raise
    assert [account_id for account_id, _ in made] == [share.account_id for share in shares]
    return [units for _, units in made]


@given(amounts, percentages)
def test_percentages_add_up_and_are_at_most_a_unit_off(total: int, percents: list[int]) -> None:
    """Whatever the rounding: all of it, none negative, none a whole unit from what is exact."""
    units = divided(total, of_percents(percents))
    assert sum(units) == total
    for share, percent in zip(units, percents, strict=True):
        assert share > 0
        assert abs(share - Fraction(total * percent, WHOLE)) < 1


@given(amounts, percentages)
def test_units_left_over_go_to_the_largest_fractions(total: int, percents: list[int]) -> None:
    """Nobody who lost less by rounding down gets a unit before somebody who lost more."""
    units = divided(total, of_percents(percents))
    lost = [total * percent % WHOLE for percent in percents]
    got = [unit - total * percent // WHOLE for unit, percent in zip(units, percents, strict=True)]
    order = sorted(range(len(lost)), key=lambda index: (-lost[index], index))
    assert [got[index] for index in order] == sorted(got, reverse=True)


@given(st.data(), amounts)
def test_amounts_percentages_and_the_rest_add_up(data: st.DataObject, total: int) -> None:
    """Fixed amounts stay as they are, percentages are rounded down, one share takes the rest."""
    percents = data.draw(cut(WHOLE).map(lambda parts: parts[:-1]))
    fixed = data.draw(cut(total).map(lambda parts: parts[:-1]))
    shares = [
        *of_percents(percents),
        *(Share(account_id=f"f{n}", amount=amount) for n, amount in enumerate(fixed)),
        Share(account_id="rest"),
    ]
    units = divided(total, shares)
    assert sum(units) == total
    assert units[: len(percents)] == [total * percent // WHOLE for percent in percents]
    assert units[len(percents) : -1] == fixed
    assert min(units) > 0


@given(amounts, st.lists(st.integers(1, WHOLE), min_size=1, max_size=ACCOUNTS_MAX))
def test_percentages_that_are_not_the_whole_are_refused(total: int, percents: list[int]) -> None:
    """A split that does not add up is a mistake, never a rounding."""
    assume(sum(percents) != WHOLE)
    with pytest.raises(Invalid) as refused:
        splits.divide(total, of_percents(percents), "sources")
    assert refused.value.code in ("split_incomplete", "split_exceeded")


@given(st.data(), st.integers(1, LARGEST))
def test_paired_sides_keep_their_shares(data: st.DataObject, total: int) -> None:
    """Every source pays its share and every destination gets its own; postings stay few."""
    sources = [(f"s{n}", part) for n, part in enumerate(data.draw(cut(total)))]
    destinations = [(f"d{n}", part) for n, part in enumerate(data.draw(cut(total)))]
    postings = splits.pair(sources, destinations, "USD")
    paid, got = Counter[str](), Counter[str]()
    for posting in postings:
        assert posting.amount_minor > 0
        paid[posting.debit] += posting.amount_minor
        got[posting.credit] += posting.amount_minor
    assert (paid, got) == (Counter(dict(sources)), Counter(dict(destinations)))
    assert len(postings) < len(sources) + len(destinations)


@given(amounts, decimals, st.integers(1, 10**DIGITS_MAX - 1), decimals)
def test_exchange_is_rounded_half_to_even(
    sold: int, sold_decimals: int, rate: int, bought_decimals: int
) -> None:
    """As Python rounds a fraction that is exact."""
    units = Fraction(sold, 10**sold_decimals) * Fraction(rate, 10**RATE_DECIMALS)
    exact = round(units * 10**bought_decimals)
    if not 0 < exact <= LARGEST:
        with pytest.raises(Invalid) as refused:
            splits.exchange(sold, sold_decimals, rate, bought_decimals)
        assert refused.value.code == ("amount_too_large" if exact else "exchange_too_small")
    else:
        assert splits.exchange(sold, sold_decimals, rate, bought_decimals) == exact


@pytest.mark.parametrize(
    "sold, rate, bought", [(1, 15, 2), (1, 25, 2), (3, 5, 2), (1, 35, 4), (5, 5, 2), (7, 5, 4)]
)
def test_exact_halves_go_to_the_even_unit(sold: int, rate: int, bought: int) -> None:
    """1.5, 2.5, 1.5, 3.5, 2.5, 3.5."""
    assert splits.exchange(sold, 0, rate * 10 ** (RATE_DECIMALS - 1), 0) == bought
