"""The rows of the read models that consecutive events make: all folds together. Pure.

Each struct is a row of one table, with a field for each column. Two tables have older names than
the rows here: `read.standings` holds transaction states, `read.moments` recorded times, and
`read.mentions` account references.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import zip_longest
from uuid import UUID

import msgspec

from events.types import (
    AccountChanged,
    AccountOpened,
    AccountType,
    BooksClosed,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Recorded,
    Side,
    Status,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
    accounts_of,
)
from projections.folds import entries, transaction_states, transactions
from projections.folds.balances import AccountKey, BalanceRow
from projections.folds.entries import EntryRow
from projections.folds.transaction_states import TransactionState
from projections.folds.transactions import TransactionRow

_ENCODER = msgspec.json.Encoder(order="deterministic")


class AccountRow(msgspec.Struct):
    """A row of `read.accounts`."""

    ledger: str
    account_id: str
    account_class: str
    account_type: AccountType
    currency: str
    normal_side: Side
    overdraft_limit: int | None
    metadata: str | None
    opened_at: datetime
    status: Status = Status.OPEN
    version: int = 1


class AccountReference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `read.mentions`: an event names an account without moving its balance."""

    ledger: str
    account_id: str
    position: int


class RecordedTime(msgspec.Struct, frozen=True):
    """A row of `read.moments`: the last position that was recorded at a time."""

    recorded_at: datetime
    position: int


class BooksRow(msgspec.Struct, frozen=True):
    """A row of `read.books`: the last closing of a ledger's books."""

    ledger: str
    closed_before: datetime
    version: int
    position: int


class ProjectedRows(msgspec.Struct):
    """The rows that events change or add.

    Accounts, balances, transaction states and books are changed: before a fold they hold the former
    rows of all keys that `changed` returns. Recorded times are replaced, all others are added.
    """

    accounts: dict[AccountKey, AccountRow]
    balances: dict[AccountKey, BalanceRow]
    transaction_states: dict[UUID, TransactionState]
    books: dict[str, BooksRow] = msgspec.field(default_factory=dict)
    recorded_times: dict[datetime, RecordedTime] = msgspec.field(default_factory=dict)
    entries: list[EntryRow] = msgspec.field(default_factory=list)
    transactions: list[TransactionRow] = msgspec.field(default_factory=list)
    account_references: list[AccountReference] = msgspec.field(default_factory=list)


class ChangedKeys(msgspec.Struct, frozen=True):
    """The keys of the rows that events change, in the tables that may have a former row."""

    accounts: set[AccountKey]
    balances: set[AccountKey]
    transaction_states: set[UUID]
    books: set[str]


def fold(events: Sequence[Recorded], rows: ProjectedRows) -> None:
    """Apply `events` to `rows`, which hold the former rows of all keys that they change."""
    for recorded in events:
        _fold_one(rows, recorded)
    for recorded, following in zip_longest(events, events[1:]):
        recorded_at = recorded.event.recorded_at
        if following is None or following.event.recorded_at != recorded_at:
            rows.recorded_times[recorded_at] = RecordedTime(recorded_at, recorded.position)


def changed(events: Sequence[Recorded]) -> ChangedKeys:
    """Return the keys that `events` change, so that their rows can be read before the fold."""
    found = ChangedKeys(set(), set(), set(), set())
    for recorded in events:
        event = recorded.event
        match event:
            case TransferPosted() | HoldPlaced() | HoldVoided() | HoldExpired():
                for posting in event.postings:
                    found.balances.add((event.ledger, posting.debit))
                    found.balances.add((event.ledger, posting.credit))
            case AccountOpened():
                found.accounts.add((event.ledger, event.account_id))
                found.balances.add((event.ledger, event.account_id))
            case AccountChanged():
                found.accounts.add((event.ledger, event.account_id))
            case BooksClosed():
                found.books.add(event.ledger)
            case TransferRejected() | TransferScheduled() | TransferCancelled():
                pass
        transaction_id = transaction_states.changed_by(recorded)
        if transaction_id is not None:
            found.transaction_states.add(transaction_id)
    return found


def _fold_one(rows: ProjectedRows, recorded: Recorded) -> None:
    event = recorded.event
    match event:
        # The most frequent class is matched first and by its own name: matching any other class, or
        # a base class, takes five times as long.
        case TransferPosted() | TransactionEvent() | HoldExpired():
            moved = entries.fold(recorded, rows.balances)
            rows.entries.extend(moved)
            transaction_states.fold(rows.transaction_states, recorded)
            transaction = transactions.fold(recorded)
            if transaction is not None:
                rows.transactions.append(transaction)
            if not moved:
                rows.account_references += [
                    AccountReference(event.ledger, account_id, recorded.position)
                    for account_id in accounts_of(event.postings)
                ]
        case AccountOpened():
            _open(rows, recorded, event)
        case AccountChanged():
            account = rows.accounts[event.ledger, event.account_id]
            account.status = event.status
            account.overdraft_limit = _limit(event)
            account.metadata = _metadata(event)
            account.version = recorded.version
        case BooksClosed():
            rows.books[event.ledger] = BooksRow(
                event.ledger, event.closed_before, recorded.version, recorded.position
            )


def _open(rows: ProjectedRows, recorded: Recorded, event: AccountOpened) -> None:
    key = (event.ledger, event.account_id)
    rows.accounts[key] = AccountRow(
        ledger=event.ledger,
        account_id=event.account_id,
        account_class=event.account_class,
        account_type=event.account_type,
        currency=event.currency,
        normal_side=event.normal_side,
        overdraft_limit=_limit(event),
        metadata=_metadata(event),
        opened_at=event.recorded_at,
    )
    rows.balances[key] = BalanceRow(*key, 0, 0, 0, 0, recorded.position, event.recorded_at)


def _limit(event: AccountOpened | AccountChanged) -> int | None:
    return None if event.overdraft_limit is None else int(event.overdraft_limit)


def _metadata(event: AccountOpened | AccountChanged) -> str | None:
    return None if event.metadata is None else _ENCODER.encode(event.metadata).decode()
