"""The commit rate: what a client is told follows the time of commits, and keeps its bounds."""

import pytest

from command_side.writer.commit_rate import RETRY_AFTER_S_MAX, CommitRate

COMMIT = 100


def after(*seconds: float) -> CommitRate:
    """Return the rate at time 0, after commits that took so long."""
    rate = CommitRate(COMMIT)
    for each in seconds:
        rate.began_s = -each
        rate.end(0, COMMIT)
    return rate


@pytest.mark.parametrize(
    "seconds, before, wait_s, retry_after_s",
    [
        ((), 1_000, 0.0, 1),
        ((0.5,), 0, 0.0, 1),
        ((0.5,), 100, 0.5, 1),
        ((0.5, 0.5), 1_000, 5.0, 5),
        ((0.5,), 1_001, 5.005, 6),
        ((0.5,), 1_000_000, 5_000.0, RETRY_AFTER_S_MAX),
    ],
)
def test_who_waits_is_told_how_long_full_commits_take(
    seconds: tuple[float, ...], before: int, wait_s: float, retry_after_s: int
) -> None:
    """In whole seconds, at least one, and never more than half a minute."""
    rate = after(*seconds)
    assert rate.wait_s(before, 0) == pytest.approx(wait_s)
    assert rate.retry_after_s(before, 0) == retry_after_s


def test_what_has_changed_is_soon_forgotten() -> None:
    """A dozen quick commits after a slow one, and the slow one hardly counts."""
    rate = after(10.0, *[0.1] * 12)
    assert rate.wait_s(COMMIT, 0) < 0.3


def test_a_commit_that_does_not_end_counts_at_once() -> None:
    """It is not over before it is over; a quick one under way changes nothing."""
    rate = after(0.1)
    rate.began_s = 0
    assert rate.wait_s(COMMIT, 0.05) == pytest.approx(0.1)
    assert rate.wait_s(COMMIT, 7) == pytest.approx(7)
    rate.end(7, COMMIT)
    assert rate.wait_s(COMMIT, 7) > 1


def test_a_large_commit_counts_by_its_size() -> None:
    """One atomic request of ten commits' size that took ten times as long changes nothing."""
    rate = after(0.1)
    rate.began_s = 0
    rate.end(1, 10 * COMMIT)
    assert rate.wait_s(COMMIT, 1) == pytest.approx(0.1)


def test_nothing_is_learnt_where_nothing_was_committed() -> None:
    """All too late, or answered by Valkey: that is quick, and says nothing of commits."""
    rate = after(2.0)
    rate.began_s = 0
    rate.end(0.001, 0)
    assert rate.wait_s(COMMIT, 1) == pytest.approx(2.0)
