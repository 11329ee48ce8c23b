"""The auditor's fold: debits equal credits at every position, and nothing is released unheld."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditing.expected_rows import (
    ExpectedEntry,
    ExpectedReference,
    ExpectedTime,
    ExpectedTransactionState,
)
from auditing.replay import AccountKey, ReplayedState, account_references, recorded_times
from events.types import (
    AccountChanged,
    BooksClosed,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Posting,
    Recorded,
    Stage,
    Status,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
    transaction_id,
)
from tests.unit.examples import NOON, OPENED, runs

LATER = NOON + timedelta(days=1)
PEOPLE = ("a", "b", "c")
AboutMoney = TransactionEvent | HoldExpired
SIGNS = {"posted": 1, "held": 1, "released": -1}


class Log:
    """A log under construction: events in their streams, one minute after another."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self._versions: dict[UUID, int] = defaultdict(int)

    def add(self, make: type[AboutMoney], key: str, *postings: Posting, **more: Any) -> UUID:  # noqa: ANN401
        """Append an event to the stream of `key`, and return the stream's id."""
        at = NOON + timedelta(minutes=len(self.events))
        if make is not HoldExpired:
            more.setdefault("fingerprint", "00")
        event = make(ledger="main", key=key, postings=postings, recorded_at=at, **more)
        assert isinstance(event, Event)
        return self.put(transaction_id("main", key), event)

    def put(self, stream: UUID, event: Event) -> UUID:
        """Append an event to a stream."""
        self._versions[stream] += 1
        position = len(self.events) + 1
        self.events.append(Recorded(position, stream, self._versions[stream], event))
        return stream


def posting(debit: str, credit: str, amount: int, line: int = 0, currency: str = "USD") -> Posting:
    """Return a posting."""
    return Posting(debit, credit, amount, currency, line)


def played(
    log: Sequence[Recorded], only: AccountKey | None = None
) -> tuple[ReplayedState, list[ExpectedEntry]]:
    """Return the state of a whole log, and the entries that it makes."""
    state, lines = ReplayedState(only), list[ExpectedEntry]()
    for recorded in log:
        lines += state.fold(recorded)[0]
    return state, lines


def net(state: ReplayedState) -> dict[tuple[str, str, str], int]:
    """Return debits less credits of each ledger and currency, posted and pending."""
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for (ledger, _), tally in state.accounts.items():
        sums[ledger, tally.currency, "posted"] += tally.debits_posted - tally.credits_posted
        sums[ledger, tally.currency, "pending"] += tally.debits_pending - tally.credits_pending
    return sums


@st.composite
def ledgers(draw: st.DrawFn) -> list[Recorded]:
    """Draw a log of moves, holds and what becomes of them, as the command side would write it."""
    log = Log()
    held: dict[UUID, tuple[str, list[Posting], list[int]]] = {}
    posted: list[tuple[UUID, tuple[Posting, ...], list[int]]] = []
    for number in range(draw(st.integers(1, 30))):
        key = f"k{number}"
        step = draw(st.sampled_from(("move", "hold", "capture", "void", "expire", "refund")))
        if step in {"move", "hold"}:
            postings = draw(st.lists(_postings(), min_size=1, max_size=3))
            left = [each.amount_minor for each in postings]
            if step == "move":
                posted.append((log.add(TransferPosted, key, *postings), tuple(postings), left))
            else:
                held[log.add(HoldPlaced, key, *postings, kind=Kind.HOLD)] = (key, postings, left)
        elif step == "refund" and posted:
            about, paid, left = draw(st.sampled_from(posted))
            taken = _taken(draw, paid, left)
            if taken:
                back = [posting(p.credit, p.debit, p.amount_minor, p.line) for p in taken]
                log.add(TransferPosted, key, *back, kind=Kind.REFUND, about=about)
        elif step in {"capture", "void", "expire"} and held:
            about = draw(st.sampled_from(sorted(held)))
            hold, original, left = held[about]
            if step == "capture":
                taken = _taken(draw, original, left)
                more = {"kind": Kind.CAPTURE, "about": about, "completes": not any(left)}
                log.add(TransferPosted, key, *taken, **more)
                if not any(left):
                    del held[about]
                continue
            rest = [
                posting(p.debit, p.credit, left[line], line)
                for line, p in enumerate(original)
                if left[line]
            ]
            del held[about]
            if step == "void":
                log.add(HoldVoided, key, *rest, kind=Kind.VOID, about=about)
            else:
                log.add(HoldExpired, hold, *rest)
    return log.events


def _postings() -> st.SearchStrategy[Posting]:
    return st.builds(
        posting, st.sampled_from(PEOPLE), st.sampled_from(PEOPLE), st.integers(1, 10**38 - 1)
    )


def _taken(draw: st.DrawFn, original: Sequence[Posting], left: list[int]) -> list[Posting]:
    """Draw parts of what is left of some postings, and take them off."""
    taken = []
    for line, each in enumerate(original):
        amount = draw(st.integers(0, left[line]))
        if amount:
            left[line] -= amount
            taken.append(posting(each.debit, each.credit, amount, line))
    return taken


@given(ledgers())
def test_debits_equal_credits_at_every_position(log: list[Recorded]) -> None:
    """Of each currency, posted and pending; and no counter falls below nothing."""
    state = ReplayedState()
    for recorded in log:
        state.fold(recorded)
        assert not any(net(state).values()), recorded
        for tally in state.accounts.values():
            assert min(tally.debits_pending, tally.credits_pending) >= 0
            assert min(tally.debits_posted, tally.credits_posted) >= 0


@given(ledgers())
def test_released_and_captured_never_exceed_held(log: list[Recorded]) -> None:
    """Of each posting of each hold; what is left is what is pending."""
    left: dict[tuple[UUID, int], int] = {}
    for recorded in log:
        event = recorded.event
        assert isinstance(event, TransferPosted | HoldPlaced | HoldVoided | HoldExpired)
        if isinstance(event, HoldPlaced):
            for line, each in enumerate(event.postings):
                left[recorded.originator_id, line] = each.amount_minor
            continue
        about = recorded.originator_id if isinstance(event, HoldExpired) else event.about
        if isinstance(event, TransferPosted) and event.kind is not Kind.CAPTURE:
            continue
        assert about is not None
        for each in event.postings:
            left[about, each.line] -= each.amount_minor
            assert left[about, each.line] >= 0
    state, _ = played(log)
    pending = sum(tally.debits_pending for tally in state.accounts.values())
    assert pending == sum(left.values())


@given(ledgers())
def test_lines_count_what_their_account_has(log: list[Recorded]) -> None:
    """Each line's counters are the sum of the lines up to it; the last ones are the tally's."""
    state, lines = played(log)
    captures = {r.position for r in log if getattr(r.event, "kind", None) is Kind.CAPTURE}
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for line in lines:
        counters = sums[line.ledger, line.account_id]
        side = ("debit", "credit").index(line.side)
        assert line.line % 2 == side
        if line.kind == "posted":
            counters[side] += line.amount
        if line.kind != "posted" or line.position in captures:
            sign = -1 if line.position in captures else SIGNS[line.kind]
            counters[2 + side] += sign * line.amount
        assert counters_of(line) == counters
    for key, tally in state.accounts.items():
        assert counters_of(tally) == sums[key]


@given(ledgers())
def test_nothing_is_used_beyond_its_posting(log: list[Recorded]) -> None:
    """Refunds keep within what was posted, captures within what was held."""
    amounts = {
        r.originator_id: [p.amount_minor for p in r.event.postings]
        for r in log
        if r.version == 1 and isinstance(r.event, TransferPosted | HoldPlaced)
    }
    state, _ = played(log)
    for identity, standing in state.transaction_states.items():
        assert len(standing.used) == len(amounts[identity])
        pairs = zip(standing.used, amounts[identity], strict=True)
        assert all(0 <= used <= amount for used, amount in pairs)
        if standing.stage is Stage.CAPTURED:
            assert standing.used == amounts[identity]


@given(ledgers())
def test_one_account_alone_has_the_lines_that_it_has_among_all(log: list[Recorded]) -> None:
    """What is said of one does not depend on the others."""
    state, lines = played(log)
    for key in state.accounts:
        alone, its_lines = played(log, key)
        assert alone.accounts == {key: state.accounts[key]}
        assert its_lines == [line for line in lines if (line.ledger, line.account_id) == key]


@given(ledgers(), st.data())
def test_the_auditor_goes_on_where_events_are_missing(
    log: list[Recorded], data: st.DataObject
) -> None:
    """Any events may be missing; what is left still balances."""
    kept = [recorded for recorded in log if data.draw(st.booleans())]
    state, _ = played(kept)
    assert not any(net(state).values())


@given(runs())
def test_the_auditor_takes_events_of_any_kind_in_any_order(log: list[Recorded]) -> None:
    """Nothing that the codec can read stops him; a transaction's first event makes its row."""
    state = ReplayedState()
    for recorded in log:
        _, outcome = state.fold(recorded)
        first = recorded.version == 1 and hasattr(recorded.event, "fingerprint")
        assert (outcome is not None) == first
        account_references(recorded)


def test_a_hold_is_captured_in_parts_and_the_rest_voided() -> None:
    """Pending rises and falls, posted only rises, line by line."""
    log = Log()
    hold = log.add(
        HoldPlaced, "h", posting("a", "b", 70), posting("a", "c", 5),
        kind=Kind.HOLD, expires_at=LATER,
    )  # fmt: skip
    begun = ReplayedState()
    begun.fold(log.events[0])
    assert begun.transaction_states == {
        hold: ExpectedTransactionState("main", Stage.PENDING, [0, 0], 1, due_at=LATER)
    }
    capture = posting("a", "b", 30)
    log.add(TransferPosted, "p", capture, kind=Kind.CAPTURE, about=hold, effective_at=NOON)
    log.add(
        HoldVoided, "v", posting("a", "b", 40), posting("a", "c", 5, 1), kind=Kind.VOID, about=hold
    )
    state, lines = played(log.events)
    assert [
        (line.position, line.line, line.account_id, line.kind, line.amount, counters_of(line))
        for line in lines
    ] == [
        (1, 0, "a", "held", 70, [0, 0, 70, 0]),
        (1, 1, "b", "held", 70, [0, 0, 0, 70]),
        (1, 2, "a", "held", 5, [0, 0, 75, 0]),
        (1, 3, "c", "held", 5, [0, 0, 0, 5]),
        (2, 0, "a", "posted", 30, [30, 0, 45, 0]),
        (2, 1, "b", "posted", 30, [0, 30, 0, 40]),
        (3, 0, "a", "released", 40, [30, 0, 5, 0]),
        (3, 1, "b", "released", 40, [0, 30, 0, 0]),
        (3, 2, "a", "released", 5, [30, 0, 0, 0]),
        (3, 3, "c", "released", 5, [0, 0, 0, 0]),
    ]
    assert [line.effective_at for line in lines] == [None] * 4 + [NOON] * 2 + [None] * 4
    at = log.events[2].event.recorded_at
    assert state.transaction_states[hold] == ExpectedTransactionState(
        "main", Stage.VOIDED, [30, 0], 1, position=3, changed_at=at
    )


def test_a_schedule_ends_in_its_own_stream() -> None:
    """Posted, refused or cancelled: one row as submitted, one standing, entries only if posted."""
    log = Log()
    part = posting("a", "b", 4)
    for key in ("done", "refused", "cancelled"):
        log.add(TransferScheduled, key, part, due_at=LATER)
    log.add(TransferPosted, "done", part)
    log.add(TransferRejected, "refused", part, code="insufficient_funds", detail="No money.")
    about = transaction_id("main", "cancelled")
    log.add(TransferCancelled, "c", part, kind=Kind.CANCELLATION, about=about)
    state = ReplayedState()
    outcomes = [state.fold(recorded)[1] for recorded in log.events]
    shown = [outcome and (outcome.stage, outcome.due_at) for outcome in outcomes]
    scheduled = (Stage.SCHEDULED, LATER)
    assert shown == [scheduled] * 3 + [None, None, (Stage.COMPLETED, None)]
    stands = state.transaction_states.values()
    assert [(s.stage, s.code, s.detail, s.due_at, s.position) for s in stands] == [
        (Stage.COMPLETED, None, None, None, 4),
        (Stage.FAILED, "insufficient_funds", "No money.", None, 5),
        (Stage.CANCELLED, None, None, None, 6),
    ]
    assert [len(account_references(recorded)) for recorded in log.events] == [2, 2, 2, 0, 2, 2]
    assert account_references(log.events[0]) == [
        ExpectedReference("main", "a", 1),
        ExpectedReference("main", "b", 1),
    ]
    assert counters_of(state.accounts["main", "a"]) == [4, 0, 0, 0]


SHARED = [
    ((), (None, None, None, None)),
    ((posting("a", "b", 1),), ("a", "b", 1, "USD")),
    ((posting("a", "b", 1), posting("a", "b", 2)), ("a", "b", 3, "USD")),
    ((posting("a", "b", 1), posting("a", "c", 2)), ("a", None, 3, "USD")),
    ((posting("a", "c", 1), posting("b", "c", 2)), (None, "c", 3, "USD")),
    ((posting("a", "b", 1), posting("x", "y", 2, 0, "EUR")), (None, None, 1, "USD")),
]


@pytest.mark.parametrize("postings, summary", SHARED)
def test_a_transaction_shows_what_its_postings_share(
    postings: tuple[Posting, ...], summary: tuple[object, ...]
) -> None:
    """Source and destination of all; the sum in the first one's currency; all, if several."""
    log = Log()
    log.add(TransferRejected, "k", *postings, code="account_closed", detail="It is closed.")
    _, outcome = ReplayedState().fold(log.events[0])
    assert outcome is not None
    assert summary == (
        outcome.source_account_id,
        outcome.destination_account_id,
        outcome.amount,
        outcome.currency,
    )
    assert (outcome.postings is not None) == (len(postings) > 1)
    assert (outcome.code, outcome.detail) == ("account_closed", "It is closed.")


def test_policy_and_closings_are_the_last_ones_said() -> None:
    """With the version of their streams; the counters stay as they are."""
    log = Log()
    stream, books_stream = UUID(int=1), UUID(int=2)
    log.put(stream, OPENED)
    change = AccountChanged(
        ledger="main", account_id="customer:1", status=Status.CLOSED, overdraft_limit="7",
        recorded_at=LATER, metadata={"b": True},
    )  # fmt: skip
    log.put(stream, change)
    for day in (NOON, LATER):
        log.put(books_stream, BooksClosed(ledger="main", closed_before=day, recorded_at=LATER))
    state, _ = played(log.events)
    tally = state.accounts["main", "customer:1"]
    assert (tally.status, tally.overdraft_limit, tally.version) == (Status.CLOSED, 7, 2)
    assert (tally.metadata, tally.opened_at, tally.policy_position) == ('{"b":true}', NOON, 2)
    assert (tally.last_position, tally.last_at) == (1, NOON)
    closing = state.closings["main"]
    assert (closing.closed_before, closing.version, closing.position) == (LATER, 2, 4)


def test_a_moment_is_the_last_position_of_its_time() -> None:
    """One commit records all its events at one time."""
    log = Log()
    for at in (NOON, NOON, LATER):
        log.put(UUID(int=3), BooksClosed(ledger="main", closed_before=NOON, recorded_at=at))
    assert recorded_times(log.events) == [ExpectedTime(NOON, 2), ExpectedTime(LATER, 3)]
    assert recorded_times([]) == []


def test_plain_transfers_are_not_remembered() -> None:
    """Memory is bounded by accounts and by what may still change untold."""
    log = Log()
    for number in range(5):
        log.add(TransferPosted, f"k{number}", posting("a", "b", 1))
    log.add(TransferRejected, "no", posting("a", "b", 1), code="x", detail="y")
    about = transaction_id("main", "k2")
    log.add(TransferPosted, "r", posting("b", "a", 1), kind=Kind.REFUND, about=about)
    state, _ = played(log.events)
    assert state.transaction_states.keys() == {about}


def counters_of(row: Any) -> list[int]:  # noqa: ANN401 - a line or a tally
    """Return the four counters in the glossary's order."""
    names: Iterable[str] = (f"{side}_{state}" for state in ("posted", "pending") for side in SIDES)
    return [getattr(row, name) for name in names]


SIDES = ("debits", "credits")
