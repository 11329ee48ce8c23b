"""How far long work is, on standard error: a bar, how much of how much, and how long it will take.

Standard output is for the result alone, so that it can go into a file or a pipe.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def shown(work: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the caller works; it goes on by calling what it gets with (done, total)."""
    columns = (TextColumn(work), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # In a log file a bar is nothing but line ends.
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(work)
        yield lambda done, total: bar.update(task, completed=done, total=total)
