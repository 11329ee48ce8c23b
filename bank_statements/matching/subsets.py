"""Which amounts add up to another: exact, bounded, and only if there is no second way. Pure.

The search for a subset is exponential by nature, so it is bounded: at most 40 parts, sums of at
most 8 of them, at most 20,000 steps. Where it is cut off there is no answer, since another way
might have been found.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

PARTS_MAX = 40
LOOKED_AT_MAX = 200
CHOSEN_MAX = 8
STEPS_MAX = 20_000


class Found(NamedTuple):
    """The places of the parts that add up, if there is one way only; and how long it took."""

    places: list[int] | None
    steps: int


class Dated(Protocol):
    """Something of a day, with a signed amount."""

    @property
    def booked_on(self) -> date:
        """The day."""

    @property
    def amount(self) -> int:
        """Signed minor units."""


Part = TypeVar("Part", bound=Dated)


def only_sum(amounts: Sequence[int], whole: int) -> Found:
    """Return which of `amounts`, two or more of one sign, make `whole`, if just one way does."""
    sign = 1 if whole > 0 else -1
    order = sorted(range(len(amounts)), key=lambda place: -sign * amounts[place])
    sizes = [sign * amounts[place] for place in order]
    if len(sizes) > PARTS_MAX or any(size <= 0 for size in sizes) or sum(sizes) < sign * whole:
        return Found(None, 1)
    rest = [0] * (len(sizes) + 1)
    for place in range(len(sizes) - 1, -1, -1):
        rest[place] = rest[place + 1] + sizes[place]
    ways: list[tuple[int, ...]] = []
    # Each of the branches to look at: the next place, what is still missing, what was chosen.
    branches: list[tuple[int, int, tuple[int, ...]]] = [(0, sign * whole, ())]
    steps = 0
    while branches and steps < STEPS_MAX and len(ways) < 2:  # noqa: PLR2004 - two are one too many
        steps += 1
        place, missing, chosen = branches.pop()
        if missing == 0:
            ways.append(chosen)
        elif missing <= rest[place] and missing <= (CHOSEN_MAX - len(chosen)) * sizes[place]:
            branches.append((place + 1, missing, chosen))
            if sizes[place] <= missing:
                branches.append((place + 1, missing - sizes[place], (*chosen, place)))
    if len(ways) != 1 or branches or len(ways[0]) == 1:
        return Found(None, steps)
    return Found(sorted(order[place] for place in ways[0]), steps)


def parts_of(days: Sequence["Day[Part]"], whole: int) -> list[Part]:
    """Return what could be a part of `whole`; nothing if there is too much to look at."""
    if sum(len(day.parts) for day in days) > LOOKED_AT_MAX:
        return []
    return [
        part
        for day in days
        for part in day.parts
        if (part.amount > 0) == (whole > 0) and abs(part.amount) < abs(whole)
    ]


def between(ordered: Sequence[int], least: int, most: int) -> Sequence[int]:
    """Return those of some ordered amounts that lie between two, both included."""
    return ordered[bisect_left(ordered, least) : bisect_right(ordered, most)]


class Day(Generic[Part]):
    """What is left of a day, and its sums: of what comes in, and of what goes out."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._sums = {True: 0, False: 0}

    def add(self, part: Part, times: int = 1) -> None:
        """Add a part to the sums; with -1 take it away."""
        self._sums[part.amount > 0] += times * part.amount

    def all_of(self, whole: int) -> list[Part] | None:
        """Return all of its parts, or all that go the same way, if they make `whole`."""
        if sum(self._sums.values()) == whole:
            return list(self.parts)
        if self._sums[whole > 0] == whole:
            return [part for part in self.parts if (part.amount > 0) == (whole > 0)]
        return None


class ByDay(Generic[Part]):
    """Parts by their day, to be found near a day and to be taken away."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._days: dict[date, Day[Part]] = defaultdict(Day)
        for part in parts:
            self._days[part.booked_on].parts.append(part)
            self._days[part.booked_on].add(part)

    def near(self, day: date, days: int) -> list[Day[Part]]:
        """Return what is left near a day, the nearest days first."""
        away = sorted(range(-days, days + 1), key=lambda each: (abs(each), each))
        around = (day + timedelta(days=each) for each in away)
        return [self._days[each] for each in around if each in self._days]

    def remove(self, parts: Iterable[Part]) -> None:
        """Take parts away."""
        for part in parts:
            self._days[part.booked_on].parts.remove(part)
            self._days[part.booked_on].add(part, -1)
