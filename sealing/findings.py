"""What a verification can find, in stable kinds and in words for a bookkeeper. Pure."""

from datetime import datetime
from enum import StrEnum

import msgspec

FINDINGS_MAX = 1_000


class FindingKind(StrEnum):
    """Kinds are stable: programs may rely on them."""

    # The log against its seal.
    EVENT_ALTERED = "event_altered"
    EVENT_MOVED = "event_moved"
    EVENT_MISSING = "event_missing"
    LOG_TRUNCATED = "log_truncated"
    POSITION_GAP = "position_gap"
    HEAD_MISMATCH = "head_mismatch"
    TIME_REVERSED = "time_reversed"
    # The seal against itself, and against what left the box.
    TILE_ALTERED = "tile_altered"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_UNREADABLE = "checkpoint_unreadable"
    SIGNATURE_INVALID = "signature_invalid"
    HISTORY_REWRITTEN = "history_rewritten"
    SECRET_MISSING = "secret_missing"  # noqa: S105 - a kind
    # What should have prevented it.
    TRIGGERS_DISABLED = "triggers_disabled"
    TRIGGER_ALTERED = "trigger_altered"
    RIGHTS_EXCESSIVE = "rights_excessive"
    # A receipt.
    RECEIPT_CONTRADICTED = "receipt_contradicted"
    RECEIPT_SIGNATURE_INVALID = "receipt_signature_invalid"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is not as it should be.

    `position` is the first event that diverges, as far as it can be told; with `position_last` it
    is known only that it lies between the two. `where` names the place of what contradicts.
    """

    kind: FindingKind
    explanation: str
    position: int | None = None
    position_last: int | None = None
    where: str | None = None
    expected: str | None = None
    actual: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification of the whole log came to.

    `events` were hashed again, of which the first `sealed` are under a seal; the others came since.
    The first `FINDINGS_MAX` findings are listed, all are counted.
    """

    events: int
    sealed: int
    tiles: int
    checkpoints: int
    checkpoints_off_the_box: int
    finding_count: int
    findings: list[Finding]

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return self.finding_count == 0

    @property
    def position(self) -> int | None:
        """The first position that diverges."""
        return min((each.position for each in self.findings if each.position), default=None)


class Findings:
    """What was found so far: all are counted, the first ones kept."""

    def __init__(self) -> None:
        self.count = 0
        self.listed: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count one, and keep it if there is room."""
        self.count += 1
        if len(self.listed) < FINDINGS_MAX:
            self.listed.append(finding)


def rewritten(after: int, size: int, where: str) -> Finding:
    """Return that a signed checkpoint is of another history, which differs after a position."""
    return Finding(
        kind=FindingKind.HISTORY_REWRITTEN,
        position=after + 1,
        position_last=size,
        where=where,
        explanation=(
            f"{where} was signed for another history: the first event that differs is at one of "
            f"the positions {after + 1} to {size}."
        ),
    )


def time_reversed(position: int, at: datetime, last_at: datetime) -> Finding:
    """Return that an event was recorded before the one in front of it."""
    return Finding(
        kind=FindingKind.TIME_REVERSED,
        position=position,
        expected=f"not before {last_at.isoformat()}",
        actual=at.isoformat(),
        explanation=(
            f"The event at position {position} says that it was recorded before the one in front "
            "of it. Daybook never writes that."
        ),
    )


def head_mismatch(end: int, head: int | None) -> Finding:
    """Return that the head of the log is not where the log ends."""
    return Finding(
        kind=FindingKind.HEAD_MISMATCH,
        position=min(end, head or 0) + 1,
        expected=str(end),
        actual=str(head),
        explanation=(
            f"The log ends at position {end}, and its head says {head}: events were removed or "
            "added behind Daybook's back."
        ),
    )


def checkpoint_missing(sealed: int, size: int) -> Finding:
    """Return that the tree and the database's last checkpoint are of different sizes."""
    return Finding(
        kind=FindingKind.CHECKPOINT_MISSING,
        expected=str(sealed),
        actual=str(size),
        explanation=(
            f"The tree has {sealed} events, and the database's last checkpoint is of {size}: one "
            "of the two was cut off or added to."
        ),
    )


def truncated(end: int, size: int, where: str) -> Finding:
    """Return that events were removed from the end of the log."""
    return Finding(
        kind=FindingKind.LOG_TRUNCATED,
        position=end + 1,
        position_last=size,
        where=where,
        expected=str(size),
        actual=str(end),
        explanation=(
            f"The log ends at position {end}, and {where} is of {size} events: the last "
            f"{size - end} were removed."
        ),
    )


def gap(first: int, last: int) -> Finding:
    """Return that positions are missing."""
    return Finding(
        kind=FindingKind.POSITION_GAP,
        position=max(first, 1),
        position_last=max(first, last),
        explanation=(
            f"Positions have no gaps and begin at 1, and from {first} to {last} they do not."
        ),
    )


def no_secret() -> Finding:
    """Return that nothing can be compared."""
    return Finding(
        kind=FindingKind.SECRET_MISSING,
        explanation=(
            "The secret of the leaves' salts is gone, so nothing can be compared. Restore it "
            "(seal.secret) from a backup."
        ),
    )
