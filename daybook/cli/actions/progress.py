"""A progress bar with counts and the remaining time, on standard error.

Standard output holds the result alone, so that it can go into a file or a pipe.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the caller works; yield the function that moves it to (done, total)."""
    with phases() as shown:
        yield lambda done, total: shown(what, done, total)


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar whose label is the phase; yield the function that moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # A bar in a log file would be line ends only.
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)

        def shown(phase: str, done: int, total: int) -> None:
            bar.update(task, description=phase, completed=done, total=total)

        yield shown
