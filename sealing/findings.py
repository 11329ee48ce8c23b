"""What a verification can find, in stable kinds and in words for whoever keeps the books. Pure."""

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
