"""Print a run as a table: the figures, then their ratios."""

from rich.console import Console
from rich.table import Table

from benchmarks.ratios import ratios
from benchmarks.result import PER_SECOND, Row, Run

COLUMNS = 150
# These rows are compared with each other, not with the TPC-B row.
TURN = "turn-"


def show(run: Run) -> None:
    """Print the tables of a run."""
    if run.rows:
        _show_rows(run)
    if run.audit:
        _show_audit(run)


def _show_rows(run: Run) -> None:
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    table = Table(title=f"Daybook on this machine, in {run.seconds:,.0f} s", caption=machine)
    table.add_column()
    for column in ("figure", "", "× TPC-B", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    table.add_column("")
    base = run.row("tpcb")
    for row in run.rows:
        if not row.name.startswith(" "):
            table.add_section()
        table.add_row(*_cells(row, base.figure if base and not row.key.startswith(TURN) else None))
    table.add_section()
    for ratio, value in ratios(run):
        goal = f"goal ≥ {ratio.goal:g}" if ratio.goal else ""
        table.add_row(ratio.name, f"{value:.2f}", "×", "", "", "", goal)
    Console(width=COLUMNS).print(table)


def _show_audit(run: Run) -> None:
    table = Table(title="What auditing costs")
    table.add_column("transfers")
    for size in run.audit:
        table.add_column(f"{size:,}", justify="right")
    for name in next(iter(run.audit.values())):
        table.add_row(name, *(_number(of_size[name]) for of_size in run.audit.values()))
    Console(width=COLUMNS).print(table)


def _cells(row: Row, base: float | None) -> list[str]:
    figure, ratio = "", ""
    if row.figure is not None:
        figure = _number(row.figure)
        if row.unit == PER_SECOND and base:
            ratio = f"{row.figure / base:.2f}"
    percentiles = (row.latency.p50_ms, row.latency.p99_ms)
    return [row.name, figure, row.unit, ratio, *map(_milliseconds, percentiles), row.note]


def _number(value: float) -> str:
    """Return the number with about three significant digits."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    decimals = 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:.{decimals}f}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else _number(value)
