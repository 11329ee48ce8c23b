"""What deciding knows: accounts, earlier transactions and closed books, as of the head. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from command_side.domain.account import Account, AccountKey, evolve
from events.types import (
    FIRST_VERSION,
    AccountChanged,
    AccountOpened,
    BooksClosed,
    HoldExpired,
    Kind,
    Posting,
    Recorded,
    Stage,
    TransactionEvent,
    TransferPosted,
    due_at,
)

_STAGE_OF_EARLIER = {Kind.VOID: Stage.VOIDED, Kind.CANCELLATION: Stage.CANCELLED}


class Earlier(msgspec.Struct, frozen=True):
    """An earlier transaction, and how it stands.

    `used` is how much of each posting, in minor units, was refunded or captured. `due_at` is when
    it expires or is to be posted, as long as that is still to come.
    """

    event: TransactionEvent
    stage: Stage
    used: tuple[int, ...]
    due_at: datetime | None = None

    def left(self, line: int) -> int:
        """Return how much of posting `line` is left, in minor units; nothing of one it has not."""
        postings = self.event.postings
        return postings[line].amount_minor - self.used[line] if line < len(postings) else 0

    def using(self, postings: Sequence[Posting]) -> "Earlier":
        """Return it with what `postings` refund or capture."""
        used = list(self.used)
        for posting in postings:
            used[posting.line] += posting.amount_minor
        return msgspec.structs.replace(self, used=tuple(used))

    @property
    def spent(self) -> bool:
        """Return whether nothing is left of any posting."""
        return not any(self.left(line) for line in range(len(self.used)))


class Books(msgspec.Struct, frozen=True):
    """A ledger's books: nothing may be dated before `closed_before`."""

    ledger: str
    closed_before: datetime
    version: int


class State(msgspec.Struct):
    """What a batch of decisions reads and, decision by decision, brings up to date.

    `followed` are the transactions that its commands are about: of others that are complete once
    they are posted, nothing need be known.
    """

    accounts: dict[AccountKey, Account]
    earlier: dict[UUID, Earlier] = msgspec.field(default_factory=dict)
    books: dict[str, Books] = msgspec.field(default_factory=dict)
    followed: Collection[UUID] = ()

    def copy(self) -> "State":
        """Return what can be changed without changing this."""
        return State(dict(self.accounts), dict(self.earlier), dict(self.books), self.followed)

    def apply(self, recorded: Recorded) -> None:
        """Bring everything that the event concerns up to date."""
        event = recorded.event
        evolve(self.accounts, event)
        match event:
            case TransactionEvent():
                if recorded.version > FIRST_VERSION:
                    self._end(recorded.originator_id, event.stage)
                elif (
                    not isinstance(event, TransferPosted) or recorded.originator_id in self.followed
                ):
                    self.earlier[recorded.originator_id] = first(event)
                if event.about is not None and event.stage is Stage.COMPLETED:
                    self._follow_up(event.about, event)
            case HoldExpired():
                self._end(recorded.originator_id, Stage.EXPIRED)
            case BooksClosed():
                self.books[event.ledger] = Books(
                    event.ledger, event.closed_before, recorded.version
                )
            case AccountOpened() | AccountChanged():
                pass

    def _follow_up(self, about: UUID, event: TransactionEvent) -> None:
        if isinstance(event, TransferPosted):
            self.earlier[about] = self.earlier[about].using(event.postings)
            if event.completes:
                self._end(about, Stage.CAPTURED)
        else:
            self._end(about, _STAGE_OF_EARLIER[event.kind])

    def _end(self, transaction_id: UUID, stage: Stage) -> None:
        self.earlier[transaction_id] = msgspec.structs.replace(
            self.earlier[transaction_id], stage=stage, due_at=None
        )


def first(event: TransactionEvent) -> Earlier:
    """Return how a transaction stands after its first event."""
    return Earlier(event, event.stage, (0,) * len(event.postings), due_at(event))
