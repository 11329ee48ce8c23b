"""The results of a run, as its JSON and its table show them."""

from datetime import datetime

import msgspec

from benchmarks.latency import Latency
from benchmarks.usage import Usage

PER_SECOND = "/s"


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The durations and amounts of a run.

    `log_transfers` are the lengths of the logs whose rates are compared. The measures that run in
    turn have `turns` turns of `turn_s` seconds each.
    """

    seconds: int
    warm_up_s: int
    batch_transfers: int
    engine_transfers: int
    log_transfers: list[int]
    idle_s: int
    overload_s: int
    peer_s: int
    turns: int
    turn_s: int
    point_s: int
    audited_transfers: list[int]


FULL = Sizes(
    seconds=20,
    warm_up_s=5,
    batch_transfers=100_000,
    engine_transfers=1_000_000,
    log_transfers=[1_000_000],
    idle_s=20,
    overload_s=10,
    peer_s=10,
    turns=8,
    turn_s=4,
    point_s=5,
    audited_transfers=[100_000],
)
QUICK = Sizes(
    seconds=2,
    warm_up_s=1,
    batch_transfers=10_000,
    engine_transfers=10_000,
    log_transfers=[],
    idle_s=2,
    overload_s=2,
    peer_s=1,
    turns=1,
    turn_s=1,
    point_s=1,
    audited_transfers=[],
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: a figure in its unit, found by its `key`."""

    key: str
    name: str
    figure: float | None = None
    unit: str = PER_SECOND
    latency: Latency = Latency()
    note: str = ""


class Point(msgspec.Struct, frozen=True):
    """The transfers a second and the latency at one value, `x`, of the quantity that is varied."""

    x: int
    per_second: float
    latency: Latency


class Sweep(msgspec.Struct, frozen=True):
    """A series of measures in which only one quantity varies."""

    key: str
    title: str
    varied: str
    points: list[Point]


class Run(msgspec.Struct, kw_only=True):
    """A whole run. `usage` holds the resources that a load used, by the key of its row."""

    machine: dict[str, str]
    started_at: datetime
    seconds: float
    sizes: Sizes
    rows: list[Row] = []
    usage: dict[str, Usage] = {}
    sweeps: list[Sweep] = []
    audit: dict[int, dict[str, float]] = {}

    def row(self, key: str) -> Row | None:
        """Return the row of this key, if it was measured."""
        return next((row for row in self.rows if row.key == key), None)
