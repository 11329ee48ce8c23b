"""The arithmetic of the benchmarks."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.latency import Latency, latency
from benchmarks.measures.lag import Lags
from benchmarks.moves import recorded
from benchmarks.ratios import ratios
from benchmarks.result import QUICK, Row, Run
from benchmarks.usage import Usage


@pytest.mark.parametrize(
    "seconds, p50_ms, p99_ms, max_ms",
    [
        ([0.002], 2, 2, 2),
        ([0.003, 0.001], 1, 3, 3),
        ([number / 1000 for number in range(1, 101)], 50, 99, 100),
        ([number / 1000 for number in range(200, 0, -1)], 100, 198, 200),
    ],
)
def test_a_percentile_is_one_of_the_samples(
    seconds: list[float], p50_ms: float, p99_ms: float, max_ms: float
) -> None:
    """By nearest rank, in any order."""
    found = latency(seconds)
    assert (found.p50_ms, found.p99_ms, found.max_ms) == pytest.approx((p50_ms, p99_ms, max_ms))
    assert found.samples == len(seconds)


def test_nothing_has_no_percentiles() -> None:
    """A load that got no answer reports no latency, not zero milliseconds."""
    assert latency([]) == Latency(samples=0, p50_ms=None, p99_ms=None, max_ms=None)


def usage(**changed: object) -> Usage:
    """Return the usage of 2,000 events, with changes."""
    fields = {
        "seconds": 10.0,
        "events": 2_000,
        "wal_bytes": 4_000_000,
        "relations": {"events.daybook_events": 1_000_000, "read.entries": 1_000_000},
        "cpu_s": {"api": 3.6, "relay": 0.9, "postgres": 1.8, "valkey": 9.0, "sqs": 9.0},
        "memory_mb": {"api": 400.0, "relay": 100.0, "postgres": 900.0},
        "sqs": {
            "SendMessage": {"requests": 10.0, "billed": 40.0, "bytes": 2_000_000.0},
            "DeleteMessageBatch": {"requests": 10.0, "billed": 10.0},
        },
        "cache": {"commands": 2_000.0, "bytes in": 1_024_000.0, "bytes out": 1_024_000.0},
    }
    return Usage(**(fields | changed))  # type: ignore[arg-type]


def test_usage_since_a_moment_is_what_came_after_it() -> None:
    """Counts are differences, from 0 if they are new; memory is that of the later moment."""
    before = usage(sqs={}, relations={"events.daybook_events": 400_000}, memory_mb={"api": 1.0})
    since = usage(events=2_500, seconds=12.0).since(before)
    assert (since.events, since.seconds) == (500, 2.0)
    assert since.relations == {"events.daybook_events": 600_000, "read.entries": 1_000_000}
    assert since.sqs_total("requests") == 20
    assert since.memory_mb["api"] == 400


def test_ratios_are_of_measured_rows() -> None:
    """A peer that did not run, or whose rate is 0, has no ratio."""
    rows = [
        Row(key="tpcb", name="", figure=2_000.0),
        Row(key="turn-tpcb", name="", figure=1_500.0),
        Row(key="turn-singles", name="", figure=3_000.0),
        Row(key="recorder", name="", figure=0.0),
        Row(key="engine", name="", figure=9_000.0),
    ]
    run = Run(machine={}, started_at=datetime.now(UTC), seconds=0, sizes=QUICK, rows=rows)
    assert {(ratio.over, ratio.under): value for ratio, value in ratios(run)} == {
        ("turn-singles", "turn-tpcb"): 2.0,
        ("engine", "tpcb"): 4.5,
    }


def test_a_lag_is_never_reported_shorter_than_it_was() -> None:
    """A commit counts from the last sample without it; several commits in a sample count as one."""
    lags = Lags()
    lags.add_sample(0.0, 0.1, head=5, checkpoint=0)  # No sample before shows when 5 was committed.
    lags.add_sample(1.0, 1.1, head=7, checkpoint=5)
    lags.add_sample(2.0, 2.1, head=9, checkpoint=6)
    lags.add_sample(3.0, 3.1, head=9, checkpoint=7)
    lags.add_sample(4.0, 4.1, head=9, checkpoint=9)
    lag = lags.summary()
    assert lag.samples == 2
    assert (lag.p50_ms, lag.max_ms) == pytest.approx((3_100, 3_100))


CALLER = """
async def caller(called):
    called()
    called()
"""
CALLED = """
import json
def called():
    json.dumps([], indent=2)
"""


async def test_a_move_is_a_call_or_a_return_in_another_file(tmp_path: Path) -> None:
    """Two calls of one file in a row are one move there and one back; libraries do not count."""
    names: dict[str, Any] = {}
    for name, source in (("caller.py", CALLER), ("called.py", CALLED)):
        exec(compile(source, tmp_path / name, "exec"), names)  # noqa: S102 - a file of the test
    work: Awaitable[None] = names["caller"](names["called"])
    recorder = await recorded(work, tmp_path)
    assert recorder.files == ["caller.py", *["called.py"] * 4, "caller.py"]
    assert recorder.moves() == [("caller.py", "called.py"), ("called.py", "caller.py")]
