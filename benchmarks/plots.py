"""Draw the sweeps of a run as SVG: throughput and latency against the quantity that varies.

Each sweep is one file with two panels that share the horizontal axis: transfers a second above, and
the median and 99th percentile of the latency below. The points are evenly spaced, because their
values differ by orders of magnitude and one of them may be 0.
"""

from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.result import Run, Sweep

INCHES = (7.0, 5.5)
HEADROOM = 1.05
THROUGHPUT, MEDIAN, TAIL = "#1f5fa8", "#7a7a7a", "#b3421b"


def draw(run: Run, folder: Path) -> list[Path]:
    """Write one SVG for each sweep into `folder`; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    # Text stays text, and the same run gives the same bytes.
    rcParams["svg.fonttype"] = "none"
    rcParams["svg.hashsalt"] = "daybook"
    return [_drawn(sweep, run, folder / f"{sweep.key}.svg") for sweep in run.sweeps]


def _drawn(sweep: Sweep, run: Run, path: Path) -> Path:
    figure = Figure(INCHES, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    xs = range(len(sweep.points))
    above.plot(xs, [point.per_second for point in sweep.points], "o-", color=THROUGHPUT)
    above.set_ylabel("transfers/s")
    for name, color, latencies in (
        ("p50", MEDIAN, [point.latency.p50_ms for point in sweep.points]),
        ("p99", TAIL, [point.latency.p99_ms for point in sweep.points]),
    ):
        below.plot(xs, latencies, "o-", color=color, label=name)
    below.set_ylabel("ms")
    below.legend(frameon=False)
    for axes in (above, below):
        _plain(axes)
    below.set_xticks(xs, [f"{point.x:,}" for point in sweep.points])
    below.set_xlabel(sweep.varied)
    figure.suptitle(sweep.title, x=0.02, ha="left", fontsize="medium")
    machine = run.machine
    above.set_title(
        f"{machine['cores']} cores, {machine['model']}", loc="left", fontsize="small", color=MEDIAN
    )
    figure.savefig(path, metadata={"Date": None})
    return path


def _plain(axes: Axes) -> None:
    axes.set_ylim(0, axes.get_ylim()[1] * HEADROOM)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
