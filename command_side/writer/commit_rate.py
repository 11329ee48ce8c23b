"""The measured time of a commit, to tell how long a request would wait in the queue.

The older a commit is, the less it counts. A commit that takes longer than usual counts at once:
while PostgreSQL stalls, requests behind others are turned away, and told to come back later.
"""

from math import ceil

# The weight of the newest commit is one in so many, so the last handful decide.
COMMITS_COUNTED = 3
RETRY_AFTER_S_MIN = 1
RETRY_AFTER_S_MAX = 30


class CommitRate:
    """How long a commit takes. Times are in seconds, by a clock that only goes forward.

    `began_s` is when the commit under way began, or None.
    """

    def __init__(self, commit_max: int) -> None:
        self.began_s: float | None = None
        self._commit_max = commit_max
        self._usual_s: float | None = None

    def end(self, now_s: float, transactions: int) -> None:
        """Learn how long the commit took.

        If it had more transactions than a commit usually may, its time counts in proportion. If it
        had none, nothing was committed, and nothing is learnt.
        """
        assert self.began_s is not None
        took_s = (now_s - self.began_s) / max(1, transactions / self._commit_max)
        self.began_s = None
        if not transactions:
            return
        usual_s = took_s if self._usual_s is None else self._usual_s
        self._usual_s = usual_s + (took_s - usual_s) / COMMITS_COUNTED

    def wait_s(self, before: int, now_s: float) -> float:
        """Return how long `before` transactions will take, in full commits."""
        under_way_s = 0 if self.began_s is None else now_s - self.began_s
        transaction_s = max(self._usual_s or 0, under_way_s) / self._commit_max
        return before * transaction_s

    def retry_after_s(self, before: int, now_s: float) -> int:
        """Return the same in whole seconds, for a `Retry-After` header."""
        return min(max(RETRY_AFTER_S_MIN, ceil(self.wait_s(before, now_s))), RETRY_AFTER_S_MAX)
