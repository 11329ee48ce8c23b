"""The state that commands are decided on, and how each event changes it. Pure.

accounts       their policy and their four counters
transactions   the earlier ones that commands are about, and how they stand
books          until when each ledger's are closed
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec
from msgspec.structs import replace

from command_side.domain.account import AccountKey, AccountState
from events.types import (
    FIRST_VERSION,
    AccountChanged,
    AccountOpened,
    BooksClosed,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Posting,
    Recorded,
    Stage,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
    accounts_of,
    due_at,
)

_STAGE_OF_EARLIER = {Kind.VOID: Stage.VOIDED, Kind.CANCELLATION: Stage.CANCELLED}


class EarlierTransaction(msgspec.Struct, frozen=True):
    """An earlier transaction by its first event, and how it stands now.

    `used` is how much of each posting, in minor units, was refunded or captured. `due_at` is when
    it expires or will be posted, as long as that is still to come.
    """

    event: TransactionEvent
    stage: Stage
    used: tuple[int, ...]
    due_at: datetime | None = None

    def left(self, line: int) -> int:
        """Return how many minor units of posting `line` are left: 0 if there is no such posting."""
        postings = self.event.postings
        return postings[line].amount_minor - self.used[line] if line < len(postings) else 0

    def using(self, postings: Sequence[Posting]) -> "EarlierTransaction":
        """Return it after `postings` have refunded or captured some of it."""
        used = list(self.used)
        for posting in postings:
            used[posting.line] += posting.amount_minor
        return replace(self, used=tuple(used))

    @property
    def spent(self) -> bool:
        """Whether nothing is left of any posting."""
        return not any(self.left(line) for line in range(len(self.used)))


class ClosedBooks(msgspec.Struct, frozen=True):
    """In this ledger nothing may be dated before `closed_before`."""

    ledger: str
    closed_before: datetime
    version: int


class State(msgspec.Struct):
    """What a batch of decisions reads; each decision brings it up to date for the next one.

    `followed` are the transactions that the batch's commands are about. Another transaction that
    is complete once it is posted needs no place here.
    """

    accounts: dict[AccountKey, AccountState]
    transactions: dict[UUID, EarlierTransaction] = msgspec.field(default_factory=dict)
    books: dict[str, ClosedBooks] = msgspec.field(default_factory=dict)
    followed: Collection[UUID] = ()

    def apply(self, recorded: Recorded) -> None:
        """Bring everything that the event concerns up to date."""
        event, stream_id = recorded.event, recorded.originator_id
        evolve(self.accounts, event)
        match event:
            case TransferPosted():
                if recorded.version > FIRST_VERSION:
                    self._end(stream_id, event.stage)
                elif stream_id in self.followed:
                    self.transactions[stream_id] = begun(event)
                if event.about is not None:
                    self._use(event.about, event)
            case HoldVoided() | TransferCancelled():
                self.transactions[stream_id] = begun(event)
                assert event.about is not None, "it is about an earlier transaction"
                self._end(event.about, _STAGE_OF_EARLIER[event.kind])
            case TransferRejected() | HoldPlaced() | TransferScheduled():
                if recorded.version > FIRST_VERSION:
                    self._end(stream_id, event.stage)
                else:
                    self.transactions[stream_id] = begun(event)
            case HoldExpired():
                self._end(stream_id, Stage.EXPIRED)
            case BooksClosed():
                closed = ClosedBooks(event.ledger, event.closed_before, recorded.version)
                self.books[event.ledger] = closed
            case AccountOpened() | AccountChanged():
                pass
            case _:
                assert_never(event)

    def _use(self, about: UUID, event: TransferPosted) -> None:
        self.transactions[about] = self.transactions[about].using(event.postings)
        if event.completes:
            self._end(about, Stage.CAPTURED)

    def _end(self, transaction_id: UUID, stage: Stage) -> None:
        earlier = self.transactions[transaction_id]
        self.transactions[transaction_id] = replace(earlier, stage=stage, due_at=None)


def begun(event: TransactionEvent) -> EarlierTransaction:
    """Return how a transaction stands after its first event."""
    return EarlierTransaction(event, event.stage, (0,) * len(event.postings), due_at(event))


def evolve(accounts: dict[AccountKey, AccountState], event: Event) -> None:
    """Apply `event` to the accounts that it changes (`moved_by`), all of which must be there."""
    match event:
        case TransferPosted():
            released = -1 if event.kind is Kind.CAPTURE else 0
            _move(accounts, event.ledger, event.postings, 1, released)
        case HoldPlaced():
            _move(accounts, event.ledger, event.postings, 0, 1)
        case HoldVoided() | HoldExpired():
            _move(accounts, event.ledger, event.postings, 0, -1)
        case AccountOpened():
            accounts[event.ledger, event.account_id] = AccountState(
                ledger=event.ledger,
                account_id=event.account_id,
                account_class=event.account_class,
                account_type=event.account_type,
                currency=event.currency,
                normal_side=event.normal_side,
                overdraft_limit=_limit(event.overdraft_limit),
                metadata=event.metadata,
            )
        case AccountChanged():
            account = accounts[event.ledger, event.account_id]
            accounts[event.ledger, event.account_id] = replace(
                account,
                status=event.status,
                overdraft_limit=_limit(event.overdraft_limit),
                metadata=event.metadata,
                version=account.version + 1,
            )
        case TransferRejected() | TransferScheduled() | TransferCancelled() | BooksClosed():
            pass
        case _:
            assert_never(event)


def moved_by(event: Event) -> list[AccountKey]:
    """Return the accounts that `evolve` changes for `event`."""
    match event:
        case TransferPosted() | HoldPlaced() | HoldVoided() | HoldExpired():
            return [(event.ledger, account_id) for account_id in accounts_of(event.postings)]
        case AccountOpened() | AccountChanged():
            return [(event.ledger, event.account_id)]
        case TransferRejected() | TransferScheduled() | TransferCancelled() | BooksClosed():
            return []
        case _:
            assert_never(event)


def _move(
    accounts: dict[AccountKey, AccountState],
    ledger: str,
    postings: Sequence[Posting],
    posts: int,
    holds: int,
) -> None:
    """Add each posting's amount, times `posts` and times `holds`, to the four counters."""
    for posting in postings:
        amount = posting.amount_minor
        posted, held = posts * amount, holds * amount
        key = ledger, posting.debit
        debited = accounts[key]
        accounts[key] = replace(
            debited,
            debits_posted=debited.debits_posted + posted,
            debits_pending=debited.debits_pending + held,
        )
        key = ledger, posting.credit
        credited = accounts[key]
        accounts[key] = replace(
            credited,
            credits_posted=credited.credits_posted + posted,
            credits_pending=credited.credits_pending + held,
        )


def _limit(text: str | None) -> int | None:
    """Return an overdraft limit as an integer; None is unlimited."""
    return None if text is None else int(text)
