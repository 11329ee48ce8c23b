"""What a run measured, as its JSON holds it and its table shows it."""

import msgspec


class Sizes(msgspec.Struct, frozen=True):
    """How long and how much."""

    seconds: int
    warm_up_s: int
    engine_transfers: int
    batch_transfers: int


FULL = Sizes(seconds=20, warm_up_s=5, engine_transfers=200_000, batch_transfers=100_000)
QUICK = Sizes(seconds=6, warm_up_s=2, engine_transfers=30_000, batch_transfers=20_000)


class Row(msgspec.Struct):
    """One line of the result; `ratio` is to pgbench TPC-B."""

    name: str
    per_second: float | None
    ratio: float | None
    p50_ms: float | None = None
    p99_ms: float | None = None
    note: str = ""
