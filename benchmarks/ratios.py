"""The ratios within one run for which the project has goals. Nothing is asserted."""

import msgspec

from benchmarks.result import Run


class Ratio(msgspec.Struct, frozen=True):
    """The figure of the row `over` divided by that of the row `under`; 0 means no goal."""

    name: str
    over: str
    under: str
    goal: float


RATIOS = (
    Ratio("HTTP singles ÷ TPC-B, in turn", "turn-singles", "turn-tpcb", 1.2),
    Ratio("HTTP singles ÷ pgledger's singles, in turn", "turn-singles", "turn-pgledger", 2),
    Ratio("HTTP batches of 5,000 ÷ TPC-B", "batch-5000", "tpcb", 5),
    Ratio("HTTP batches of 5,000 ÷ pgledger's singles", "batch-5000", "pgledger", 10),
    Ratio("HTTP batches of 5,000 ÷ pgledger's arrays", "batch-5000", "pgledger-array", 3),
    Ratio("engine ÷ TPC-B", "engine", "tpcb", 8),
    Ratio("engine ÷ eventsourcing's recorder", "engine", "recorder", 30),
    Ratio("HTTP singles, 2 accounts ÷ 10,000", "singles-hot", "singles", 0.9),
    Ratio("HTTP batches of 500, 2 accounts ÷ 10,000", "batch-500-hot", "batch-500", 0.9),
    Ratio("HTTP batches of 500, audited and sealed ÷ not", "batch-500-audited", "batch-500", 0),
    Ratio("engine at the longest log ÷ at an empty one", "engine-long", "engine", 0.9),
    Ratio(
        "overload, 2,000 connections ÷ closed loop", "overload-2000", "overload-2000-beside", 0.9
    ),
    Ratio(
        "overload, 4,000 connections ÷ closed loop", "overload-4000", "overload-4000-beside", 0.9
    ),
)


def ratios(run: Run) -> list[tuple[Ratio, float]]:
    """Return the ratios whose figures were both measured."""
    figures = {row.key: row.figure for row in run.rows}
    found = []
    for ratio in RATIOS:
        over, under = figures.get(ratio.over), figures.get(ratio.under)
        if over is not None and under:
            found.append((ratio, over / under))
    return found
