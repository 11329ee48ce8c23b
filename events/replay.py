"""The auditor: folds the log into what every view of it must show. Pure.

It shares no code with what it audits (the command side's accounts, the projections' folds), on
purpose: a mistake would have to be made twice, in two ways, to go unnoticed.
"""

from uuid import UUID

import msgspec

from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Recorded,
    Side,
    TransferPosted,
    TransferRejected,
)

AccountKey = tuple[str, str]


class Line(msgspec.Struct, frozen=True):
    """One entry that must exist. Amounts in minor units; `balance` is the account's after it."""

    ledger: str
    account_id: str
    position: int
    line: int
    transaction_id: UUID
    side: str
    amount: int
    currency: str
    balance: int


class Outcome(msgspec.Struct, frozen=True):
    """One transaction that must exist, and how it must have ended."""

    transaction_id: UUID
    ledger: str
    position: int
    status: str


class Tally(msgspec.Struct):
    """One account's books: totals per side, in minor units, and the policy in force."""

    currency: str
    sign: int
    overdraft_limit: str | None
    status: str = "open"
    totals: dict[str, int] = msgspec.field(default_factory=lambda: {"debit": 0, "credit": 0})
    last_position: int = 0

    @property
    def balance(self) -> int:
        """Signed by the account's normal side."""
        return self.sign * (self.totals["credit"] - self.totals["debit"])


class Books:
    """Everything the log says, up to the last event taken; or what it says of one account."""

    def __init__(self, only: AccountKey | None = None) -> None:
        self.accounts: dict[AccountKey, Tally] = {}
        self._only = only

    def take(self, recorded: Recorded) -> tuple[list[Line], Outcome | None]:
        """Post one event; return the entries and the transaction that it must have made."""
        event = recorded.event
        if isinstance(event, AccountOpened | AccountChanged):
            if self._keeps((event.ledger, event.account_id)):
                self._set_policy(recorded.position, event)
            return [], None
        if isinstance(event, TransferRejected):
            outcome = Outcome(recorded.originator_id, event.ledger, recorded.position, "FAILED")
            return [], outcome
        outcome = Outcome(recorded.originator_id, event.ledger, recorded.position, "COMPLETED")
        return self._post(recorded, event), outcome

    def _keeps(self, key: AccountKey) -> bool:
        return self._only is None or self._only == key

    def _set_policy(self, position: int, event: AccountOpened | AccountChanged) -> None:
        if isinstance(event, AccountOpened):
            sign = 1 if event.normal_side is Side.CREDIT else -1
            tally = Tally(event.currency, sign, event.overdraft_limit)
            tally.last_position = position
            self.accounts[event.ledger, event.account_id] = tally
        else:
            tally = self.accounts[event.ledger, event.account_id]
            tally.status, tally.overdraft_limit = str(event.status), event.overdraft_limit

    def _post(self, recorded: Recorded, event: TransferPosted) -> list[Line]:
        sides = [
            (number, account_id, side, int(posting.amount))
            for number, (account_id, side, posting) in enumerate(
                (account_id, side, posting)
                for posting in event.postings
                for account_id, side in ((posting.debit, "debit"), (posting.credit, "credit"))
            )
            if self._keeps((event.ledger, account_id))
        ]
        for _, account_id, side, amount in sides:
            tally = self.accounts[event.ledger, account_id]
            tally.totals[side] += amount
            tally.last_position = recorded.position
        return [
            Line(
                event.ledger,
                account_id,
                recorded.position,
                number,
                recorded.originator_id,
                side,
                amount,
                self.accounts[event.ledger, account_id].currency,
                self.accounts[event.ledger, account_id].balance,
            )
            for number, account_id, side, amount in sides
        ]
