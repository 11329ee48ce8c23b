"""All folds together: the rows that some consecutive events make. Pure."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    AccountType,
    BooksClosed,
    HoldExpired,
    Recorded,
    Side,
    Status,
    TransactionEvent,
    TransferCancelled,
    TransferRejected,
    TransferScheduled,
    accounts_of,
)
from projections.folds import entries, standings, transactions
from projections.folds.balances import AccountKey, Balance
from projections.folds.entries import Entry
from projections.folds.standings import Standing
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


class Mention(msgspec.Struct, frozen=True):
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


def fold(events: Sequence[Recorded], page: Page) -> None:
    """Apply `events` to `page`, which holds everything known that they concern."""
    for recorded in events:
        _fold_one(page, recorded)


def moved_accounts(events: Sequence[Recorded]) -> set[AccountKey]:
    """Return the accounts whose counters `events` move."""
    return {
        (event.ledger, account_id)
        for event in (recorded.event for recorded in events)
        if isinstance(event, entries.Moving)
        for account_id in accounts_of(event.postings)
    }


def changed_accounts(events: Sequence[Recorded]) -> set[AccountKey]:
    """Return the accounts whose policy `events` change."""
    return {
        (recorded.event.ledger, recorded.event.account_id)
        for recorded in events
        if isinstance(recorded.event, AccountChanged)
    }


def changed_transactions(events: Sequence[Recorded]) -> set[UUID]:
    """Return the earlier transactions whose standing `events` change."""
    changed = (standings.changed_by(recorded) for recorded in events)
    return {transaction_id for transaction_id in changed if transaction_id is not None}


def _fold_one(page: Page, recorded: Recorded) -> None:
    event = recorded.event
    page.moments[event.recorded_at] = Moment(event.recorded_at, recorded.position)
    match event:
        case TransactionEvent() | HoldExpired():
            page.entries += entries.fold(recorded, page.balances)
            standings.fold(page.standings, recorded)
            transaction = transactions.fold(recorded)
            if transaction is not None:
                page.transactions.append(transaction)
            if isinstance(event, TransferRejected | TransferScheduled | TransferCancelled):
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
    page.balances[key] = Balance(
        event.ledger, event.account_id, recorded.position, event.recorded_at
    )


def _limit(event: AccountOpened | AccountChanged) -> int | None:
    return None if event.overdraft_limit is None else int(event.overdraft_limit)


def _metadata(event: AccountOpened | AccountChanged) -> str | None:
    return None if event.metadata is None else _ENCODER.encode(event.metadata).decode()
