"""Which events made a balance: their amounts add up to it exactly. Pure.

balance = Σ contributions shown + the sum of those left out = Σ sums by kind
"""

from collections import deque
from datetime import datetime
from uuid import UUID

import msgspec

from auditing.expected_rows import ExpectedAccount
from auditing.explain.counters import NOTHING, Counters
from auditing.explain.story import Step
from events.types import Kind, TransferPosted


class Contribution(msgspec.Struct, frozen=True):
    """One event's share of a balance, in minor units, signed by the account's normal side."""

    position: int
    recorded_at: datetime
    transaction_id: UUID
    kind: Kind
    amount: int
    balance: int
    sentence: str


class Sum(msgspec.Struct):
    """How many events there were, and the sum of their amounts."""

    events: int = 0
    amount: int = 0

    def add(self, amount: int) -> None:
        """Add one event."""
        self.events += 1
        self.amount += amount


class Explanation(msgspec.Struct, frozen=True):
    """An account's counters at a position, and what made its balance.

    `contributions` are the oldest or the newest ones, in the requested order. `left_out` is the sum
    of the others, so that nothing is missing. `by_kind` sums up all of them.
    """

    ledger: str
    account_id: str
    position: int
    currency: str
    normal_side: str
    counters: Counters
    by_kind: dict[str, Sum]
    contributions: list[Contribution]
    left_out: Sum


class Explaining:
    """Collects an explanation in bounded memory: at most `kept_max` contributions."""

    def __init__(self, kept_max: int, *, newest_first: bool) -> None:
        self._kept_max = kept_max
        self._newest_first = newest_first
        self._kept: deque[Contribution] = deque()
        self._by_kind: dict[str, Sum] = {}
        self._left_out = Sum()
        self._counters = NOTHING

    def take(self, step: Step, event: object) -> None:
        """Add a step of the account's story, which `event` made."""
        self._counters = step.counters
        if not isinstance(event, TransferPosted):
            return
        assert step.transaction_id is not None
        made = Contribution(
            position=step.position,
            recorded_at=step.recorded_at,
            transaction_id=step.transaction_id,
            kind=event.kind,
            amount=step.change,
            balance=step.counters.balance,
            sentence=step.sentence,
        )
        self._by_kind.setdefault(event.kind.value, Sum()).add(made.amount)
        if self._newest_first:
            self._kept.appendleft(made)
            if len(self._kept) > self._kept_max:
                self._left_out.add(self._kept.pop().amount)
        elif len(self._kept) < self._kept_max:
            self._kept.append(made)
        else:
            self._left_out.add(made.amount)

    def explanation(
        self, ledger: str, account_id: str, position: int, account: ExpectedAccount
    ) -> Explanation:
        """Return the explanation of an account that is in this state at `position`."""
        return Explanation(
            ledger=ledger,
            account_id=account_id,
            position=position,
            currency=account.currency,
            normal_side=account.normal_side,
            counters=self._counters,
            by_kind=self._by_kind,
            contributions=list(self._kept),
            left_out=self._left_out,
        )
