"""Single transfers and their peers, measured in turn, a few seconds each.

The speed of shared machines changes by half within minutes. So the rates that goals compare are not
measured minutes apart: each contender runs for a few seconds, and all take several turns.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks import environment
from benchmarks.environment import Bench
from benchmarks.loads.tally import Outcome
from benchmarks.measures import singles
from benchmarks.peers import pgledger, tpcb
from benchmarks.processes import run_module
from benchmarks.result import Row, Sizes

WARM_UP_S = 1


class Contender(msgspec.Struct, frozen=True):
    """One of the compared programs; `press` runs it for some seconds and returns its rate."""

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
    outcome = await run_module(
        singles.LOAD, singles.load_options(bench, seconds, WARM_UP_S), Outcome
    )
    await environment.wait_for_readers(bench)
    return outcome.per_second


TPCB = Contender("turn-tpcb", "in turn: pgbench TPC-B", _tpcb)
PGLEDGER = Contender("turn-pgledger", "  pgledger, a transfer a call", _pgledger)
SINGLES = Contender("turn-singles", "  HTTP, a transfer a request, 64 connections", _singles)


async def measure(bench: Bench, files: Sequence[Path], sizes: Sizes) -> list[Row]:
    """Return the mean rate of each contender; pgledger takes part if its `files` were given.

    The peers begin with new databases, so that no vacuum of earlier measures slows them down.
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
        both.reverse()  # So that none always runs after the same one.
    if files:
        await pgledger.drop(bench)
    return [_row(c, of_c, sizes) for c, of_c in zip(contenders, figures, strict=True)]


def _row(contender: Contender, figures: Sequence[float], sizes: Sizes) -> Row:
    note = f"{sizes.turns} × {sizes.turn_s} s; {min(figures):,.0f} to {max(figures):,.0f}"
    mean = sum(figures) / len(figures)
    return Row(key=contender.key, name=contender.name, figure=mean, note=note)
