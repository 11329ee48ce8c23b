"""What the log says the views must hold: one Struct for each kind of row. Pure.

The first four have the columns of their tables, in order, so that a row is compared as a whole.
Their rows never change once they are made. The last three are as of the last event folded.
Amounts are in minor units. Metadata, rates and postings are JSON text, as the views store them.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from events.types import Kind, Stage


class ExpectedEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry, and the four counters of its account after it."""

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


class ExpectedTransaction(msgspec.Struct, frozen=True, gc=False):
    """One transaction, as its first event describes it.

    Source and destination are those that all its postings share. The amount is the sum in the
    currency of the first posting. `postings` is None if these columns already say everything.
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


class ExpectedReference(msgspec.Struct, frozen=True, gc=False):
    """An account that the event at this position names without making an entry in it."""

    ledger: str
    account_id: str
    position: int


class ExpectedTime(msgspec.Struct, frozen=True, gc=False):
    """A recorded time, and the last position recorded then."""

    recorded_at: datetime
    position: int


class ExpectedAccount(msgspec.Struct, gc=False):
    """One account: what it is, the policy in force, and its counters in minor units.

    `policy_position` is the last event that set the policy. `last_position` is the last event that
    opened the account or made an entry in it.
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
        """Return the posted balance, signed by the account's normal side."""
        net = self.credits_posted - self.debits_posted
        return net if self.normal_side == "credit" else -net


class ExpectedTransactionState(msgspec.Struct, gc=False):
    """The state of a transaction; `used` is what was refunded or captured of each posting.

    `begun` is the position of its first event, or 0 if the log lacks it. `position` is the last
    event that changed the state, or 0 while the first event still describes it.
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


class ExpectedClosing(msgspec.Struct, gc=False):
    """The closed books of a ledger: no event may take effect before `closed_before`."""

    closed_before: datetime
    version: int
    position: int
