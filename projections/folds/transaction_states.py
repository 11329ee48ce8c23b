"""Fold: the state of each transaction that later events changed. Pure.

A transaction without a row here is in the state that its first event gave it.
"""

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


class TransactionState(msgspec.Struct):
    """A row of `read.standings`. Folds change it in place, as they change balances.

    `used` is the amount of each posting that was refunded or captured, in minor units.
    """

    transaction_id: UUID
    stage: Stage
    used: list[int] = msgspec.field(default_factory=list)
    code: str | None = None
    detail: str | None = None
    position: int = 0
    changed_at: datetime | None = None

    def use(self, postings: Sequence[Posting]) -> None:
        """Add what `postings` refund or capture."""
        for posting in postings:
            self.used += [0] * (posting.line + 1 - len(self.used))
            self.used[posting.line] += posting.amount_minor


def changed_by(recorded: Recorded) -> UUID | None:
    """Return the transaction whose state the event changes, or None."""
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


def fold(states: dict[UUID, TransactionState], recorded: Recorded) -> None:
    """Apply one event to the transaction that it is about; without a row, its first state holds."""
    transaction_id = changed_by(recorded)
    if transaction_id is None:
        return
    event = recorded.event
    match event:
        case TransferPosted(kind=Kind.REFUND):
            state = states.setdefault(
                transaction_id, TransactionState(transaction_id, Stage.COMPLETED)
            )
            state.use(event.postings)
        case TransferPosted(kind=Kind.CAPTURE):
            state = states.setdefault(
                transaction_id, TransactionState(transaction_id, Stage.PENDING)
            )
            state.use(event.postings)
            if event.completes:
                state.stage = Stage.CAPTURED
        case HoldVoided():
            state = _moved(states, transaction_id, Stage.VOIDED)
        case HoldExpired():
            state = _moved(states, transaction_id, Stage.EXPIRED)
        case TransferCancelled():
            state = _moved(states, transaction_id, Stage.CANCELLED)
        case TransferPosted():
            state = _moved(states, transaction_id, Stage.COMPLETED)
        case TransferRejected():
            state = _moved(states, transaction_id, Stage.FAILED)
            state.code, state.detail = event.code, event.detail
        case _:
            raise AssertionError(event)
    state.position, state.changed_at = recorded.position, event.recorded_at


def _moved(
    states: dict[UUID, TransactionState], transaction_id: UUID, stage: Stage
) -> TransactionState:
    state = states.setdefault(transaction_id, TransactionState(transaction_id, stage))
    state.stage = stage
    return state
