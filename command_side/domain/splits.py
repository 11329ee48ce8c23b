"""Divide an amount into shares, pair sources with destinations, and exchange. Pure and exact.

A share is an amount, a percentage of the whole, or what remains. Percentages are rounded down to
the minor unit. The rest goes to the share that takes what remains. Without such a share, it goes to
the shares that lost the largest fractions, one unit each, the earlier one first. So the shares
always add up to the whole.
"""

from collections.abc import Sequence

import msgspec

from events import money
from events.types import Posting
from runtime.problems import Invalid

PERCENT_DECIMALS = 18
RATE_DECIMALS = 18
_WHOLE: int = 100 * 10**PERCENT_DECIMALS


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The share of one account: `amount` minor units, `percent` × 10^-18, or else what remains."""

    account_id: str
    amount: int | None = None
    percent: int | None = None

    @property
    def remains(self) -> bool:
        """Return whether it takes what the other shares leave."""
        return self.amount is None and self.percent is None


def divide(total: int, shares: Sequence[Share], field: str) -> list[tuple[str, int]]:
    """Return each share's account and minor units; they add up to `total`. Raises Invalid."""
    if sum(share.remains for share in shares) > 1:
        raise Invalid("split_ambiguous", f"Only one of `{field}` can take what remains.")
    units = [_units(share, total) for share in shares]
    left = total - sum(units)
    taker = next((index for index, share in enumerate(shares) if share.remains), None)
    if taker is not None:
        units[taker] = left
    else:
        _hand_out(left, total, shares, units, field)
    if min(units) <= 0:
        raise Invalid("split_exceeded", f"Nothing is left for one of `{field}`.", field=field)
    return [(share.account_id, amount) for share, amount in zip(shares, units, strict=True)]


def pair(
    sources: Sequence[tuple[str, int]], destinations: Sequence[tuple[str, int]], currency: str
) -> tuple[Posting, ...]:
    """Return postings that take from the sources in order and fill the destinations in order.

    Both must have the same total.
    """
    postings = []
    paying, filling = iter(sources), iter(destinations)
    source, owed = next(paying)
    destination, wanted = next(filling)
    while True:
        amount = min(owed, wanted)
        postings.append(Posting(source, destination, amount, currency))
        owed, wanted = owed - amount, wanted - amount
        if not owed:
            source, owed = next(paying, (source, 0))
        if not wanted:
            destination, wanted = next(filling, (destination, 0))
        if not owed or not wanted:
            return tuple(postings)


def exchange(sold: int, sold_decimals: int, rate: int, bought_decimals: int) -> int:
    """Return the minor units that `sold` minor units buy, rounded half to even.

    One unit buys `rate` × 10^-18 units. Raises Invalid if the result is nothing, or too much.
    """
    numerator = sold * rate * int(10**bought_decimals)
    denominator = int(10 ** (sold_decimals + RATE_DECIMALS))
    units, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and units % 2):
        units += 1
    if units == 0:
        raise Invalid("exchange_too_small", "At that rate the amount buys nothing.", field="amount")
    if units >= int(10**money.DIGITS_MAX):
        detail = f"What is bought has more than {money.DIGITS_MAX} digits in minor units."
        raise Invalid("amount_too_large", detail, field="exchange.rate")
    return units


def _units(share: Share, total: int) -> int:
    if share.percent is not None:
        return total * share.percent // _WHOLE
    return share.amount or 0


def _hand_out(left: int, total: int, shares: Sequence[Share], units: list[int], field: str) -> None:
    """Give the rest to the percentages that lost most by rounding."""
    lost = {
        index: total * share.percent % _WHOLE
        for index, share in enumerate(shares)
        if share.percent is not None
    }
    if left * _WHOLE != sum(lost.values()):
        detail = (
            f"`{field}` do not add up to the whole amount; let one of them take the `remaining`."
        )
        raise Invalid("split_incomplete", detail, field=field)
    for index in sorted(lost, key=lambda index: -lost[index])[:left]:
        units[index] += 1
