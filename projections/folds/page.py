"""All folds together: the rows that some consecutive events make. Pure."""

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
from projections.folds.balances import AccountKey, Balance
from projections.folds.entries import Entry
from projections.folds.transaction_states import Standing
from projections.folds.transactions import Transaction

_ENCODER = msgspec.json.Encoder(order="deterministic")


class Account(msgspec.Struct):
    """A row of `read.accounts`, field by column."""

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


class Mention(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row of `read.mentions`, field by column: an account that an event names, not moves."""

    ledger: str
    account_id: str
    position: int


class Moment(msgspec.Struct, frozen=True):
    """A row of `read.moments`, field by column: the last position of a recorded time."""

    recorded_at: datetime
    position: int


class Books(msgspec.Struct, frozen=True):
    """A row of `read.books`, field by column."""

    ledger: str
    closed_before: datetime
    version: int
    position: int


class Page(msgspec.Struct):
    """What is known before, and what some events make of it: rows to put, rows to add."""

    accounts: dict[AccountKey, Account]
    balances: dict[AccountKey, Balance]
    standings: dict[UUID, Standing]
    books: dict[str, Books] = msgspec.field(default_factory=dict)
    moments: dict[datetime, Moment] = msgspec.field(default_factory=dict)
    entries: list[Entry] = msgspec.field(default_factory=list)
    transactions: list[Transaction] = msgspec.field(default_factory=list)
    mentions: list[Mention] = msgspec.field(default_factory=list)


class Changed(msgspec.Struct, frozen=True):
    """The keys of the rows that some events put, in each table where there may be a former row."""

    accounts: set[AccountKey]
    balances: set[AccountKey]
    standings: set[UUID]
    books: set[str]


def fold(events: Sequence[Recorded], page: Page) -> None:
    """Apply `events` to `page`, which holds everything known that they concern."""
    for recorded in events:
        _fold_one(page, recorded)
    for recorded, following in zip_longest(events, events[1:]):
        recorded_at = recorded.event.recorded_at
        if following is None or following.event.recorded_at != recorded_at:
            page.moments[recorded_at] = Moment(recorded_at, recorded.position)


def changed(events: Sequence[Recorded]) -> Changed:
    """Return what `events` change, so that it can be read before they are folded."""
    found = Changed(set(), set(), set(), set())
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
            found.standings.add(transaction_id)
    return found


def _fold_one(page: Page, recorded: Recorded) -> None:
    event = recorded.event
    match event:
        # The most frequent class first, by name: to be of another class, or of a base, costs five
        # times as much to find out.
        case TransferPosted() | TransactionEvent() | HoldExpired():
            moved = entries.fold(recorded, page.balances)
            page.entries.extend(moved)
            transaction_states.fold(page.standings, recorded)
            transaction = transactions.fold(recorded)
            if transaction is not None:
                page.transactions.append(transaction)
            if not moved:
                page.mentions += [
                    Mention(event.ledger, account_id, recorded.position)
                    for account_id in accounts_of(event.postings)
                ]
        case AccountOpened():
            _open(page, recorded, event)
        case AccountChanged():
            account = page.accounts[event.ledger, event.account_id]
            account.status = event.status
            account.overdraft_limit = _limit(event)
            account.metadata = _metadata(event)
            account.version = recorded.version
        case BooksClosed():
            page.books[event.ledger] = Books(
                event.ledger, event.closed_before, recorded.version, recorded.position
            )


def _open(page: Page, recorded: Recorded, event: AccountOpened) -> None:
    key = (event.ledger, event.account_id)
    page.accounts[key] = Account(
        event.ledger,
        event.account_id,
        event.account_class,
        event.account_type,
        event.currency,
        event.normal_side,
        _limit(event),
        _metadata(event),
        event.recorded_at,
    )
    page.balances[key] = Balance(*key, 0, 0, 0, 0, recorded.position, event.recorded_at)


def _limit(event: AccountOpened | AccountChanged) -> int | None:
    return None if event.overdraft_limit is None else int(event.overdraft_limit)


def _metadata(event: AccountOpened | AccountChanged) -> str | None:
    return None if event.metadata is None else _ENCODER.encode(event.metadata).decode()
