"""How fast the line moves, measured, to know how long somebody would wait in it.

A commit counts the less the longer ago it was, and one that takes longer than usual counts at once:
when PostgreSQL stalls, who comes behind others is turned away, and for longer.
"""

from math import ceil

# What a commit still counts when the next one has ended: the last handful decide.
KEPT = 0.8
RETRY_AFTER_S_MIN = 1
RETRY_AFTER_S_MAX = 30


class Pace:
    """How long a commit takes. Times are by a clock that only goes forward, in seconds."""

    def __init__(self, commit_max: int) -> None:
        self._commit_max = commit_max
        self._seconds = 0.0
        self._commits = 0.0
        self._began_s: float | None = None

    def begin(self, now_s: float) -> None:
        """See a commit begin."""
        self._began_s = now_s

    def end(self, now_s: float) -> None:
        """See it end."""
        assert self._began_s is not None
        self._seconds = self._seconds * KEPT + now_s - self._began_s
        self._commits = self._commits * KEPT + 1
        self._began_s = None

    def wait_s(self, before: int, now_s: float) -> float:
        """Return how long `before` transactions will take: full commits, for they would be."""
        usual_s = self._seconds / self._commits if self._commits else 0.0
        under_way_s = 0.0 if self._began_s is None else now_s - self._began_s
        return before / self._commit_max * max(usual_s, under_way_s)

    def retry_after_s(self, before: int, now_s: float) -> int:
        """Return the same in whole seconds that a client may be told."""
        return min(max(RETRY_AFTER_S_MIN, ceil(self.wait_s(before, now_s))), RETRY_AFTER_S_MAX)
