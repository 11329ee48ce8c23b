"""What the auditor expects the views to hold: rows made once, and accounts that rows tell of. Pure.

The first four have the columns of their tables, in order, so that a row is compared as a whole.
Amounts are in minor units; metadata, rate and postings are JSON, as the views keep them.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from events.types import Kind, Stage


class Line(msgspec.Struct, frozen=True, gc=False):
    """One entry that must exist, and its account's four counters after it."""

    ledger: str
    account_id: str
    position: int
    line: int
    transaction_id: UUID
    kind: str
    side: str
    amount: int
    currency: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    recorded_at: datetime
    effective_at: datetime | None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One transaction that must exist, as its first event said it.

    Source and destination are those that all its postings share; the amount is the sum in the
    first posting's currency; `postings` are only shown if that does not say it all.
    """

    transaction_id: UUID
    ledger: str
    position: int
    idempotency_key: str
    kind: Kind
    stage: Stage
    code: str | None
    detail: str | None
    source_account_id: str | None
    destination_account_id: str | None
    amount: int | None
    currency: str | None
    postings: str | None
    description: str | None
    reference: str | None
    metadata: str | None
    rate: str | None
    about: UUID | None
    due_at: datetime | None
    effective_at: datetime | None
    recorded_at: datetime


class Mention(msgspec.Struct, frozen=True, gc=False):
    """An account of a transaction that made no entry at this position."""

    ledger: str
    account_id: str
    position: int


class Moment(msgspec.Struct, frozen=True, gc=False):
    """A recorded time, and the last position recorded then."""

    recorded_at: datetime
    position: int


class Tally(msgspec.Struct, gc=False):
    """One account's books: what it is, the policy in force, and its counters in minor units.

    `policy_position` is the last event that set the policy, `last_position` the last that opened
    the account or made an entry.
    """

    currency: str
    account_class: str = ""
    account_type: str = ""
    normal_side: str = "credit"
    overdraft_limit: int | None = None
    status: str = "open"
    version: int = 0
    metadata: str | None = None
    opened_at: datetime | None = None
    policy_position: int = 0
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    last_position: int = 0
    last_at: datetime | None = None

    @property
    def balance(self) -> int:
        """What is posted, signed by the account's normal side."""
        net = self.credits_posted - self.debits_posted
        return net if self.normal_side == "credit" else -net


class Standing(msgspec.Struct, gc=False):
    """How a transaction stands: `used` of each posting was refunded, or captured of a hold.

    `begun` is its first event, if that is known; `position` the last event that changed it, 0 as
    long as it stands as its first event said.
    """

    ledger: str
    stage: Stage
    used: list[int]
    begun: int = 0
    code: str | None = None
    detail: str | None = None
    due_at: datetime | None = None
    position: int = 0
    changed_at: datetime | None = None


class Closing(msgspec.Struct, gc=False):
    """A ledger's books: nothing may be dated before `closed_before`."""

    closed_before: datetime
    version: int
    position: int
