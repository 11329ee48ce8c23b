"""A run as tables on the terminal."""

from rich.console import Console
from rich.table import Table

from benchmarks.result import Row

COLUMNS = 120


def show_rows(rows: list[Row], machine: str) -> None:
    """Print what was measured, and its ratio to pgbench TPC-B."""
    table = Table(title="Daybook on this machine", caption=machine)
    for column in ("", "per second", "× TPC-B", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row.name,
            "" if row.per_second is None else f"{row.per_second:,.0f}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.p50_ms is None else f"{row.p50_ms:.1f}",
            "" if row.p99_ms is None else f"{row.p99_ms:.1f}",
            row.note,
        )
    Console(width=COLUMNS).print(table)


def show_audit(figures: dict[int, dict[str, float]], machine: str) -> None:
    """Print what auditing costs, by the length of the log."""
    table = Table(title="Auditing on this machine", caption=machine)
    table.add_column("transfers")
    for size in figures:
        table.add_column(f"{size:,}", justify="right")
    for name in next(iter(figures.values())):
        values = (of_size[name] for of_size in figures.values())
        table.add_row(
            name, *(f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values)
        )
    Console(width=COLUMNS).print(table)
