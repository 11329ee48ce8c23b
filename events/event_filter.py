"""Which events of the log somebody wants to read, and how they are shown to others. Pure.

An event is looked at as it is stored: what a newer Daybook wrote is passed on like any other.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events import envelope
from events.codec import UnreadableEventError
from runtime.sql import Row


class _Ends(msgspec.Struct, frozen=True):
    debit: str
    credit: str


class Told(msgspec.Struct, frozen=True):
    """What any event says of itself: whose it is, when it was recorded, and what it is about."""

    ledger: str
    recorded_at: datetime
    account_id: str | None = None
    about: UUID | None = None
    refund_of: UUID | None = None  # What `about` was called in the first version of two events.
    postings: Sequence[_Ends] = ()


_TOLD = msgspec.json.Decoder(Told)


class Wanted(msgspec.Struct, frozen=True):
    """A ledger's events; only those of a type, an account, a transaction, if they are named.

    An account's events move it, change it or name it. A transaction's are its own, and those of the
    transactions that are about it.
    """

    ledger: str
    topic: str | None = None
    account_id: str | None = None
    transaction_id: UUID | None = None

    @property
    def needle(self) -> bytes | None:
        """What the state of every wanted event holds, and most others don't."""
        return None if self.account_id is None else b'"%s"' % self.account_id.encode()

    def takes(self, row: Row) -> bool:
        """Return whether the stored event is wanted. Raises UnreadableEventError."""
        if self.topic not in (None, row["topic"]):
            return False
        told = told_by(row)
        if told.ledger != self.ledger:
            return False
        if self.account_id is not None:
            ends = {end for p in told.postings for end in (p.debit, p.credit)}
            if self.account_id not in {told.account_id, *ends}:
                return False
        return self.transaction_id in (None, row["originator_id"], told.about, told.refund_of)


def told_by(row: Row) -> Told:
    """Return what a stored event says of itself. Raises UnreadableEventError."""
    try:
        return _TOLD.decode(row["state"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEventError(
            f"position {row['notification_id']}: the state of a {row['topic']!r} event cannot be "
            f"read: {error}"
        ) from error


def as_json(row: Row) -> bytes:
    """Return a stored event as a CloudEvent, with the time at which it was recorded."""
    return envelope.cloud_event(row, told_by(row).recorded_at)
