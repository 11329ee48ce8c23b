"""One transaction of the log: many commands in, one outcome each.

A process that was the last to append knows the head, and most accounts as of it. It decides without
asking (`foresee`), and one statement does the rest:

    1   insert events       if the head is still there; it is locked and moved, and relays are woken

Whatever takes more, or finds the head moved or a key used, is decided under the lock:

    #   round trip          why
    1   BEGIN
    2   lock events.head    from here on nobody else decides
    3   log since           only if others have appended, or at the start: what became of accounts
    4   known events        which commands were done before; what follow-ups are about
    5   what deciding needs and this process doesn't remember: accounts; if asked for, how earlier
                            transactions stand, and closed books
    6   insert events       as above
    7   put what changed    policies, standings and books at once; of the accounts that were only
                            moved, those that have not been stored for the longest
    8   COMMIT              durable from here on

A refused command fails alone; it never fails its batch. A rehearsal is decided among the others,
and whatever it changed is put back.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from command_side.domain.account import Account, AccountKey
from command_side.domain.commands import (
    AccountCommand,
    Atomic,
    CloseBooks,
    Command,
    Keyed,
    Rehearsal,
    Request,
    Settle,
    Single,
    accounts_of,
    singles,
)
from command_side.domain.decide import decide
from command_side.domain.records import refused
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import State
from command_side.writer import store
from command_side.writer.account_cache import WorkingSet
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
    TransferRejected,
    account_stream_id,
    books_stream_id,
)
from runtime.database import Executor
from runtime.problems import Invalid, Outdated, Problem, Rejected

NewEvent = tuple[UUID, int, Event]


class Done(msgspec.Struct, frozen=True):
    """What became of a command: its own event (None if nothing had to change), and its place.

    Of an atomic command: what became of each of its `parts`. Of a rehearsal: what would, and the
    accounts that it would change, as it would leave them.
    """

    position: int
    recorded: Recorded | None
    account: Account | None = None
    replayed: bool = False
    parts: tuple["Outcome", ...] = ()
    changed: tuple[Account, ...] = ()


Outcome = Done | Problem


async def append_batch(
    connection: Executor,
    commands: Sequence[Command],
    schema: Schema,
    now: datetime,
    working: WorkingSet | None = None,
    foreseen: "Foreseen | None" = None,
) -> list[Outcome]:
    """Decide `commands` in order and append what they cause, in one transaction.

    Without a working set, which is one process's, nothing is stored late. What was `foreseen` of
    these very commands is not decided again.
    """
    working = working or WorkingSet(late_events_max=0)
    foreseen = foreseen or foresee(commands, schema, now, working)
    if foreseen is not None and foreseen.working is working:
        outcomes = await _in_one_statement(connection, foreseen)
        if outcomes is not None:
            return outcomes
    async with connection.transaction():
        head = await log.lock_head(connection)
        await working.catch_up(connection, head)
        decided = await _decided(connection, commands, schema, head, now, working)
        if decided.events:
            changes = store.changes(decided.before, decided.state)
            _check_balanced(changes.accounts, decided.before)
            due = working.take(changes.moved, changes.policies, decided.position)
            left = await log.append(connection, head, decided.events, working.stored)
            assert left is not None, "the head is locked"
            head = left
            await store.put(connection, changes, due, decided.position)
    working.keep(head)
    return decided.outcomes


class Foreseen(msgspec.Struct, frozen=True):
    """What becomes of commands if nobody else has moved the head, and no key was used before."""

    working: WorkingSet
    head: log.Head
    decided: "_Decided"
    moved: dict[AccountKey, Account]


def foresee(
    commands: Sequence[Command], schema: Schema, now: datetime, working: WorkingSet
) -> Foreseen | None:
    """Decide on what is remembered, without asking anybody; None if it takes more.

    Every key must become an event: only then the log says whether it was used before.
    """
    head = working.head
    each = list(singles(commands))
    if head is None or not each or store.about(each) or store.dating(each):
        return None
    accounts = working.recall({key for command in each for key in accounts_of(command)})
    if accounts is None or working.owes(len(accounts), head.position + len(each)):
        return None
    decided = _Decided(State(accounts), {}, head.position, schema, head.at(now))
    decided.take(commands)
    if len(decided.known) < len(each):
        return None
    changes = store.changes(decided.before, decided.state)
    if changes.policies or changes.standings or changes.books:
        return None
    _check_balanced(changes.accounts, decided.before)
    return Foreseen(working, head, decided, changes.moved)


async def _in_one_statement(connection: Executor, foreseen: Foreseen) -> list[Outcome] | None:
    """Append what is foreseen; None if it is not as it was foreseen."""
    working, decided = foreseen.working, foreseen.decided
    try:
        left = await log.append(connection, foreseen.head, decided.events, working.stored)
    except asyncpg.UniqueViolationError:
        return None  # Some command was done before: it is to be found, and answered again.
    if left is None:
        return None
    due = working.take(foreseen.moved, {}, decided.position)
    assert not due, "nothing had to be stored"
    working.keep(left)
    return decided.outcomes


async def _decided(
    connection: Executor,
    commands: Sequence[Command],
    schema: Schema,
    head: log.Head,
    now: datetime,
    working: WorkingSet,
) -> "_Decided":
    each = list(singles(commands))
    known = await log.find(connection, _streams(each))
    state = await store.load(connection, each, known, working)
    decided = _Decided(state, known, head.position, schema, head.at(now))
    decided.take(commands)
    return decided


class _Decided:
    """The batch as it grows: every decision sees those before it."""

    def __init__(
        self,
        state: State,
        known: dict[UUID, Recorded],
        position: int,
        schema: Schema,
        recorded_at: datetime,
    ) -> None:
        self.state = state
        self.known = known
        self.position = position
        self.schema = schema
        self.recorded_at = recorded_at
        self.before = state.copy()
        self.events: list[NewEvent] = []
        self.outcomes: list[Outcome] = []

    def take(self, commands: Sequence[Command]) -> None:
        """Decide one command after the other, and keep their events and outcomes."""
        self.outcomes += map(self._outcome, commands)

    def _outcome(self, command: Command) -> Outcome:
        try:
            match command:
                case Request():
                    return self._keyed(command)
                case Atomic():
                    return self._together(command)
                case Rehearsal():
                    return self._rehearsed(command)
                case Settle():
                    return self._settled(command)
                case _:
                    return self._unkeyed(command)
        except Invalid as problem:
            return problem

    def _keyed(self, command: Keyed) -> Outcome:
        existing = self.known.get(command.transaction_id)
        if existing is not None:
            return replayed(existing, command)
        decision = decide(command, self.state, self.schema, self.recorded_at)
        if isinstance(decision, Rejection):
            decision = [refused(command, decision, self.recorded_at)]
        *openings, own = decision
        for opening in openings:
            self._log_policy(opening)
        recorded = self._log(command.transaction_id, FIRST_VERSION, own)
        self.known[command.transaction_id] = recorded
        return Done(recorded.position, recorded)

    def _together(self, command: Atomic) -> Outcome:
        """Take all, or put everything back as it was and name the first that was refused."""
        before = self._now()
        parts: list[Done] = []
        for index, inner in enumerate(command.commands):
            outcome = self._outcome(inner)
            problem = refusal(outcome)
            if problem is not None:
                self._back(before)
                problem.extensions |= {"index": index, "idempotencyKey": inner.key}
                return problem
            assert isinstance(outcome, Done)
            parts.append(outcome)
        last = max(part.position for part in parts)
        return Done(last, None, replayed=all(p.replayed for p in parts), parts=tuple(parts))

    def _rehearsed(self, command: Rehearsal) -> Done:
        """Take each, look at what that changes, and put everything back as it was."""
        before = self._now()
        outcomes = [self._outcome(inner) for inner in command.commands]
        changed = store.changes(before.state, self.state).accounts
        self._back(before)
        changed.sort(key=lambda account: (account.ledger, account.account_id))
        return Done(self.position, None, parts=tuple(outcomes), changed=tuple(changed))

    def _now(self) -> "_Moment":
        return _Moment(self.state.copy(), dict(self.known), self.position, len(self.events))

    def _back(self, then: "_Moment") -> None:
        self.state, self.known, self.position = then.state, then.known, then.position
        del self.events[then.events :]

    def _settled(self, command: Settle) -> Outcome:
        decision = decide(command, self.state, self.schema, self.recorded_at)
        assert not isinstance(decision, Rejection)
        if not decision:
            return Done(self.position, None)
        *openings, own = decision
        for opening in openings:
            self._log_policy(opening)
        recorded = self._log(command.about, SECOND_VERSION, own)
        return Done(recorded.position, recorded)

    def _unkeyed(self, command: AccountCommand | CloseBooks) -> Outcome:
        decision = decide(command, self.state, self.schema, self.recorded_at)
        if isinstance(decision, Rejection):
            return rejected(decision.code, decision.detail)
        recorded = [self._log_policy(event) for event in decision]
        account = (
            None
            if isinstance(command, CloseBooks)
            else self.state.accounts[command.ledger, command.account_id]
        )
        return Done(self.position, recorded[-1] if recorded else None, account)

    def _log_policy(self, event: Event) -> Recorded:
        if isinstance(event, BooksClosed):
            books = self.state.books.get(event.ledger)
            version = FIRST_VERSION if books is None else books.version + 1
            return self._log(books_stream_id(event.ledger), version, event)
        assert isinstance(event, AccountOpened | AccountChanged)
        account = self.state.accounts.get((event.ledger, event.account_id))
        version = FIRST_VERSION if account is None else account.version + 1
        return self._log(account_stream_id(event.ledger, event.account_id), version, event)

    def _log(self, stream_id: UUID, version: int, event: Event) -> Recorded:
        self.position += 1
        recorded = Recorded(self.position, stream_id, version, event)
        self.state.apply(recorded)
        self.events.append((stream_id, version, event))
        return recorded


class _Moment(msgspec.Struct, frozen=True):
    """What a batch comes back to when what it did since is put back."""

    state: State
    known: dict[UUID, Recorded]
    position: int
    events: int


def _streams(commands: Sequence[Single]) -> list[UUID]:
    """Return the streams to look up: the commands' own, and those that they are about."""
    own = {command.transaction_id for command in commands if isinstance(command, Request)}
    return list(own | store.about(commands))


def replayed(existing: Recorded, command: Keyed) -> Outcome:
    """Return the first outcome again, rebuilt from its event, if this is the same command."""
    assert isinstance(existing.event, TransactionEvent)
    if existing.event.fingerprint != command.fingerprint:
        detail = f"The idempotency key {command.key!r} was used for a different command."
        return Rejected("idempotency_key_reused", detail)
    return Done(existing.position, existing, replayed=True)


def refusal(outcome: Outcome) -> Problem | None:
    """Return why a command has no effect, if it has none."""
    if isinstance(outcome, Problem):
        return outcome
    event = outcome.recorded.event if outcome.recorded else None
    return rejected(event.code, event.detail) if isinstance(event, TransferRejected) else None


def rejected(code: str, detail: str, **more: Any) -> Rejected:  # noqa: ANN401 - as of a Problem
    """Return a refusal as the problem that it is over HTTP."""
    kind = Outdated if code == Code.VERSION_CONFLICT else Rejected
    return kind(code, detail, **more)


def _check_balanced(changed: Sequence[Account], state: State) -> None:
    """Assert that debits equal credits per currency, from the account rows and not the events."""
    posted, pending = defaultdict[str, int](int), defaultdict[str, int](int)
    for account in changed:
        posted[account.currency] += account.debits_posted - account.credits_posted
        pending[account.currency] += account.debits_pending - account.credits_pending
        before = state.accounts.get((account.ledger, account.account_id))
        if before is not None:
            posted[before.currency] -= before.debits_posted - before.credits_posted
            pending[before.currency] -= before.debits_pending - before.credits_pending
    assert not any(posted.values()), f"debits and credits posted differ: {dict(posted)}"
    assert not any(pending.values()), f"debits and credits pending differ: {dict(pending)}"
