"""The auditor: folds the log into what every view of it must show. Pure.

It shares no code with what it audits (the command side's accounts, the projections' folds), on
purpose: a mistake would have to be made twice, in two ways, to go unnoticed. It goes on where an
event is missing: whoever reads it has noticed the gap, and wants to know about the rest, too.
"""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

import msgspec

from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Metadata,
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
    recorded_at: datetime


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction that must exist, and how it must have ended."""

    transaction_id: UUID
    ledger: str
    position: int
    idempotency_key: str
    kind: str
    status: str
    code: str | None
    source_account_id: str | None
    destination_account_id: str | None
    amount: int | None
    currency: str | None
    description: str | None
    metadata: Metadata | None
    refund_of: UUID | None
    recorded_at: datetime


class Tally(msgspec.Struct):
    """One account's books: totals per side, in minor units, and the policy in force."""

    currency: str
    account_class: str = ""
    normal_side: str = "credit"
    overdraft_limit: int | None = None
    status: str = "open"
    version: int = 1
    debits: int = 0
    credits: int = 0
    last_position: int = 0
    last_at: datetime | None = None

    @property
    def balance(self) -> int:
        """Signed by the account's normal side."""
        net = self.credits - self.debits
        return net if self.normal_side == "credit" else -net


class Books:
    """Everything the log says, up to the last event taken; or what it says of one account."""

    def __init__(self, only: AccountKey | None = None) -> None:
        self.accounts: dict[AccountKey, Tally] = {}
        self.refunded: dict[UUID, int] = defaultdict(int)
        self._only = only

    def take(self, recorded: Recorded) -> tuple[list[Line], Outcome | None]:
        """Post one event; return the entries and the transaction that it must have made."""
        event = recorded.event
        if isinstance(event, AccountOpened | AccountChanged):
            if self._keeps((event.ledger, event.account_id)):
                self._set_policy(recorded.position, event)
            return [], None
        outcome = _outcome(recorded, event)
        if isinstance(event, TransferRejected):
            return [], outcome
        if event.refund_of is not None:
            self.refunded[event.refund_of] += int(event.postings[0].amount)
        return self._post(recorded, event), outcome

    def _keeps(self, key: AccountKey) -> bool:
        return self._only is None or self._only == key

    def _set_policy(self, position: int, event: AccountOpened | AccountChanged) -> None:
        limit = None if event.overdraft_limit is None else int(event.overdraft_limit)
        key = (event.ledger, event.account_id)
        if isinstance(event, AccountOpened):
            self.accounts[key] = Tally(
                event.currency,
                event.account_class,
                "credit" if event.normal_side is Side.CREDIT else "debit",
                limit,
                last_position=position,
                last_at=event.recorded_at,
            )
        else:
            tally = self.accounts.setdefault(key, Tally(""))
            tally.status, tally.overdraft_limit = str(event.status), limit
            tally.version += 1

    def _post(self, recorded: Recorded, event: TransferPosted) -> list[Line]:
        touched: list[tuple[int, str, str, int, Tally]] = []
        for index, posting in enumerate(event.postings):
            for number, account_id, side in (
                (2 * index, posting.debit, "debit"),
                (2 * index + 1, posting.credit, "credit"),
            ):
                key = (event.ledger, account_id)
                if not self._keeps(key):
                    continue
                tally = self.accounts.get(key)
                if tally is None:
                    tally = self.accounts[key] = Tally(posting.currency)
                amount = int(posting.amount)
                if side == "debit":
                    tally.debits += amount
                else:
                    tally.credits += amount
                tally.last_position, tally.last_at = recorded.position, event.recorded_at
                touched.append((number, account_id, side, amount, tally))
        return [
            Line(
                event.ledger,
                account_id,
                recorded.position,
                number,
                recorded.originator_id,
                side,
                amount,
                tally.currency,
                tally.balance,
                event.recorded_at,
            )
            for number, account_id, side, amount, tally in touched
        ]


def _outcome(recorded: Recorded, event: TransferPosted | TransferRejected) -> Outcome:
    first = event.postings[0] if event.postings else None
    return Outcome(
        transaction_id=recorded.originator_id,
        ledger=event.ledger,
        position=recorded.position,
        idempotency_key=event.key,
        kind="refund" if event.refund_of else "transfer",
        status="FAILED" if isinstance(event, TransferRejected) else "COMPLETED",
        code=event.code if isinstance(event, TransferRejected) else None,
        source_account_id=first.debit if first else None,
        destination_account_id=first.credit if first else None,
        amount=int(first.amount) if first else None,
        currency=first.currency if first else None,
        description=event.description,
        metadata=event.metadata,
        refund_of=event.refund_of,
        recorded_at=event.recorded_at,
    )
