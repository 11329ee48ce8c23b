"""Fold: how a transaction stands, once it no longer stands as its first event says. Pure."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events.types import (
    FIRST_VERSION,
    HoldExpired,
    HoldVoided,
    Kind,
    Posting,
    Recorded,
    Stage,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
)


class Standing(msgspec.Struct):
    """A row of `read.standings`, field by column. Changed in place, as balances are.

    `used` is how much of each posting, in minor units, was refunded or captured.
    """

    transaction_id: UUID
    stage: Stage
    used: list[int] = msgspec.field(default_factory=list)
    code: str | None = None
    detail: str | None = None
    position: int = 0
    changed_at: datetime | None = None

    def use(self, postings: Sequence[Posting]) -> None:
        """Count what `postings` refund or capture."""
        for posting in postings:
            self.used += [0] * (posting.line + 1 - len(self.used))
            self.used[posting.line] += posting.amount_minor


def changed_by(recorded: Recorded) -> UUID | None:
    """Return the transaction whose standing the event changes, if any."""
    event = recorded.event
    later = None if recorded.version == FIRST_VERSION else recorded.originator_id
    match event:
        case TransferPosted():
            return event.about or later
        case HoldVoided() | TransferCancelled():
            return event.about
        case TransferRejected():
            return later
        case HoldExpired():
            return recorded.originator_id
        case _:
            return None


def fold(standings: dict[UUID, Standing], recorded: Recorded) -> None:
    """Apply one event to the transaction that it is about; one that isn't there stands as new."""
    transaction_id = changed_by(recorded)
    if transaction_id is None:
        return
    event = recorded.event
    match event:
        case TransferPosted(kind=Kind.REFUND):
            standing = standings.setdefault(
                transaction_id, Standing(transaction_id, Stage.COMPLETED)
            )
            standing.use(event.postings)
        case TransferPosted(kind=Kind.CAPTURE):
            standing = standings.setdefault(transaction_id, Standing(transaction_id, Stage.PENDING))
            standing.use(event.postings)
            if event.completes:
                standing.stage = Stage.CAPTURED
        case HoldVoided():
            standing = _now(standings, transaction_id, Stage.VOIDED)
        case HoldExpired():
            standing = _now(standings, transaction_id, Stage.EXPIRED)
        case TransferCancelled():
            standing = _now(standings, transaction_id, Stage.CANCELLED)
        case TransferPosted():
            standing = _now(standings, transaction_id, Stage.COMPLETED)
        case TransferRejected():
            standing = _now(standings, transaction_id, Stage.FAILED)
            standing.code, standing.detail = event.code, event.detail
        case _:
            raise AssertionError(event)
    standing.position, standing.changed_at = recorded.position, event.recorded_at


def _now(standings: dict[UUID, Standing], transaction_id: UUID, stage: Stage) -> Standing:
    standing = standings.setdefault(transaction_id, Standing(transaction_id, stage))
    standing.stage = stage
    return standing
