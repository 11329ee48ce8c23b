"""Check every command and its answer against a model, and compare all books after each batch."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from command_side.domain.commands import (
    Atomic,
    Capture,
    ChangeAccount,
    CloseBooks,
    Command,
    Keyed,
    Movement,
    OpenAccount,
    Refund,
    Rehearsal,
    Schedule,
    Settle,
)
from command_side.domain.rejections import Code, Rejection
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
)
from events.types import (
    AccountOpened,
    HoldPlaced,
    Kind,
    Recorded,
    Side,
    Stage,
    TransactionEvent,
    TransferPosted,
    TransferRejected,
    accounts_of,
)
from projections.folds.entries import EntryRow
from projections.folds.entries import Movement as Moved
from runtime.problems import Problem
from tests.unit.in_memory_writer import Ledger, Tables, projected
from tests.unit.reference_bookkeeper import NOTHING, Bookkeeper, Key
from tests.unit.refusal_oracle import has_grounds


class Witness:
    """`seen` counts what happened, so that a run can be asked whether it was about anything."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.tables = Tables()
        self.books = Bookkeeper()
        self.answers: dict[UUID, Recorded] = {}
        self.schedules: dict[UUID, Schedule] = {}
        self.now: datetime | None = None
        self.seen: Counter[str] = Counter()

    def submit(self, commands: Sequence[Command], now: datetime) -> None:
        """Append a batch, and check every answer and every new event in turn."""
        self.now = now
        rehearsed = self._rehearsed(commands, now)
        outcomes = self.ledger.append(commands, now)
        assert len(outcomes) == len(commands)
        if rehearsed is not None:
            assert list(map(_comparable, rehearsed.outcomes)) == list(map(_comparable, outcomes))
            for account in rehearsed.accounts:
                assert self.ledger.accounts[account.ledger, account.account_id] == account
        for command, outcome in zip(commands, outcomes, strict=True):
            match command:
                case Atomic():
                    self._together(command, outcome)
                case Settle():
                    self._settled(command, outcome)
                case OpenAccount() | ChangeAccount() | CloseBooks():
                    self._unkeyed(command, outcome)
                case Rehearsal():
                    raise AssertionError(command)
                case _:
                    self._keyed(command, outcome)
        assert self.books.position == len(self.ledger.log), "an event that nobody was told about"
        self._check_command_side()

    def _rehearsed(self, commands: Sequence[Command], now: datetime) -> Rehearsed | None:
        """Rehearse what clients may rehearse, which excludes settlements, and see no effect."""
        asked = tuple(
            command for command in commands if not isinstance(command, Settle | Rehearsal)
        )
        if len(asked) < len(commands) or not asked:
            return None
        before = (
            len(self.ledger.log),
            dict(self.ledger.accounts),
            dict(self.ledger.transaction_states),
        )
        (outcome,) = self.ledger.append([Rehearsal(ledger="", commands=asked)], now)
        after = (
            len(self.ledger.log),
            dict(self.ledger.accounts),
            dict(self.ledger.transaction_states),
        )
        assert after == before
        self.seen["asked first"] += 1
        assert isinstance(outcome, Rehearsed), outcome
        return outcome

    def project(self, page_max: int) -> None:
        """Bring the read models up to date, page by page, and compare them."""
        entries_before = len(self.tables.entries)
        while self.tables.position < len(self.ledger.log):
            start = self.tables.position
            self.tables.apply(self.ledger.log[start : start + page_max])
        self._check_entries(self.tables.entries[entries_before:])
        self._check_tables()

    def finish(self, pages: Sequence[int]) -> None:
        """Compare all balances at every position, and the same read models by other pages."""
        self.project(7)
        self._check_past()
        for sizes in (pages, [1], [10_000]):
            assert projected(self.ledger.log, sizes).everything() == self.tables.everything()

    # Answers.

    def _read(self, recorded: Recorded) -> None:
        """Take the event of an answer, and the openings by use before it."""
        while self.books.position < recorded.position - 1:
            opening = self.ledger.log[self.books.position]
            assert isinstance(opening.event, AccountOpened)
            assert isinstance(recorded.event, TransactionEvent)
            assert opening.event.account_id in accounts_of(recorded.event.postings)
            self.books.take(opening)
            self.seen["opened by use"] += 1
        assert self.ledger.log[recorded.position - 1] == recorded
        self.books.take(recorded)
        self.seen[recorded.event.topic] += 1

    def _keyed(self, command: Keyed, outcome: Outcome) -> None:
        first = self.answers.get(command.transaction_id)
        if first is not None:
            self._check_repeated(command, first, outcome)
            return
        assert isinstance(outcome, Accepted | Refused), outcome
        assert not outcome.replayed
        recorded = outcome.recorded
        assert recorded is not None, outcome
        event = recorded.event
        assert isinstance(event, TransactionEvent)
        assert recorded.originator_id == command.transaction_id
        assert event.fingerprint == command.fingerprint
        assert event.kind == command.kind
        assert isinstance(event, TransferRejected) == isinstance(outcome, Refused)
        if isinstance(event, TransferRejected):
            assert isinstance(outcome, Refused)
            assert outcome.rejection == Rejection(Code(event.code), event.detail)
            self._check_refusal(event.code, command)
            self._read(recorded)
        else:
            self._check_versions(command)
            self._read(recorded)
            self._check_effect(command, event)
        self.answers[command.transaction_id] = recorded
        if isinstance(command, Schedule):
            self.schedules[command.transaction_id] = command

    def _check_repeated(self, command: Keyed, first: Recorded, outcome: Outcome) -> None:
        """The same again, word by word; or the key was used for something else."""
        assert isinstance(first.event, TransactionEvent)
        if first.event.fingerprint == command.fingerprint:
            assert isinstance(outcome, Accepted | Refused), outcome
            assert (outcome.recorded, outcome.replayed) == (first, True)
            self.seen["replayed"] += 1
        else:
            assert outcome == KeyReused(command.key)
            self.seen["reused"] += 1

    def _check_refusal(self, code: str, command: Command) -> None:
        assert self.now is not None
        assert has_grounds(code, self.books, command, self.now), f"{code} without grounds"
        self.seen[code] += 1

    def _check_effect(self, command: Keyed, event: TransactionEvent) -> None:
        """Exactly what was asked for, and the conditions hold."""
        assert self.now is not None
        assert event.recorded_at == self.now
        if isinstance(command, Movement):
            assert event.postings == command.postings
            assert event.rate == command.rate
            self.seen["several postings"] += len(event.postings) > 1
            self.seen["exchanged"] += event.rate is not None
            if not isinstance(command, Schedule):
                self._check_bounds(command)
        else:
            assert event.about == command.about
        if isinstance(command, Refund | Capture):
            asked = None if command.parts is None else [(p.line, p.amount) for p in command.parts]
            done = [(p.line, p.amount_minor) for p in event.postings]
            told = self.books.told[command.about]
            assert done == asked if asked is not None else not any(told.left)
            self.seen[f"{command.kind} of {told.event.topic}"] += 1
            self.seen[f"{command.kind} whole"] += not any(told.left)
            self.seen[f"{command.kind} in part"] += any(told.left)
            self.seen[f"{command.kind} of {told.event.kind}"] += 1
        if isinstance(event, TransferPosted):
            assert event.effective_at == getattr(command, "effective_at", None)
            self.seen["dated back"] += event.effective_at is not None

    def _check_versions(self, command: Keyed) -> None:
        for condition in command.conditions if isinstance(command, Movement) else ():
            policy = self.books.policies.get((command.ledger, condition.account_id))
            if condition.version is not None and not isinstance(command, Schedule):
                assert condition.version == (1 if policy is None else policy.version)

    def _check_bounds(self, command: Movement) -> None:
        for condition in command.conditions:
            balance = self.books.balance((command.ledger, condition.account_id))
            assert condition.balance_min is None or balance >= condition.balance_min
            assert condition.balance_max is None or balance <= condition.balance_max
            self.seen["condition kept"] += 1

    def _together(self, command: Atomic, outcome: Outcome) -> None:
        if isinstance(outcome, NoneAccepted):
            # That nothing is left of it follows from the positions of the next answers.
            assert outcome.key == command.commands[outcome.index].key
            self.seen["none of several"] += 1
            self.seen["none after some"] += outcome.index > 0
            return
        assert isinstance(outcome, AllAccepted), outcome
        assert outcome.position == max(part.position for part in outcome.parts)
        assert outcome.replayed is all(part.replayed for part in outcome.parts)
        for inner, part in zip(command.commands, outcome.parts, strict=True):
            assert not isinstance(part.recorded.event, TransferRejected)
            self._keyed(inner, part)
        self.seen["all of several"] += len(command.commands) > 1

    def _settled(self, command: Settle, outcome: Outcome) -> None:
        assert self.now is not None
        told = self.books.told.get(command.about)
        due = told is not None and told.due_at is not None and told.due_at <= self.now
        assert isinstance(outcome, Unchanged) is not due
        if isinstance(outcome, Unchanged):
            assert outcome.position == self.books.position
            self.seen["settled nothing"] += 1
            return
        assert isinstance(outcome, Accepted | Refused), outcome
        assert outcome.recorded is not None
        assert told is not None
        used = any(told.used)
        event = outcome.recorded.event
        if isinstance(event, TransferRejected):
            self._check_refusal(event.code, self.schedules[command.about])
        self._read(outcome.recorded)
        self.seen[f"settled {event.topic}"] += 1
        self.seen["expired after a capture"] += used

    def _unkeyed(self, command: OpenAccount | ChangeAccount | CloseBooks, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            assert outcome.recorded is None, "the log keeps no refusal without a key"
            self._check_refusal(outcome.rejection.code, command)
            return
        assert isinstance(outcome, Accepted | PolicySet | Unchanged), outcome
        recorded = None if isinstance(outcome, Unchanged) else outcome.recorded
        if recorded is None:
            assert outcome.position == self.books.position
            self.seen["changed nothing"] += 1
        else:
            self._read(recorded)
        if isinstance(command, CloseBooks):
            assert self.books.closed_before[command.ledger] == command.closed_before
            return
        assert isinstance(outcome, PolicySet)
        account = outcome.account
        policy = self.books.policies[command.ledger, command.account_id]
        assert (account.version, account.status) == (policy.version, policy.status)
        assert account.overdraft_limit == policy.limit
        if isinstance(command, ChangeAccount):
            changed = recorded is not None
            assert command.expected_version in (None, policy.version - changed)
            self.seen[f"became {policy.status}"] += changed
            moved = self.books.at(self.books.position, (command.ledger, command.account_id))
            self.seen["closed after use"] += policy.status == "closed" and moved != NOTHING

    # Views.

    def _check_command_side(self) -> None:
        """Compare what deciding goes by with the books."""
        assert self.ledger.accounts.keys() == self.books.policies.keys()
        for key, account in self.ledger.accounts.items():
            policy, now = self.books.policies[key], self.books.at(self.books.position, key)
            assert now == (
                *(account.debits_posted, account.credits_posted),
                *(account.debits_pending, account.credits_pending),
            )
            assert account.balance == policy.balance(now)
            assert account.available == policy.available(now)
            assert (account.currency, account.normal_side) == (policy.currency, policy.normal_side)
            assert account.overdraft_limit == policy.limit
            assert (account.status, account.version) == (policy.status, policy.version)
        for transaction_id, told in self.books.told.items():
            earlier = self.ledger.earlier(transaction_id)
            assert (earlier.event, earlier.stage) == (told.event, told.stage)
            assert (list(earlier.used), earlier.due_at) == (told.used, told.due_at)
        # What is due is found by these rows.
        assert {
            transaction_id: row["due_at"]
            for transaction_id, row in self.ledger.transaction_states.items()
            if row["due_at"] is not None
        } == {key: told.due_at for key, told in self.books.told.items() if told.due_at is not None}
        closed = {ledger: books.closed_before for ledger, books in self.ledger.books.items()}
        assert closed == self.books.closed_before

    def _check_entries(self, added: Sequence[EntryRow]) -> None:
        """The last line of an account at a position shows its counters there."""
        for key, entry in {(e.ledger, e.account_id, e.position): e for e in added}.items():
            assert self.books.at(entry.position, key[:2]) == counters(entry)

    def _check_tables(self) -> None:
        rows, last = self.tables.rows, self.books.position
        assert rows.accounts.keys() == rows.balances.keys() == self.books.policies.keys()
        for key, policy in self.books.policies.items():
            account, balance = rows.accounts[key], rows.balances[key]
            assert (account.status, account.version) == (policy.status, policy.version)
            assert account.overdraft_limit == policy.limit
            assert (account.currency, account.normal_side) == (policy.currency, policy.normal_side)
            assert counters(balance) == self.books.at(last, key)
            assert balance.as_of == self.ledger.log[balance.position - 1].event.recorded_at
        assert self.tables.transactions.keys() == self.books.told.keys()
        for transaction_id, told in self.books.told.items():
            shown = self.tables.transactions[transaction_id]
            state = rows.transaction_states.get(transaction_id)
            if state is None:
                assert (shown.stage, shown.code) == (told.stage, told.code)
                assert not any(told.used)
                continue
            used = state.used + [0] * (len(told.used) - len(state.used))
            assert (state.stage, used) == (told.stage, told.used)
            assert state.code == told.code
        closed = {ledger: books.closed_before for ledger, books in rows.books.items()}
        assert closed == self.books.closed_before
        moments = {recorded.event.recorded_at: recorded.position for recorded in self.ledger.log}
        assert {at: row.position for at, row in rows.recorded_times.items()} == moments

    def _check_past(self) -> None:
        """Every balance at every position, and every line's counters from the lines before it."""
        lines: dict[Key, list[EntryRow]] = {key: [] for key in self.books.policies}
        for entry in self.tables.entries:
            lines[entry.ledger, entry.account_id].append(entry)
        for key, entries in lines.items():
            shown, running = iter([*entries, None]), [0, 0, 0, 0]
            coming = next(shown)
            for position in range(len(self.ledger.log) + 1):
                while coming is not None and coming.position == position:
                    add(running, coming, self.ledger.log[position - 1])
                    assert counters(coming) == tuple(running)
                    coming = next(shown)
                assert self.books.at(position, key) == tuple(running)


def add(running: list[int], entry: EntryRow, recorded: Recorded) -> None:
    """Add one line to an account's four counters."""
    amount, side = entry.amount, 0 if entry.side is Side.DEBIT else 1
    assert isinstance(recorded.event, TransactionEvent) or entry.kind is Moved.RELEASED
    match entry.kind:
        case Moved.POSTED:
            running[side] += amount
            if getattr(recorded.event, "kind", None) is Kind.CAPTURE:
                running[2 + side] -= amount
        case Moved.HELD:
            assert isinstance(recorded.event, HoldPlaced)
            assert recorded.event.stage is Stage.PENDING
            running[2 + side] += amount
        case Moved.RELEASED:
            running[2 + side] -= amount


def counters(row: object) -> tuple[int, ...]:
    """Return the four counters of a row of any view."""
    names = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
    return tuple(getattr(row, name) for name in names)


def _comparable(outcome: Outcome) -> object:
    """Return an outcome in a form that compares."""
    return str(outcome.__dict__) if isinstance(outcome, Problem) else outcome
