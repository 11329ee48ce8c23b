"""How fast the line moves, measured, to know how long somebody would wait in it.

A commit counts the less the longer ago it was, and one that takes longer than usual counts at once:
when PostgreSQL stalls, who comes behind others is turned away, and for longer.
"""

from math import ceil

# A commit counts for one in so many: the last handful decide.
COMMITS_COUNTED = 3
RETRY_AFTER_S_MIN = 1
RETRY_AFTER_S_MAX = 30


class Pace:
    """How long a commit takes. Times are by a clock that only goes forward, in seconds."""

    def __init__(self, commit_max: int) -> None:
        self._commit_max = commit_max
        self._usual_s: float | None = None
        self._began_s: float | None = None

    def begin(self, now_s: float) -> None:
        """See a commit begin."""
        self._began_s = now_s

    def end(self, now_s: float, transactions: int) -> None:
        """See it end: how long so many took, as if there had been no more than usual.

        With none, nothing was committed, and nothing is learnt.
        """
        assert self._began_s is not None
        took_s = (now_s - self._began_s) / max(1, transactions / self._commit_max)
        self._began_s = None
        if not transactions:
            return
        usual_s = took_s if self._usual_s is None else self._usual_s
        self._usual_s = usual_s + (took_s - usual_s) / COMMITS_COUNTED

    def wait_s(self, before: int, now_s: float) -> float:
        """Return how long `before` transactions will take: full commits, for they would be."""
        under_way_s = 0 if self._began_s is None else now_s - self._began_s
        transaction_s = max(self._usual_s or 0, under_way_s) / self._commit_max
        return before * transaction_s

    def retry_after_s(self, before: int, now_s: float) -> int:
        """Return the same in whole seconds that a client may be told."""
        return min(max(RETRY_AFTER_S_MIN, ceil(self.wait_s(before, now_s))), RETRY_AFTER_S_MAX)
