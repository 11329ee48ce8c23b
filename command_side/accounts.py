"""The account state that deciding needs, and how an event changes it. Pure."""

from typing import assert_never

import msgspec

from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Event,
    Side,
    Status,
    TransferPosted,
    TransferRejected,
)

AccountKey = tuple[str, str]


class Account(msgspec.Struct, frozen=True, gc=False):
    """One account as of the head of the log. Amounts in minor units of `currency`."""

    ledger: str
    account_id: str
    account_class: str
    currency: str
    normal_side: Side
    overdraft_limit: int | None
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
            for posting in event.postings:
                amount = posting.amount_minor
                debited = accounts[event.ledger, posting.debit]
                accounts[event.ledger, posting.debit] = msgspec.structs.replace(
                    debited, debits_posted=debited.debits_posted + amount
                )
                credited = accounts[event.ledger, posting.credit]
                accounts[event.ledger, posting.credit] = msgspec.structs.replace(
                    credited, credits_posted=credited.credits_posted + amount
                )
        case AccountOpened():
            accounts[event.ledger, event.account_id] = Account(
                event.ledger,
                event.account_id,
                event.account_class,
                event.currency,
                event.normal_side,
                None if event.overdraft_limit is None else int(event.overdraft_limit),
            )
        case AccountChanged():
            account = accounts[event.ledger, event.account_id]
            accounts[event.ledger, event.account_id] = msgspec.structs.replace(
                account,
                status=event.status,
                overdraft_limit=(
                    None if event.overdraft_limit is None else int(event.overdraft_limit)
                ),
                version=account.version + 1,
            )
        case TransferRejected():
            pass
        case _:
            assert_never(event)
