"""Decide a batch of commands, and append their events in one transaction of the log.

    plan     pure: decide the commands in order, each on the state that those before it left
    commit   append the events of the plan, and store the rows that they changed
    outcome  one for each command (`outcomes.py`)

The process that appended last still knows the head and most accounts. It plans from its cache
(`decide_from_cache`) and commits with one statement:

    #   round trip            why
    1   insert the events     only if the head is where it was; moves it, and wakes the relays

If that does not suffice, or the head has moved, or a key was used before, the batch is planned
under the lock of the head:

    #   round trip            why
    1   BEGIN
    2   lock events.head      from here on no other process decides
    3   read the new events   only if another process appended, or at the start: they move accounts
    4   find known streams    which keys were used before; which transactions commands are about
    5   read the state        accounts that the cache lacks; if a command needs them, the states of
                              earlier transactions, and closed books
    6   insert the events     as above
    7   store changed rows    policies, transaction states and closed books at once; of the accounts
                              that only moved, those that have waited the longest
    8   COMMIT                durable from here on

A refused command fails alone, never its batch. A rehearsal is planned among the others, and then
undone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import asyncpg
import msgspec

from command_side.domain.changes import ChangedRows, changed_rows
from command_side.domain.commands import (
    AccountCommand,
    Atomic,
    Cancel,
    Capture,
    ChangeAccount,
    CloseBooks,
    Command,
    Hold,
    Keyed,
    OpenAccount,
    Refund,
    Rehearsal,
    Schedule,
    Settle,
    Transfer,
    Void,
    needs,
)
from command_side.domain.decide import decide
from command_side.domain.records import refused
from command_side.domain.rejections import Rejection
from command_side.domain.state import State
from command_side.writer import store
from command_side.writer.account_cache import AccountCache
from command_side.writer.outcomes import (
    Accepted,
    AllAccepted,
    KeyReused,
    NoneAccepted,
    Outcome,
    PolicySet,
    Refused,
    Rehearsed,
    Unchanged,
    of_event,
)
from events import log
from events.schema import Schema
from events.types import (
    FIRST_VERSION,
    SECOND_VERSION,
    AccountChanged,
    AccountOpened,
    BooksClosed,
    Event,
    Recorded,
    TransactionEvent,
    account_stream_id,
    books_stream_id,
)
from runtime.database import Executor
from runtime.problems import Invalid

NewEvent = tuple[UUID, int, Event]


class CachedPlan(msgspec.Struct, frozen=True):
    """A plan that is right if the head has not moved since, and no key was used before.

    `stored` is the position up to which no row of an account lacks an event.
    """

    plan: "Plan"
    changes: ChangedRows
    head: log.Head
    stored: int
    cache: AccountCache


async def append_batch(
    connection: Executor,
    commands: Sequence[Command],
    schema: Schema,
    now: datetime,
    cache: AccountCache | None = None,
    cached: CachedPlan | None = None,
) -> list[Outcome]:
    """Decide `commands` in order and append their events, in one transaction.

    The cache is that of one process; without it, every changed row is stored at once. A plan that
    was `cached` for these commands is not made again.
    """
    cache = cache or AccountCache(late_events_max=0)
    cached = cached or decide_from_cache(commands, schema, now, cache)
    if cached is not None and cached.cache is cache:
        outcomes = await _commit_cached(connection, cached)
        if outcomes is not None:
            return outcomes
    async with connection.transaction():
        head = await log.lock_head(connection)
        await cache.catch_up(connection, head)
        plan = await _plan(connection, commands, schema, head, now, cache)
        if plan.events:
            head = await _commit(connection, plan, head, cache)
    cache.committed(head)
    return plan.outcomes


def decide_from_cache(
    commands: Sequence[Command], schema: Schema, now: datetime, cache: AccountCache
) -> CachedPlan | None:
    """Plan `commands` from the cache alone; None if that does not suffice.

    Every command must have a key and cause an event: the log then refuses a key that was used
    before. Only counters of accounts may change.
    """
    needed = needs(commands)
    if not needed.commands or needed.earlier or needed.dated:
        return None
    recalled = cache.recall(needed.accounts, needed.commands)
    if recalled is None:
        return None
    plan = Plan(State(recalled.accounts), {}, recalled.head, schema, now)
    plan.add(commands)
    if len(plan.known) < needed.commands:
        return None
    changed = changed_rows(plan.before, plan.state)
    if changed.policies or changed.transactions or changed.books:
        return None
    return CachedPlan(plan, changed, recalled.head, recalled.stored, cache)


async def _commit_cached(connection: Executor, cached: CachedPlan) -> list[Outcome] | None:
    """Append the events of the plan; None if it turns out not to be right."""
    try:
        head = await log.append(connection, cached.head, cached.plan.events, cached.stored)
    except asyncpg.UniqueViolationError:
        return None  # A key was used before. Its event must be found, and answered again.
    if head is None:
        return None
    cached.cache.moved(cached.changes.moved, head)
    return cached.plan.outcomes


async def _plan(
    connection: Executor,
    commands: Sequence[Command],
    schema: Schema,
    head: log.Head,
    now: datetime,
    cache: AccountCache,
) -> "Plan":
    """Plan `commands` from the database, under the lock of `head`."""
    needed = needs(commands)
    known = await log.find(connection, list(needed.streams | needed.earlier))
    state = await store.load(connection, needed, known, cache)
    plan = Plan(state, known, head, schema, now)
    plan.add(commands)
    return plan


async def _commit(
    connection: Executor, plan: "Plan", head: log.Head, cache: AccountCache
) -> log.Head:
    """Append the events of the plan, store changed rows, and return the head after that."""
    changed = changed_rows(plan.before, plan.state)
    due = cache.take(changed.moved, changed.policies, plan.position)
    after = await log.append(connection, head, plan.events, cache.stored)
    assert after is not None, "the head is locked"
    await store.put(connection, changed, due, plan.position)
    return after


class Plan:
    """What a batch would append, and the outcome of each command. Pure.

    `known` are the streams that exist, with their first events. Events are recorded at `now`, but
    never before the last event at `head`.
    """

    def __init__(
        self,
        state: State,
        known: dict[UUID, Recorded],
        head: log.Head,
        schema: Schema,
        now: datetime,
    ) -> None:
        self.before = state
        self.state = _copy(state)
        self.known = known
        self.position = head.position
        self.events: list[NewEvent] = []
        self.outcomes: list[Outcome] = []
        self._schema = schema
        self._recorded_at = max(head.recorded_at, now)

    def add(self, commands: Sequence[Command]) -> None:
        """Decide one command after the other, and keep their events and outcomes."""
        self.outcomes += map(self._decided, commands)

    def _decided(self, command: Command) -> Outcome:
        try:
            match command:
                case Transfer() | Hold() | Schedule() | Refund() | Capture() | Void() | Cancel():
                    return self._keyed(command)
                case Atomic():
                    return self._atomic(command)
                case Settle():
                    return self._settlement(command)
                case OpenAccount() | ChangeAccount():
                    return self._policy(command)
                case CloseBooks():
                    return self._closing(command)
                case Rehearsal():
                    return self._rehearsal(command)
                case _:
                    assert_never(command)
        except Invalid as problem:
            return problem

    def _keyed(self, command: Keyed) -> Accepted | Refused | KeyReused:
        existing = self.known.get(command.transaction_id)
        if existing is not None:
            return replayed(existing, command)
        decision = decide(command, self.state, self._schema, self._recorded_at)
        if isinstance(decision, Rejection):
            refusal = refused(command, decision, self._recorded_at)
            return Refused(decision, self._append_keyed(command, refusal))
        *openings, event = decision
        for opening in openings:
            self._append_policy(opening)
        return Accepted(self._append_keyed(command, event))

    def _append_keyed(self, command: Keyed, event: Event) -> Recorded:
        recorded = self._append(command.transaction_id, FIRST_VERSION, event)
        self.known[command.transaction_id] = recorded
        return recorded

    def _atomic(self, command: Atomic) -> AllAccepted | NoneAccepted:
        """Accept every part, or undo them all and name the first that is refused."""
        before = self._savepoint()
        parts: list[Accepted] = []
        for index, inner in enumerate(command.commands):
            outcome = self._decided(inner)
            if not isinstance(outcome, Accepted):
                self._undo(before)
                assert isinstance(outcome, Refused | KeyReused | Invalid), "it has a key"
                return NoneAccepted(index, inner.key, outcome)
            parts.append(outcome)
        return AllAccepted(tuple(parts))

    def _rehearsal(self, command: Rehearsal) -> Rehearsed:
        """Decide each command, note what that changes, and undo it."""
        before = self._savepoint()
        outcomes = [self._decided(inner) for inner in command.commands]
        changed = changed_rows(before.state, self.state)
        self._undo(before)
        accounts = sorted((changed.moved | changed.policies).items())
        return Rehearsed(tuple(outcomes), tuple(account for _, account in accounts))

    def _settlement(self, command: Settle) -> Accepted | Refused | Unchanged:
        decision = decide(command, self.state, self._schema, self._recorded_at)
        assert not isinstance(decision, Rejection), "a refusal is an event of the transaction"
        if not decision:
            return Unchanged(self.position)
        *openings, event = decision
        for opening in openings:
            self._append_policy(opening)
        return of_event(self._append(command.about, SECOND_VERSION, event))

    def _policy(self, command: AccountCommand) -> PolicySet | Refused:
        decision = decide(command, self.state, self._schema, self._recorded_at)
        if isinstance(decision, Rejection):
            return Refused(decision)
        recorded = [self._append_policy(event) for event in decision]
        account = self.state.accounts[command.ledger, command.account_id]
        return PolicySet(account, self.position, recorded[-1] if recorded else None)

    def _closing(self, command: CloseBooks) -> Accepted | Refused | Unchanged:
        decision = decide(command, self.state, self._schema, self._recorded_at)
        if isinstance(decision, Rejection):
            return Refused(decision)
        recorded = [self._append_policy(event) for event in decision]
        return Accepted(recorded[-1]) if recorded else Unchanged(self.position)

    def _append_policy(self, event: Event) -> Recorded:
        if isinstance(event, BooksClosed):
            books = self.state.books.get(event.ledger)
            version = FIRST_VERSION if books is None else books.version + 1
            return self._append(books_stream_id(event.ledger), version, event)
        assert isinstance(event, AccountOpened | AccountChanged)
        account = self.state.accounts.get((event.ledger, event.account_id))
        version = FIRST_VERSION if account is None else account.version + 1
        return self._append(account_stream_id(event.ledger, event.account_id), version, event)

    def _append(self, stream_id: UUID, version: int, event: Event) -> Recorded:
        self.position += 1
        recorded = Recorded(self.position, stream_id, version, event)
        self.state.apply(recorded)
        self.events.append((stream_id, version, event))
        return recorded

    def _savepoint(self) -> "_Savepoint":
        return _Savepoint(_copy(self.state), dict(self.known), self.position, len(self.events))

    def _undo(self, to: "_Savepoint") -> None:
        self.state, self.known, self.position = to.state, to.known, to.position
        del self.events[to.events :]


class _Savepoint(msgspec.Struct, frozen=True):
    """What a plan goes back to."""

    state: State
    known: dict[UUID, Recorded]
    position: int
    events: int


def _copy(state: State) -> State:
    return State(dict(state.accounts), dict(state.transactions), dict(state.books), state.followed)


def replayed(existing: Recorded, command: Keyed) -> Accepted | Refused | KeyReused:
    """Return the first outcome again, from its event, if that was of the same command."""
    assert isinstance(existing.event, TransactionEvent)
    if existing.event.fingerprint != command.fingerprint:
        return KeyReused(command.key)
    return of_event(existing, replayed=True)
