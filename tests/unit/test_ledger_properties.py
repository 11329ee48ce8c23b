"""Whatever is asked, in whatever batches: the promises hold at every position of the log.

A ledger in memory drives the writer's own batch (decide + evolve, one decision after the other),
and keeps between two batches exactly what the database keeps between two transactions.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from command_side.accounts import Account, AccountKey, evolve
from command_side.batch import Done, Outcome, _Decided
from command_side.commands import (
    ChangeAccount,
    Command,
    Keyed,
    OpenAccount,
    Refund,
    Transfer,
    accounts_of,
)
from command_side.decide import Original, State
from events import codec
from events.replay import Books, Line
from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Event,
    Recorded,
    Status,
    TransferPosted,
    TransferRejected,
    transaction_id,
)
from projections import catch_up
from projections.balances import Balance
from projections.entries import Entry
from projections.transactions import Transaction
from runtime.problems import Rejected
from tests.unit.examples import NOON, SCHEMA

Asked = TypeVar("Asked", bound=Command)

LEDGERS = ("main", "other")
CURRENCIES = ("USD", "EUR", "JPY")
ACCOUNTS = (
    "world",
    "customer:1",
    "customer:2",
    "asset:1",
    "line:1",
    "listed:1",
    "capped:1",
    "none",
)
KEYS = tuple(f"key-{number}" for number in range(12))
# Refunds name anything that a client could: transactions that are there, or will be, or never.
REFUNDABLE = tuple(transaction_id(ledger, key) for ledger in LEDGERS for key in KEYS)

_LEDGER = st.sampled_from(("main", "main", "main", "other"))
_CURRENCY = st.sampled_from(("USD", "USD", "USD", "EUR", "JPY"))
_ACCOUNT = st.sampled_from(ACCOUNTS)
_KEY = st.sampled_from(KEYS)
_AMOUNT = st.integers(1, 20_000) | st.just(10**38 - 1)
_LIMIT = st.none() | st.integers(0, 10_000)
_SIDES = st.tuples(_ACCOUNT, _ACCOUNT).filter(lambda sides: sides[0] != sides[1])

TRANSFERS = st.builds(
    lambda sides, **fields: Transfer(source=sides[0], destination=sides[1], **fields),
    _SIDES | st.tuples(st.just("world"), _ACCOUNT.filter(lambda name: name != "world")),
    ledger=_LEDGER,
    key=_KEY,
    amount=_AMOUNT,
    currency=_CURRENCY,
)
REFUNDS = st.builds(
    Refund,
    ledger=_LEDGER,
    key=_KEY,
    refund_of=st.sampled_from(REFUNDABLE[: len(KEYS)]) | st.sampled_from(REFUNDABLE),
    amount=st.none() | st.integers(1, 20_000),
    currency=st.none() | _CURRENCY,
)
OPENINGS = st.builds(
    OpenAccount,
    ledger=_LEDGER,
    account_id=_ACCOUNT,
    currency=_CURRENCY,
    overdraft_limit=st.just(msgspec.UNSET) | _LIMIT,
)
CHANGES = st.builds(
    ChangeAccount,
    ledger=_LEDGER,
    account_id=_ACCOUNT,
    status=st.just(msgspec.UNSET) | st.sampled_from(Status),
    overdraft_limit=st.just(msgspec.UNSET) | _LIMIT,
    currency=_CURRENCY,
)
# Money that comes in under a few keys, and parts of it that go back: refunds that meet each other.
FUNDS = st.builds(
    Transfer,
    ledger=st.just("main"),
    key=st.sampled_from(KEYS[:3]),
    source=st.just("world"),
    destination=st.sampled_from(("customer:1", "customer:2")),
    amount=st.integers(5_000, 20_000),
    currency=st.just("USD"),
)
PARTIAL_REFUNDS = st.builds(
    Refund,
    ledger=st.just("main"),
    key=st.sampled_from(KEYS[3:]),
    refund_of=st.sampled_from(REFUNDABLE[:3]),
    amount=st.none() | st.integers(1, 8_000),
)
POLICIES = st.builds(
    ChangeAccount,
    ledger=st.just("main"),
    account_id=st.sampled_from(("customer:1", "customer:2")),
    status=st.just(msgspec.UNSET) | st.sampled_from((Status.OPEN, Status.OPEN, Status.FROZEN)),
    overdraft_limit=_LIMIT,
    currency=st.just("USD"),
)
COMMANDS = st.one_of(
    *(TRANSFERS, TRANSFERS, FUNDS, FUNDS, REFUNDS, PARTIAL_REFUNDS, PARTIAL_REFUNDS),
    *(OPENINGS, CHANGES, POLICIES),
)


class Ledger:
    """The database in memory: what a batch finds there, and what it leaves."""

    def __init__(self) -> None:
        self.log: list[Recorded] = []
        self.accounts: dict[AccountKey, Account] = {}
        self.refunded: dict[UUID, int] = {}

    def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Decide a batch as the writer does, from what it would load, and store what it would."""
        known = self._known(commands)
        decided = _Decided(self._state(commands, known), known, len(self.log))
        for command in commands:
            decided.take(command, SCHEMA, NOON)
        for stream_id, version, event in decided.events:
            self.log.append(Recorded(len(self.log) + 1, stream_id, version, event))
        assert decided.position == len(self.log)
        self.accounts |= decided.state.accounts
        self.refunded |= decided.refunded
        return decided.outcomes

    def _known(self, commands: Sequence[Command]) -> dict[UUID, Recorded]:
        streams = {transaction_id(c.ledger, c.key) for c in commands if isinstance(c, Keyed)}
        streams |= {c.refund_of for c in commands if isinstance(c, Refund)}
        return {
            found.originator_id: found
            for found in self.log
            if found.version == 1 and found.originator_id in streams
        }

    def _state(self, commands: Sequence[Command], known: dict[UUID, Recorded]) -> State:
        wanted = {(c.ledger, account_id) for c in commands for account_id in accounts_of(c)}
        originals = {}
        for command in commands:
            if isinstance(command, Refund) and command.refund_of in known:
                event = known[command.refund_of].event
                refunded = self.refunded.get(command.refund_of, 0)
                originals[command.refund_of] = Original(event, refunded)
                wanted |= set(touched(event))
        found = {key: self.accounts[key] for key in wanted if key in self.accounts}
        return State(accounts=found, originals=originals)


def touched(event: Event) -> list[AccountKey]:
    """Return the accounts that `event` moves money of."""
    if not isinstance(event, TransferPosted):
        return []
    return [(event.ledger, name) for p in event.postings for name in (p.debit, p.credit)]


def batches(commands: Sequence[Asked], sizes: Sequence[int]) -> Iterator[Sequence[Asked]]:
    """Cut `commands` into batches of `sizes`, over and over."""
    start, turn = 0, 0
    while start < len(commands):
        yield commands[start : start + sizes[turn % len(sizes)]]
        start, turn = start + sizes[turn % len(sizes)], turn + 1


def run(commands: Sequence[Command], sizes: Sequence[int]) -> tuple[Ledger, list[Outcome]]:
    """Append `commands` to an empty ledger in batches of `sizes`."""
    ledger, outcomes = Ledger(), list[Outcome]()
    for batch in batches(commands, sizes):
        outcomes += ledger.append(batch)
    return ledger, outcomes


class Tables:
    """The read models in memory: what one page finds there, and what it leaves."""

    def __init__(self) -> None:
        self.accounts: dict[AccountKey, tuple[Any, ...]] = {}
        self.balances: dict[AccountKey, Balance] = {}
        self.entries: list[Entry] = []
        self.transactions: dict[UUID, Transaction] = {}
        self.refunded: dict[UUID, int] = defaultdict(int)

    def apply(self, events: Sequence[Recorded]) -> None:
        """Fold one page on top of the balances of its accounts, and put its rows."""
        wanted = {key for recorded in events for key in touched(recorded.event)}
        known = {k: msgspec.structs.replace(b) for k, b in self.balances.items() if k in wanted}
        page = catch_up.fold(events, known)
        for opened in page.opened:
            key = (opened.ledger, opened.account_id)
            assert key not in self.accounts
            self.accounts[key] = (opened.currency, opened.overdraft_limit, opened.status)
        for key, changed in page.changed.items():
            currency, *_ = self.accounts[key]
            self.accounts[key] = (currency, changed.overdraft_limit, changed.status)
        self.balances |= page.balances
        self.entries += page.entries
        for transaction in page.transactions:
            assert transaction.transaction_id not in self.transactions
            self.transactions[transaction.transaction_id] = transaction
        for transaction_key, amount in page.refunded.items():
            self.refunded[transaction_key] += amount

    def rows(self) -> bytes:
        """Return every row, in one order, as bytes."""
        return msgspec.json.encode(
            [
                sorted(self.accounts.items()),
                sorted(self.balances.items(), key=lambda item: item[0]),
                self.entries,
                list(self.transactions.values()),
                sorted(self.refunded.items()),
            ]
        )


def projected(log: Sequence[Recorded], sizes: Sequence[int]) -> Tables:
    """Fold the whole log in pages of `sizes`."""
    tables, start, turn = Tables(), 0, 0
    while start < len(log):
        size = sizes[turn % len(sizes)]
        tables.apply(log[start : start + size])
        start, turn = start + size, turn + 1
    return tables


def replayed(log: Sequence[Recorded]) -> tuple[Books, list[Line]]:
    """Return the auditor's books, and the entries that he expects."""
    books, lines = Books(), list[Line]()
    for recorded in log:
        lines += books.take(recorded)[0]
    return books, lines


def check_log(log: Sequence[Recorded]) -> None:
    """Walk the log with a bookkeeper's arithmetic, and assert the promises at every position."""
    accounts: dict[AccountKey, Account] = {}
    versions: dict[UUID, int] = defaultdict(int)
    originals: dict[UUID, TransferPosted] = {}
    refunded: dict[UUID, int] = defaultdict(int)
    for expected_position, recorded in enumerate(log, start=1):
        assert recorded.position == expected_position
        versions[recorded.originator_id] += 1
        assert recorded.version == versions[recorded.originator_id]
        event = recorded.event
        before = dict(accounts)
        evolve(accounts, event)
        check_balanced(accounts.values())
        if isinstance(event, TransferPosted | TransferRejected):
            assert recorded.originator_id == transaction_id(event.ledger, event.key)
            assert recorded.version == 1, "one key had two effects"
        if isinstance(event, TransferPosted):
            check_moved(event, before, accounts)
            if event.refund_of is None:
                originals[recorded.originator_id] = event
            else:
                original = originals[event.refund_of]
                refunded[event.refund_of] += event.postings[0].amount_minor
                check_refund(event, original, refunded[event.refund_of])
        if isinstance(event, AccountChanged):
            was = before[event.ledger, event.account_id]
            assert was.status is not Status.CLOSED, "closed is for good"
            assert event.status is not Status.CLOSED or was.balance == 0


def check_balanced(accounts: Iterable[Account]) -> None:
    """Debits equal credits, per ledger and currency of the accounts themselves."""
    net: dict[tuple[str, str], int] = defaultdict(int)
    for account in accounts:
        net[account.ledger, account.currency] += account.debits_posted - account.credits_posted
    assert not any(net.values())


def check_moved(
    event: TransferPosted, before: dict[AccountKey, Account], after: dict[AccountKey, Account]
) -> None:
    """Assert that every account that money moved in allowed it."""
    for key in touched(event):
        account = after[key]
        assert account.status is Status.OPEN
        assert {posting.currency for posting in event.postings} == {account.currency}
        if account.balance < before[key].balance and account.overdraft_limit is not None:
            assert account.balance >= -account.overdraft_limit, "below the overdraft limit"


def check_refund(event: TransferPosted, original: TransferPosted, total: int) -> None:
    """Assert that a refund reverses its original, and that all of them keep within it."""
    (posting,), (reversed_,) = original.postings, event.postings
    assert (reversed_.debit, reversed_.credit) == (posting.credit, posting.debit)
    assert (event.ledger, reversed_.currency) == (original.ledger, posting.currency)
    assert 0 < total <= posting.amount_minor, "refunded more than was paid"


def check_views(ledger: Ledger, tables: Tables) -> None:
    """Assert that the command side, the projections and the auditor say the same."""
    books, lines = replayed(ledger.log)
    folded: dict[AccountKey, Account] = {}
    for recorded in ledger.log:
        evolve(folded, recorded.event)
    assert folded == ledger.accounts
    assert tables.refunded == ledger.refunded
    assert folded.keys() == books.accounts.keys() == tables.balances.keys()
    for key, account in folded.items():
        tally, balance = books.accounts[key], tables.balances[key]
        counters = (account.debits_posted, account.credits_posted)
        assert counters == (tally.debits, tally.credits)
        assert counters == (balance.debits_posted, balance.credits_posted)
        assert account.balance == tally.balance == balance.balance
        assert balance.position == tally.last_position
        limit = None if account.overdraft_limit is None else str(account.overdraft_limit)
        assert (account.currency, limit, account.status) == tables.accounts[key]
        policy = (account.currency, account.overdraft_limit, account.status)
        assert policy == (tally.currency, tally.overdraft_limit, tally.status)
    shown = [
        Line(
            entry.ledger,
            entry.account_id,
            entry.position,
            entry.line,
            entry.transaction_id,
            str(entry.side),
            int(entry.amount),
            entry.currency,
            entry.balance,
            entry.recorded_at,
        )
        for entry in tables.entries
    ]
    assert shown == lines


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@settings(max_examples=150)
@given(commands=st.lists(COMMANDS, max_size=40), sizes=SIZES, pages=SIZES)
def test_the_promises_hold_after_any_commands(
    commands: list[Command], sizes: list[int], pages: list[int]
) -> None:
    """Balanced at every position, no account below its limit, no refund too many, all views one."""
    ledger, outcomes = run(commands, sizes)
    assert len(outcomes) == len(commands)
    check_log(ledger.log)
    check_views(ledger, projected(ledger.log, pages))


@settings(max_examples=60)
@given(commands=st.lists(COMMANDS, max_size=40), sizes=SIZES)
def test_batches_change_nothing(commands: list[Command], sizes: list[int]) -> None:
    """One by one or many at once: the same events in the same places, the same answers."""
    singly, one_by_one = run(commands, [1])
    together, in_batches = run(commands, sizes)
    assert together.log == singly.log
    assert together.accounts == singly.accounts
    assert together.refunded == singly.refunded
    assert [shown(o) for o in in_batches] == [shown(o) for o in one_by_one]


def shown(outcome: Outcome) -> object:
    """Return what a client sees of an outcome, in a form that compares."""
    return outcome if isinstance(outcome, Done) else (type(outcome), str(outcome))


@settings(max_examples=60)
@given(commands=st.lists(COMMANDS, min_size=1, max_size=40), pages=SIZES, others=SIZES)
def test_read_models_are_the_same_bytes_whatever_the_pages(
    commands: list[Command], pages: list[int], others: list[int]
) -> None:
    """Replaying is deterministic, also through the codec."""
    log = run(commands, [5])[0].log
    again = [
        Recorded(
            r.position,
            r.originator_id,
            r.version,
            codec.decode(r.event.topic, codec.encode(r.event)),
        )
        for r in log
    ]
    assert projected(again, others).rows() == projected(log, pages).rows()


@settings(max_examples=60)
@given(data=st.data(), commands=st.lists(COMMANDS, min_size=1, max_size=30), sizes=SIZES)
def test_a_repeated_command_is_answered_again_and_does_nothing(
    data: st.DataObject, commands: list[Command], sizes: list[int]
) -> None:
    """Retries in any order, any number of times, in any batches: not one more event."""
    ledger, _ = run(commands, sizes)
    length = len(ledger.log)
    keyed = [command for command in commands if isinstance(command, Keyed)]
    retries = data.draw(st.lists(st.sampled_from(keyed), max_size=20) if keyed else st.just([]))
    for batch in batches(retries, sizes):
        for command, outcome in zip(batch, ledger.append(batch), strict=True):
            first = next(
                r
                for r in ledger.log
                if r.originator_id == transaction_id(command.ledger, command.key)
            )
            check_replayed(command, first, outcome)
    assert len(ledger.log) == length


def check_replayed(command: Keyed, first: Recorded, outcome: Outcome) -> None:
    """Assert the answer to a command whose key was used: the same again, or `reused`."""
    assert isinstance(first.event, TransferPosted | TransferRejected)
    if first.event.fingerprint == command.fingerprint:
        assert outcome == Done(first.position, first, replayed=True)
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.code == "idempotency_key_reused"


@settings(max_examples=40)
@given(commands=st.lists(COMMANDS, max_size=30), copies=st.integers(2, 4))
def test_duplicates_within_one_batch_make_one_effect(commands: list[Command], copies: int) -> None:
    """A storm of the same command in a single batch appends what one of them would."""
    once, _ = run([c for c in commands if isinstance(c, Keyed)], [100])
    storm, _ = run([c for c in commands if isinstance(c, Keyed) for _ in range(copies)], [1000])
    assert storm.log == once.log


@settings(max_examples=60)
@given(commands=st.lists(COMMANDS, max_size=40), sizes=SIZES)
def test_ledgers_share_nothing(commands: list[Command], sizes: list[int]) -> None:
    """What happens in one ledger is the same whether another one is busy or not."""
    both, _ = run(commands, sizes)
    for name in LEDGERS:
        alone, _ = run([command for command in commands if command.ledger == name], [3])
        assert [r.event for r in both.log if r.event.ledger == name] == [r.event for r in alone.log]


class Business(RuleBasedStateMachine):
    """A clerk who watches the books after every batch, and sends things again."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.tables = Tables()
        self.sent: list[Keyed] = []
        self.checkpoint = 0

    @rule(batch=st.lists(COMMANDS, min_size=1, max_size=8))
    def submit(self, batch: list[Command]) -> None:
        """Append a batch of anything."""
        self.ledger.append(batch)
        self.sent += [command for command in batch if isinstance(command, Keyed)]

    @rule(
        account=_ACCOUNT.filter(lambda name: name != "world"),
        amount=st.integers(1, 9_999),
        key=_KEY,
    )
    def fund(self, account: str, amount: int, key: str) -> None:
        """Bring money in, so that there is something to move and to refund."""
        command = Transfer(
            ledger="main",
            key=key,
            source="world",
            destination=account,
            amount=amount,
            currency="USD",
        )
        self.ledger.append([command])
        self.sent.append(command)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Send something again; no event may come of it."""
        length = len(self.ledger.log)
        self.ledger.append([data.draw(st.sampled_from(self.sent))])
        assert len(self.ledger.log) == length

    @rule(events_max=st.integers(1, 7))
    def project(self, events_max: int) -> None:
        """Apply one more page to the read models."""
        page = self.ledger.log[self.checkpoint : self.checkpoint + events_max]
        self.tables.apply(page)
        self.checkpoint += len(page)

    @invariant()
    def the_log_is_sound(self) -> None:
        """Every promise about the log, at every position."""
        check_log(self.ledger.log)

    def teardown(self) -> None:
        """Catch up, and compare all views."""
        self.tables.apply(self.ledger.log[self.checkpoint :])
        check_views(self.ledger, self.tables)


TestBusiness = Business.TestCase
TestBusiness.settings = settings(max_examples=30, stateful_step_count=15)


def test_the_examples_reach_every_kind_of_event_and_the_amounts_stay_ordered() -> None:
    """The properties above are about something: a fixed run shows each event and a refund."""
    fund = Transfer(
        ledger="main", key="1", source="world", destination="customer:1", amount=5, currency="USD"
    )
    commands: list[Command] = [
        fund,
        Refund(ledger="main", key="2", refund_of=transaction_id("main", "1"), amount=2),
        Refund(ledger="main", key="3", refund_of=transaction_id("main", "1")),
        Refund(ledger="main", key="4", refund_of=transaction_id("main", "1")),
        ChangeAccount(ledger="main", account_id="customer:1", status=Status.CLOSED, currency="USD"),
        fund,
    ]
    ledger, outcomes = run(commands, [6])
    assert [type(r.event) for r in ledger.log] == [
        *(AccountOpened, AccountOpened, TransferPosted, TransferPosted, TransferPosted),
        *(TransferRejected, AccountChanged),
    ]
    assert all(isinstance(outcome, Done) for outcome in outcomes)
    assert all(a.position < b.position for a, b in pairwise(ledger.log))
    assert ledger.refunded == {transaction_id("main", "1"): 5}
    check_log(ledger.log)
    check_views(ledger, projected(ledger.log, [2, 3]))
