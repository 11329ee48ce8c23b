"""The budgets as tables on the terminal: what a transfer takes, and what it would take at least."""

import os

from rich.console import Console
from rich.table import Table

from benchmarks.result import Run
from benchmarks.stages.budget import Budget

COLUMNS = 110
PROCESSES = {
    "api": "API",
    "relay": "relay",
    "project": "projector",
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
    "sqs": "SQS API",
}


def show(run: Run) -> None:
    """Print both budgets, what they come to, and every limit."""
    console = Console(width=COLUMNS)
    base = run.row("tpcb")
    assert base is not None
    assert base.figure is not None
    for budget in run.budgets:
        console.print(_table(budget))
        for line in conclusions(budget, base.figure, os.cpu_count() or 1):
            console.print(line)
        console.print()
    console.print(_limits(run))


def conclusions(budget: Budget, tpcb: float, cores: int) -> list[str]:
    """Return what the table comes to, in words; rates are of this machine's cores, all busy."""

    def rate(per_second: float) -> str:
        return f"{per_second:,.0f}/s, {per_second / tpcb:.2f} × TPC-B"

    def possible(us: float) -> str:
        return f"{us:.1f} µs, {rate(1e6 * cores / us)} on {cores} cores"

    unnamed = budget.unnamed_us / budget.total_us
    lines = [
        f"TPC-B {tpcb:,.0f}/s. Measured over {budget.transfers:,}: {rate(budget.per_second)}.",
        f"All processes take {possible(budget.total_us)}.",
        f"With each limit reached they would take {possible(budget.least_us)}.",
        f"The limits alone are {possible(budget.limits_us)}.",
        f"Of no known stage are {budget.unnamed_us:.1f} µs, {unnamed:.1%}.",
    ]
    if budget.generator_us is not None:
        lines.append(f"The generator takes {budget.generator_us:.1f} µs beside, of the same cores.")
    if all(stage.bytes is None for stage in budget.stages if stage.process == "postgres"):
        lines.append("No bytes: this PostgreSQL does not load pg_stat_statements.")
    return lines


def _table(budget: Budget) -> Table:
    table = Table(title=budget.title)
    table.add_column("process")
    table.add_column("stage")
    for column in ("µs", "bytes", "limit µs", "×"):
        table.add_column(column, justify="right")
    for process, name in PROCESSES.items():
        stages = [stage for stage in budget.stages if stage.process == process]
        table.add_section()
        total = sum(stage.us for stage in stages)
        table.add_row(name, "", f"{total:.1f}", style="bold")
        for stage in stages:
            limit = stage.limit_us
            table.add_row(
                "",
                stage.name,
                f"{stage.us:.1f}",
                "" if stage.bytes is None else f"{stage.bytes:,.0f}",
                "" if limit is None else f"{limit:.1f}",
                f"{stage.us / limit:.1f}" if limit and limit > 0 else "",
            )
    table.add_section()
    table.add_row("together", "", f"{budget.total_us:.1f}", "", f"{budget.limits_us:.1f}", "")
    return table


def _limits(run: Run) -> Table:
    table = Table(title="What each stage takes alone")
    table.add_column("")
    table.add_column("µs a transfer", justify="right")
    table.add_column("a second, on one core", justify="right")
    for limit in run.limits:
        rate = f"{1e6 / limit.us:,.0f}" if limit.us > 0 else ""
        table.add_row(limit.name, f"{limit.us:.2f}", rate)
    return table
