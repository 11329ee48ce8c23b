"""The tables of docs/performance.md, "Stage by stage", from the JSON of a run.

python -m benchmarks.stages.written .bench/stages.json
"""

import os
import sys
from pathlib import Path

import msgspec

from benchmarks.result import Run
from benchmarks.stages.budget import Budget, Stage
from benchmarks.stages.shown import PROCESSES, conclusions


def markdown(run: Run, cores: int) -> str:
    """Return one table for both loads, what each comes to, and the limits of no stage."""
    base = run.row("tpcb")
    assert base is not None
    assert base.figure is not None
    lines = _table(run.budgets)
    for budget in run.budgets:
        lines += ["", f"{budget.title}:", ""]
        lines += [f"- {line}" for line in conclusions(budget, base.figure, cores)]
    lines += ["", "| alone, of no stage above | µs a transfer |", "|---|---:|"]
    lines += [f"| {limit.name} | {limit.us:.1f} |" for limit in run.limits if not limit.stages]
    return "\n".join(lines)


def _table(budgets: list[Budget]) -> list[str]:
    heads = [f"{budget.title}: µs | × limit | bytes" for budget in budgets]
    lines = [
        f"| CPU of | limit, µs | {' | '.join(heads)} |",
        f"|---|{'---:|' * (1 + 3 * len(budgets))}",
    ]
    for process, name in PROCESSES.items():
        sums = [
            sum(stage.us for stage in budget.stages if stage.process == process)
            for budget in budgets
        ]
        lines.append(_sum(name, sums))
        each = [[stage for stage in b.stages if stage.process == process] for b in budgets]
        lines += [_row(stages) for stages in zip(*each, strict=True)]
    return [*lines, _sum("together", [budget.total_us for budget in budgets])]


def _sum(name: str, sums: list[float]) -> str:
    return f"| **{name}** | | " + " ".join(f"**{us:.1f}** | | |" for us in sums)


def _row(stages: tuple[Stage, ...]) -> str:
    limit = next((stage.limit_us for stage in stages if stage.limit_us is not None), None)
    cells = [stages[0].name, "" if limit is None else f"{limit:.1f}"]
    for stage in stages:
        times = stage.us / stage.limit_us if stage.limit_us else None
        cells += [
            f"{stage.us:.1f}",
            "" if times is None else f"{times:.1f}",
            "" if not stage.bytes else f"{stage.bytes:,.0f}",
        ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    measured = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Run)
    print(markdown(measured, os.cpu_count() or 1))
