"""What differs between two positions of the log, and the events between them. Pure."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from auditing.expected_rows import ExpectedAccount
from auditing.explain.counters import Counters, counters_of
from auditing.replay import AccountKey, ReplayedState
from events.types import (
    FIRST_VERSION,
    AccountChanged,
    AccountOpened,
    BooksClosed,
    Recorded,
    Stage,
    accounts_of,
)

EVENTS_KEPT_MAX = 1_000
POLICY = (
    *("currency", "account_class", "account_type", "normal_side", "overdraft_limit", "status"),
    "metadata",
)


class AccountChange(msgspec.Struct, frozen=True):
    """An account that changed. `policy` has each changed value, before and after.

    Before it was opened, an account had four zeros. `events` is the number of events that changed
    it, the first of them at `first_position`.
    """

    ledger: str
    account_id: str
    currency: str
    before: Counters
    after: Counters
    policy: dict[str, tuple[object, object]]
    events: int
    first_position: int


class StandingChange(msgspec.Struct, frozen=True):
    """An earlier transaction whose state changed; `used` is what was refunded or captured of it."""

    transaction_id: UUID
    before: Stage
    after: Stage
    used_before: int
    used_after: int
    position: int


class EventBetween(msgspec.Struct, frozen=True):
    """An event between the two positions, and the stream that it is in."""

    position: int
    type: str
    stream_id: UUID


class Difference(msgspec.Struct, frozen=True):
    """What differs after `first` and up to `second`; it is empty only if nothing was recorded.

    `events` has the first of the `event_count` events. `began` counts the new transactions by their
    first stage. `closed_books` has the time before which each ledger's books were closed, before
    and after.
    """

    first: int
    second: int
    event_count: int
    events: list[EventBetween]
    accounts: list[AccountChange]
    standings: list[StandingChange]
    began: dict[str, int]
    closed_books: dict[str, tuple[datetime | None, datetime]]


class _Touched(msgspec.Struct):
    before: ExpectedAccount | None
    events: int
    first_position: int


class Comparing:
    """Collects a difference: `pass_by` events up to the first position, then `take` the others."""

    def __init__(self) -> None:
        self._state = ReplayedState()
        self._accounts: dict[AccountKey, _Touched] = {}
        self._standings: dict[UUID, tuple[Stage, int]] = {}
        self._began: Counter[str] = Counter()
        self._closings: dict[str, datetime | None] = {}
        self._events: list[EventBetween] = []
        self._event_count = 0

    def pass_by(self, recorded: Recorded) -> None:
        """Fold an event up to the first position."""
        self._state.fold(recorded)

    def take(self, recorded: Recorded) -> None:
        """Fold an event between the positions, and remember what it touches as it was before."""
        event = recorded.event
        self._event_count += 1
        if len(self._events) < EVENTS_KEPT_MAX:
            self._events.append(
                EventBetween(recorded.position, event.topic, recorded.originator_id)
            )
        keys = _keys(recorded)
        before = {key: self._copied(key) for key in keys}
        self._note_standings(recorded)
        if isinstance(event, BooksClosed):
            was = self._state.closings.get(event.ledger)
            self._closings.setdefault(event.ledger, None if was is None else was.closed_before)
        entries, transaction = self._state.fold(recorded)
        if transaction is not None:
            self._began[transaction.stage.value] += 1
        own = isinstance(event, AccountOpened | AccountChanged)
        for key in keys if own else {(entry.ledger, entry.account_id) for entry in entries}:
            touched = self._accounts.setdefault(key, _Touched(before[key], 0, recorded.position))
            touched.events += 1

    def changed_transactions(self) -> list[UUID]:
        """Return the transactions whose state may have changed."""
        return list(self._standings)

    def difference(self, first: int, second: int, begun: Mapping[UUID, int]) -> Difference:
        """Return the difference; `begun` has the first positions of the changed transactions."""
        standings = [
            change
            for id_ in self._standings
            if begun.get(id_, 0) <= first and (change := self._standing_change(id_)) is not None
        ]
        accounts = [self._account_change(key) for key in sorted(self._accounts)]
        return Difference(
            first,
            second,
            self._event_count,
            self._events,
            [change for change in accounts if change.before != change.after or change.policy],
            standings,
            dict(self._began),
            {
                ledger: (was, self._state.closings[ledger].closed_before)
                for ledger, was in self._closings.items()
            },
        )

    def _copied(self, key: AccountKey) -> ExpectedAccount | None:
        account = self._state.accounts.get(key)
        return None if account is None else msgspec.structs.replace(account)

    def _note_standings(self, recorded: Recorded) -> None:
        event = recorded.event
        if recorded.version > FIRST_VERSION:
            id_: UUID | None = recorded.originator_id
        else:
            id_ = getattr(event, "about", None)
        if id_ is not None and not isinstance(event, AccountChanged | BooksClosed):
            self._standings.setdefault(id_, self._stands(id_))

    def _stands(self, id_: UUID) -> tuple[Stage, int]:
        """Return a transaction's state; a plain transfer, which is not remembered, is completed."""
        standing = self._state.transaction_states.get(id_)
        return (Stage.COMPLETED, 0) if standing is None else (standing.stage, sum(standing.used))

    def _standing_change(self, id_: UUID) -> StandingChange | None:
        was, now = self._standings[id_], self._stands(id_)
        if was == now:
            return None
        position = self._state.transaction_states[id_].position
        return StandingChange(id_, was[0], now[0], was[1], now[1], position)

    def _account_change(self, key: AccountKey) -> AccountChange:
        touched, now = self._accounts[key], self._state.accounts[key]
        was = touched.before
        policy = {
            name: (None if was is None else getattr(was, name), getattr(now, name))
            for name in POLICY
            if was is None or getattr(was, name) != getattr(now, name)
        }
        return AccountChange(
            *key,
            now.currency,
            counters_of(was),
            counters_of(now),
            policy,
            touched.events,
            touched.first_position,
        )


def _keys(recorded: Recorded) -> set[AccountKey]:
    """Return the accounts that an event may touch."""
    event = recorded.event
    match event:
        case AccountOpened() | AccountChanged():
            return {(event.ledger, event.account_id)}
        case BooksClosed():
            return set()
        case _:
            return {(event.ledger, account_id) for account_id in accounts_of(event.postings)}
