"""A second, independent computation of all balances and states, for the tests to compare with.

The bookkeeper reads each event and uses only the docstrings of `events.types` and arithmetic, none
of the program's rules or folds. It keeps all balances as they were after each event, so that every
position can be compared.
"""

from collections import Counter, defaultdict
from datetime import datetime
from uuid import UUID

import msgspec

from events.types import (
    AccountChanged,
    AccountOpened,
    BooksClosed,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Posting,
    Recorded,
    Side,
    Stage,
    Status,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
    account_stream_id,
    books_stream_id,
    transaction_id,
)

Key = tuple[str, str]
NOTHING = (0, 0, 0, 0)


class Counters(msgspec.Struct):
    """What was debited and credited so far, and what is held."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    def all(self) -> tuple[int, int, int, int]:
        """Return them in their usual order."""
        return self.debits_posted, self.credits_posted, self.debits_pending, self.credits_pending


class Policy(msgspec.Struct):
    """What an account is, as its last event says."""

    currency: str
    normal_side: Side
    limit: int | None
    status: Status
    version: int

    def balance(self, counters: tuple[int, int, int, int]) -> int:
        """Return what is posted on the normal side."""
        debits, credits_, _, _ = counters
        return debits - credits_ if self.normal_side is Side.DEBIT else credits_ - debits

    def available(self, counters: tuple[int, int, int, int]) -> int:
        """Return the balance without what may leave at any time."""
        leaving = counters[3] if self.normal_side is Side.DEBIT else counters[2]
        return self.balance(counters) - leaving


class Told(msgspec.Struct):
    """A transaction: how it began, how it stands, and how much of each line was used."""

    event: TransactionEvent
    stage: Stage
    used: list[int]
    ends: int = 0
    code: str | None = None

    @property
    def left(self) -> list[int]:
        """Return what is left of each line."""
        return [
            p.amount_minor - used for p, used in zip(self.event.postings, self.used, strict=True)
        ]

    @property
    def due_at(self) -> datetime | None:
        """Return when something is to happen by itself, if it is still to."""
        if isinstance(self.event, HoldPlaced) and self.stage is Stage.PENDING:
            return self.event.expires_at
        if isinstance(self.event, TransferScheduled) and self.stage is Stage.SCHEDULED:
            return self.event.due_at
        return None


class Bookkeeper:
    """Takes one event after the other, and asserts every promise about it."""

    def __init__(self) -> None:
        self.position = 0
        self.recorded_at: datetime | None = None
        self.versions: Counter[UUID] = Counter()
        self.policies: dict[Key, Policy] = {}
        self.told: dict[UUID, Told] = {}
        self.closed_before: dict[str, datetime] = {}
        self.counters: defaultdict[Key, Counters] = defaultdict(Counters)
        self.pages: list[dict[Key, tuple[int, int, int, int]]] = [{}]

    def at(self, position: int, key: Key) -> tuple[int, int, int, int]:
        """Return an account's four counters after `position`."""
        return self.pages[position].get(key, NOTHING)

    def balance(self, key: Key) -> int:
        """Return an account's balance as of the last event."""
        return self.policies[key].balance(self.at(self.position, key))

    def take(self, recorded: Recorded) -> None:
        """Write one event down."""
        event = recorded.event
        self.position += 1
        self.versions[recorded.originator_id] += 1
        assert recorded.position == self.position
        assert recorded.version == self.versions[recorded.originator_id]
        assert self.recorded_at is None or event.recorded_at >= self.recorded_at
        self.recorded_at = event.recorded_at
        match event:
            case AccountOpened():
                self._opened(recorded, event)
            case AccountChanged():
                self._changed(recorded, event)
            case BooksClosed():
                assert recorded.originator_id == books_stream_id(event.ledger)
                assert event.closed_before <= event.recorded_at
                before = self.closed_before.get(event.ledger)
                assert before is None or before < event.closed_before
                self.closed_before[event.ledger] = event.closed_before
            case HoldExpired():
                assert recorded.originator_id == transaction_id(event.ledger, event.key)
                self._expired(recorded.originator_id, event)
            case TransactionEvent():
                assert recorded.originator_id == transaction_id(event.ledger, event.key)
                assert all(posting.amount_minor > 0 for posting in event.postings)
                self._transaction(recorded, event)
        self.pages.append({key: counters.all() for key, counters in self.counters.items()})
        self._check_page(recorded)

    def _opened(self, recorded: Recorded, event: AccountOpened) -> None:
        assert recorded.originator_id == account_stream_id(event.ledger, event.account_id)
        key = (event.ledger, event.account_id)
        assert key not in self.policies
        assert key not in self.counters, "money moved before there was an account"
        self.counters[key] = Counters()
        self.policies[key] = Policy(
            event.currency, event.normal_side, _number(event.overdraft_limit), Status.OPEN, 1
        )

    def _changed(self, recorded: Recorded, event: AccountChanged) -> None:
        assert recorded.originator_id == account_stream_id(event.ledger, event.account_id)
        key = (event.ledger, event.account_id)
        policy = self.policies[key]
        assert policy.status is not Status.CLOSED, "closed is for good"
        policy.status, policy.limit = event.status, _number(event.overdraft_limit)
        policy.version = recorded.version
        if event.status is Status.CLOSED:
            assert self.counters[key].debits_posted == self.counters[key].credits_posted
            assert self.counters[key].debits_pending == self.counters[key].credits_pending == 0

    def _transaction(self, recorded: Recorded, event: TransactionEvent) -> None:
        transaction = recorded.originator_id
        if recorded.version == 1:
            stage = event.stage
            self.told[transaction] = Told(event, stage, [0] * len(event.postings))
            if isinstance(event, TransferRejected):
                self.told[transaction].code = event.code
        else:
            self._executed(self.told[transaction], event)
        match event:
            case TransferPosted():
                self._posted(event)
            case HoldPlaced():
                assert event.kind is Kind.HOLD
                assert event.expires_at is None or event.expires_at > event.recorded_at
                self._check_allowed(event)
                self._move(event.ledger, event.postings, posted=0, pending=1)
            case HoldVoided():
                assert event.about is not None
                self._release(self.told[event.about], event, Stage.VOIDED)
            case TransferScheduled():
                assert event.due_at > event.recorded_at
            case TransferCancelled():
                assert event.about is not None
                scheduled = self.told[event.about]
                assert scheduled.event.ledger == event.ledger
                assert scheduled.event.postings == event.postings
                self._end(scheduled, Stage.SCHEDULED, Stage.CANCELLED)
            case _:
                assert isinstance(event, TransferRejected)

    def _executed(self, scheduled: Told, event: TransactionEvent) -> None:
        """A scheduled transfer came to its time: it is posted as it was asked for, or refused."""
        first = scheduled.event
        assert isinstance(first, TransferScheduled)
        assert first.due_at <= event.recorded_at
        for name in TransactionEvent.__struct_fields__:
            assert name == "recorded_at" or getattr(first, name) == getattr(event, name)
        self._end(scheduled, Stage.SCHEDULED, event.stage)
        if isinstance(event, TransferRejected):
            scheduled.code = event.code

    def _posted(self, event: TransferPosted) -> None:
        self._check_dated(event)
        self._check_allowed(event)
        match event.kind:
            case Kind.TRANSFER:
                assert event.about is None
            case Kind.REFUND:
                self._check_refund(event)
            case Kind.CAPTURE:
                self._captured(event)
            case _:
                raise AssertionError(event.kind)
        self._move(event.ledger, event.postings, posted=1, pending=0)

    def _check_refund(self, event: TransferPosted) -> None:
        assert event.about is not None
        original = self.told[event.about]
        assert original.stage is Stage.COMPLETED
        assert original.event.kind in (Kind.TRANSFER, Kind.CAPTURE)
        assert original.event.ledger == event.ledger
        for back in event.postings:
            line = original.event.postings[back.line]
            assert (back.debit, back.credit) == (line.credit, line.debit)
            assert back.currency == line.currency
            original.used[back.line] += back.amount_minor
        assert min(original.left) >= 0, "refunded more than was paid"

    def _captured(self, event: TransferPosted) -> None:
        assert event.about is not None
        hold = self.told[event.about]
        assert isinstance(hold.event, HoldPlaced)
        assert hold.event.ledger == event.ledger
        assert hold.stage is Stage.PENDING, "captured after the hold had ended"
        assert hold.due_at is None or hold.due_at > event.recorded_at, "captured after it expired"
        for taken in event.postings:
            line = hold.event.postings[taken.line]
            assert (taken.debit, taken.credit) == (line.debit, line.credit)
            assert taken.currency == line.currency
            hold.used[taken.line] += taken.amount_minor
        assert min(hold.left) >= 0, "captured more than was held"
        self._move(event.ledger, event.postings, posted=0, pending=-1)
        assert event.completes is not any(hold.left)
        if event.completes:
            self._end(hold, Stage.PENDING, Stage.CAPTURED)

    def _expired(self, transaction: UUID, event: HoldExpired) -> None:
        hold = self.told[transaction]
        assert hold.due_at is not None
        assert hold.due_at <= event.recorded_at
        self._release(hold, event, Stage.EXPIRED)

    def _release(self, hold: Told, event: HoldVoided | HoldExpired, stage: Stage) -> None:
        assert isinstance(hold.event, HoldPlaced)
        assert hold.event.ledger == event.ledger
        released = {p.line: (p.debit, p.credit, p.amount_minor, p.currency) for p in event.postings}
        assert len(released) == len(event.postings)
        assert released == {
            line: (p.debit, p.credit, left, p.currency)
            for line, (p, left) in enumerate(zip(hold.event.postings, hold.left, strict=True))
            if left
        }, "captured and released together are what was held"
        self._end(hold, Stage.PENDING, stage)
        self._move(event.ledger, event.postings, posted=0, pending=-1)

    @staticmethod
    def _end(told: Told, before: Stage, after: Stage) -> None:
        assert told.stage is before
        told.stage = after
        told.ends += 1
        assert told.ends == 1, "ended twice"

    def _move(self, ledger: str, postings: tuple[Posting, ...], posted: int, pending: int) -> None:
        assert postings
        for posting in postings:
            amount = posting.amount_minor
            debited = self.counters[ledger, posting.debit]
            debited.debits_posted += posted * amount
            debited.debits_pending += pending * amount
            credited = self.counters[ledger, posting.credit]
            credited.credits_posted += posted * amount
            credited.credits_pending += pending * amount

    def _check_dated(self, event: TransferPosted) -> None:
        date = event.recorded_at if event.effective_at is None else event.effective_at
        assert date <= event.recorded_at
        closed_before = self.closed_before.get(event.ledger)
        assert closed_before is None or date >= closed_before, "dated into closed books"

    def _check_allowed(self, event: TransactionEvent) -> None:
        for posting in event.postings:
            for account_id, side in ((posting.debit, Side.DEBIT), (posting.credit, Side.CREDIT)):
                policy = self.policies[event.ledger, account_id]
                into = side is policy.normal_side
                assert policy.currency == posting.currency
                open_to = (Status.OPEN, Status.FROZEN_OUT if into else Status.FROZEN_IN)
                assert policy.status in open_to

    def _check_page(self, recorded: Recorded) -> None:
        """Compare with the page before: balanced, within the limits, and closed is at rest."""
        net: Counter[tuple[str, str, str]] = Counter()
        for key, policy in self.policies.items():
            now, before = self.at(self.position, key), self.at(self.position - 1, key)
            debits, credits_, debits_pending, credits_pending = now
            net[key[0], policy.currency, "posted"] += debits - credits_
            net[key[0], policy.currency, "pending"] += debits_pending - credits_pending
            assert min(now) >= 0
            if policy.available(now) < policy.available(before) and policy.limit is not None:
                assert policy.available(now) >= -policy.limit, f"{recorded}: below the limit"
            if policy.status is Status.CLOSED:
                assert now == before
                assert (policy.balance(now), debits_pending, credits_pending) == (0, 0, 0)
        assert not any(net.values()), "debits and credits differ"


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
