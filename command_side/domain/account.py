"""The account state that deciding needs, and how an event changes it. Pure."""

from collections.abc import Sequence
from typing import assert_never

import msgspec
from msgspec.structs import replace

from events.types import (
    AccountChanged,
    AccountOpened,
    AccountType,
    BooksClosed,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Metadata,
    Posting,
    Side,
    Status,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
    accounts_of,
)

AccountKey = tuple[str, str]


class Account(msgspec.Struct, frozen=True, gc=False):
    """One account as of the head of the log. Amounts in minor units of `currency`."""

    ledger: str
    account_id: str
    account_class: str
    account_type: AccountType
    currency: str
    normal_side: Side
    overdraft_limit: int | None
    metadata: Metadata | None = None
    status: Status = Status.OPEN
    version: int = 1
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    @property
    def balance(self) -> int:
        """Posted balance, positive on the normal side."""
        net = self.credits_posted - self.debits_posted
        return net if self.normal_side is Side.CREDIT else -net

    @property
    def available(self) -> int:
        """Balance less what is held."""
        held = self.debits_pending if self.normal_side is Side.CREDIT else self.credits_pending
        return self.balance - held

    def covers(self, amount: int) -> bool:
        """Return whether `amount` may leave without passing the overdraft limit."""
        return self.overdraft_limit is None or self.available + self.overdraft_limit >= amount


def evolve(accounts: dict[AccountKey, Account], event: Event) -> None:
    """Apply `event` to the accounts that it concerns, all of which must be there."""
    match event:
        case TransferPosted():
            released = -1 if event.kind is Kind.CAPTURE else 0
            _move(accounts, event.ledger, event.postings, 1, released)
        case HoldPlaced():
            _move(accounts, event.ledger, event.postings, 0, 1)
        case HoldVoided() | HoldExpired():
            _move(accounts, event.ledger, event.postings, 0, -1)
        case AccountOpened():
            accounts[event.ledger, event.account_id] = Account(
                event.ledger,
                event.account_id,
                event.account_class,
                event.account_type,
                event.currency,
                event.normal_side,
                None if event.overdraft_limit is None else int(event.overdraft_limit),
                event.metadata,
            )
        case AccountChanged():
            account = accounts[event.ledger, event.account_id]
            accounts[event.ledger, event.account_id] = replace(
                account,
                status=event.status,
                overdraft_limit=(
                    None if event.overdraft_limit is None else int(event.overdraft_limit)
                ),
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
    accounts: dict[AccountKey, Account],
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
