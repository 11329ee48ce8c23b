"""Which events of the log a reader takes, by what their stored state says of itself. Pure.

An event is read as it is stored, so that an event that a newer Daybook wrote passes like any other.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events.codec import UnreadableEventError
from runtime.sql import Row


class _Accounts(msgspec.Struct, frozen=True):
    debit: str
    credit: str


class EventHeader(msgspec.Struct, frozen=True):
    """What every event says of itself: its ledger, when it was recorded, and what it is about."""

    ledger: str
    recorded_at: datetime
    account_id: str | None = None
    about: UUID | None = None
    refund_of: UUID | None = None  # The name of `about` in the first version of two events.
    postings: Sequence[_Accounts] = ()


_HEADER = msgspec.json.Decoder(EventHeader)


class EventFilter(msgspec.Struct, frozen=True):
    """The events of a ledger; if they are named, only those of a type, account or transaction.

    The events of an account move it, change it or name it. The events of a transaction are its own
    and those of the transactions that are about it.
    """

    ledger: str
    topic: str | None = None
    account_id: str | None = None
    transaction_id: UUID | None = None

    @property
    def needle(self) -> bytes | None:
        """Bytes that the state of every matching event holds, and most other states do not."""
        return None if self.account_id is None else b'"%s"' % self.account_id.encode()

    def matches(self, row: Row) -> bool:
        """Return whether the stored event matches. Raises UnreadableEventError."""
        if self.topic not in (None, row["topic"]):
            return False
        header = event_header(row)
        if header.ledger != self.ledger:
            return False
        if self.account_id is not None:
            accounts = {end for p in header.postings for end in (p.debit, p.credit)}
            if self.account_id not in {header.account_id, *accounts}:
                return False
        return self.transaction_id in (None, row["originator_id"], header.about, header.refund_of)


def event_header(row: Row) -> EventHeader:
    """Return what a stored event says of itself. Raises UnreadableEventError."""
    try:
        return _HEADER.decode(row["state"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEventError(
            f"position {row['notification_id']}: the state of a {row['topic']!r} event cannot be "
            f"read: {error}"
        ) from error
