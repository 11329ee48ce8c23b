"""Single transfers and what they are compared with, in turn, a few seconds each.

Machines drift by half within minutes, and not everything on them alike. So what goals compare is
not measured minutes apart: each is pressed for a few seconds, all of them again and again.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks import service
from benchmarks.children import told
from benchmarks.loads.tally import Outcome
from benchmarks.measures import singles
from benchmarks.peers import pgledger, tpcb
from benchmarks.result import Row, Sizes
from benchmarks.service import Bench

WARM_UP_S = 1


class Contender(msgspec.Struct, frozen=True):
    """Whose turn it may be; `press` does it for so many seconds, and returns how many a second."""

    key: str
    name: str
    press: Callable[[Bench, int], Awaitable[float]]


async def _tpcb(bench: Bench, seconds: int) -> float:
    tps, _ = await tpcb.press(bench, seconds, WARM_UP_S)
    return tps


async def _pgledger(bench: Bench, seconds: int) -> float:
    tps, _ = await pgledger.press(bench, pgledger.SINGLES, seconds, WARM_UP_S)
    return tps


async def _singles(bench: Bench, seconds: int) -> float:
    outcome = await told(singles.LOAD, singles.asked(bench, seconds, WARM_UP_S), Outcome)
    await service.everybody_at_the_head(bench)
    return outcome.per_second


TPCB = Contender("turn-tpcb", "in turn: pgbench TPC-B", _tpcb)
PGLEDGER = Contender("turn-pgledger", "  pgledger, a transfer a call", _pgledger)
SINGLES = Contender("turn-singles", "  HTTP, a transfer a request, 64 connections", _singles)


async def measure(bench: Bench, files: Sequence[Path], sizes: Sizes) -> list[Row]:
    """Return the mean of each one's turns; pgledger takes part if its `files` were given.

    Peers begin with new databases: what was left to vacuum of others would be counted as theirs.
    """
    await tpcb.prepare(bench)
    if files:
        await pgledger.prepare(bench, files)
    contenders = [TPCB, PGLEDGER, SINGLES] if files else [TPCB, SINGLES]
    figures: list[list[float]] = [[] for _ in contenders]
    both = list(zip(contenders, figures, strict=True))
    for _ in range(sizes.turns):
        for contender, of_contender in both:
            of_contender.append(await contender.press(bench, sizes.turn_s))
        both.reverse()  # Nobody always comes after the same one.
    if files:
        await pgledger.drop(bench)
    return [_row(c, of_c, sizes) for c, of_c in zip(contenders, figures, strict=True)]


def _row(contender: Contender, figures: Sequence[float], sizes: Sizes) -> Row:
    note = f"{sizes.turns} × {sizes.turn_s} s; {min(figures):,.0f} to {max(figures):,.0f}"
    mean = sum(figures) / len(figures)
    return Row(key=contender.key, name=contender.name, figure=mean, note=note)
