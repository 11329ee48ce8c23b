"""The CPU of a piece of work: this process's, and that of another one that serves it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

_ALL_THREADS = 2


class Spent(msgspec.Struct):
    """CPU seconds of ours and of theirs; added to by every piece of work."""

    own_s: float = 0.0
    other_s: float = 0.0

    def own_us(self, count: int) -> float:
        """Return ours for each of `count`, in microseconds."""
        return 1e6 * self.own_s / count

    def other_us(self, count: int) -> float:
        """Return theirs for each of `count`, in microseconds."""
        return 1e6 * self.other_s / count


@contextmanager
def spending(spent: Spent, other: int | None = None) -> Iterator[None]:
    """Add what this process, and the process `other`, spend while the context is open."""
    own_s, other_s = time.process_time(), _cpu_s(other)
    try:
        yield
    finally:
        spent.own_s += time.process_time() - own_s
        spent.other_s += _cpu_s(other) - other_s


def _cpu_s(pid: int | None) -> float:
    """Return the CPU of all threads of a process, to the nanosecond.

    What psutil reads counts in hundredths of a second, longer than most pieces of work. This is
    the clock that clock_getcpuclockid(3) gives on Linux: its number is made of the process's.
    """
    if pid is None:
        return 0.0
    return time.clock_gettime(~pid << 3 | _ALL_THREADS)
