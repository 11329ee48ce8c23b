"""The folds of audit replay: what they tell adds up, and what they leave out they say."""

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from auditing.explain.counters import NOTHING, counters_of
from auditing.explain.difference import Comparing, Difference
from auditing.explain.explanation import Explaining, Explanation
from auditing.explain.sentences import sentence
from auditing.explain.story import Step, Story
from auditing.explain.trial_balance import trial_balance
from auditing.replay import ReplayedState
from events.types import (
    AccountChanged,
    BooksClosed,
    Event,
    Kind,
    Recorded,
    Stage,
    Status,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
    accounts_of,
    transaction_id,
)
from tests.unit.examples import NOON, OPENED, SCHEMA
from tests.unit.test_replay import LATER, PEOPLE, Log, ledgers, played, posting

PERSON = st.sampled_from(PEOPLE)


def concerning(log: Sequence[Recorded], account_id: str) -> list[Recorded]:
    """Return the events of a log of movements that name an account."""
    return [r for r in log if account_id in accounts_of(getattr(r.event, "postings", ()))]


def told(log: Sequence[Recorded], account_id: str) -> list[Step]:
    """Return an account's story."""
    story = Story("main", account_id, SCHEMA.decimals)
    return [story.take(recorded) for recorded in concerning(log, account_id)]


def explained(
    log: Sequence[Recorded], account_id: str, kept_max: int = 1_000, *, newest_first: bool = True
) -> Explanation:
    """Return an explanation of an account's balance at the end of a log."""
    story = Story("main", account_id, SCHEMA.decimals)
    explaining = Explaining(kept_max, newest_first=newest_first)
    for recorded in concerning(log, account_id):
        explaining.take(story.take(recorded), recorded.event)
    assert story.account is not None
    return explaining.explanation("main", account_id, len(log), story.account)


def compared(log: Sequence[Recorded], first: int, second: int) -> Difference:
    """Return the difference between two positions of a log."""
    comparing = Comparing()
    for recorded in log[:first]:
        comparing.pass_by(recorded)
    for recorded in log[first:second]:
        comparing.take(recorded)
    begun = {r.originator_id: r.position for r in reversed(log)}
    return comparing.difference(first, second, begun)


# --- stories ------------------------------------------------------------------------------------


@given(ledgers(), PERSON)
def test_a_story_ends_where_the_books_end(log: list[Recorded], person: str) -> None:
    """Step by step: each change leads from one balance to the next, the last is the auditor's."""
    steps = told(log, person)
    assert [step.position for step in steps] == [r.position for r in concerning(log, person)]
    state, left, balance = ReplayedState(), list(steps), 0
    for recorded in log:
        state.fold(recorded)
        if left and left[0].position == recorded.position:
            step = left.pop(0)
            balance += step.change
            assert step.counters.balance == balance
            assert step.counters == counters_of(state.accounts.get(("main", person)))


def test_a_story_tells_what_names_the_account_and_moved_nothing() -> None:
    """A refusal is a step, too; it says why."""
    log = Log()
    log.add(TransferPosted, "k1", posting("a", "b", 500))
    log.add(TransferRejected, "k2", posting("b", "a", 900), code="insufficient_funds", detail="No.")
    moved, refused = told(log.events, "b")
    assert (moved.moved, moved.change, moved.counters.balance) == (True, 500, 500)
    assert (refused.moved, refused.change, refused.counters) == (False, 0, moved.counters)
    assert (refused.key, refused.transaction_id) == ("k2", transaction_id("main", "k2"))
    assert refused.sentence == (
        "Transfer refused (insufficient_funds): debit 9.00 USD against a did not happen."
    )


SENTENCES: list[tuple[Event, str]] = [
    (OPENED, "Opened as customer (liability, credit-normal) in USD, no overdraft."),
    (
        AccountChanged(
            ledger="main", account_id="customer:1", status=Status.FROZEN, overdraft_limit=None,
            recorded_at=NOON,
        ),
        "Policy set: frozen, unlimited overdraft.",
    ),
    (
        AccountChanged(
            ledger="main", account_id="customer:1", status=Status.OPEN, overdraft_limit="150",
            recorded_at=NOON,
        ),
        "Policy set: open, overdraft up to 1.50 USD.",
    ),
    (
        BooksClosed(ledger="main", closed_before=NOON, recorded_at=LATER),
        "Books closed before 2026-01-31T12:00:00.123456Z.",
    ),
    (
        TransferPosted(
            ledger="main", key="k", fingerprint="", recorded_at=LATER, effective_at=NOON,
            reference="INV-1", description="Fees",
            postings=(posting("customer:1", "fees", 250), posting("x", "y", 1)),
        ),
        (
            "Transfer: debit 2.50 USD against fees, INV-1, “Fees”, "
            "effective 2026-01-31T12:00:00.123456Z."
        ),
    ),
    (
        TransferPosted(
            ledger="main", key="k", fingerprint="", recorded_at=LATER, kind=Kind.REFUND,
            about=UUID(int=7), postings=(posting("fees", "customer:1", 250),),
        ),
        "Refund: credit 2.50 USD against fees, of 00000000-0000-0000-0000-000000000007.",
    ),
    (
        TransferScheduled(
            ledger="main", key="k", fingerprint="", recorded_at=NOON, due_at=NOON,
            postings=(posting("customer:1", "fees", 250),),
        ),
        "Scheduled for 2026-01-31T12:00:00.123456Z: debit 2.50 USD against fees.",
    ),
    (
        TransferCancelled(
            ledger="main", key="k", fingerprint="", recorded_at=NOON,
            postings=tuple(posting("customer:1", f"p{n}", 250) for n in range(8)),
        ),
        (
            f"Schedule cancelled: {', '.join(f'debit 2.50 USD against p{n}' for n in range(5))}, "
            "and 3 more will not happen."
        ),
    ),
]  # fmt: skip


def test_sentences_are_told_from_the_accounts_side() -> None:
    """Only its own postings, in units, with whatever was attached."""
    for event, expected in SENTENCES:
        assert sentence(event, "customer:1", "USD", SCHEMA.decimals) == expected


# --- explanations -------------------------------------------------------------------------------


@given(ledgers(), PERSON, st.integers(0, 5), st.sampled_from(("newest", "oldest")))
def test_explained_amounts_add_up_to_the_balance(
    log: list[Recorded], person: str, kept_max: int, first: str
) -> None:
    """Those shown and those left out; and by kind, all of them."""
    newest_first = first == "newest"
    state = played(log)[0]
    if ("main", person) not in state.accounts:
        return
    found = explained(log, person, kept_max, newest_first=newest_first)
    balance = state.accounts["main", person].balance
    assert found.counters.balance == balance
    assert len(found.contributions) <= kept_max
    assert sum(made.amount for made in found.contributions) + found.left_out.amount == balance
    assert sum(each.amount for each in found.by_kind.values()) == balance
    events = sum(each.events for each in found.by_kind.values())
    assert events == len(found.contributions) + found.left_out.events
    order = [made.position for made in found.contributions]
    assert order == sorted(order, reverse=newest_first)


def test_the_contributions_kept_are_the_nearest_ones() -> None:
    """The last ones newest first, the first ones oldest first."""
    log = Log()
    for number in range(1, 6):
        log.add(TransferPosted, f"k{number}", posting("a", "b", number))
    newest = explained(log.events, "b", 2)
    assert [made.amount for made in newest.contributions] == [5, 4]
    assert (newest.left_out.events, newest.left_out.amount) == (3, 6)
    oldest = explained(log.events, "b", 2, newest_first=False)
    assert [made.amount for made in oldest.contributions] == [1, 2]
    assert (oldest.left_out.events, oldest.left_out.amount) == (3, 12)


# --- differences --------------------------------------------------------------------------------


@given(ledgers(), st.data())
def test_a_difference_is_empty_if_and_only_if_nothing_was_recorded(
    log: list[Recorded], data: st.DataObject
) -> None:
    """Else it leads from the one state to the other."""
    first = data.draw(st.integers(0, len(log)))
    second = data.draw(st.integers(first, len(log)))
    found = compared(log, first, second)
    assert found.event_count == second - first == len(found.events)
    if first == second:
        assert (found.accounts, found.standings) == ([], [])
        assert (found.began, found.closed_books) == ({}, {})
    before, after = played(log[:first])[0].accounts, played(log[:second])[0].accounts
    changed = {(change.ledger, change.account_id): change for change in found.accounts}
    for key, tally in after.items():
        was = counters_of(before.get(key))
        change = changed.pop(key, None)
        if change is None:
            assert was == counters_of(tally)
        else:
            assert (change.before, change.after) == (was, counters_of(tally))
            assert first < change.first_position <= second
    assert not changed


def test_a_difference_shows_policies_standings_and_books() -> None:
    """What was, and what is; what is new is counted, and no change."""
    log = Log()
    log.put(UUID(int=1), OPENED)
    paid = log.add(TransferPosted, "paid", posting("a", "customer:1", 900))
    frozen = AccountChanged(
        ledger="main", account_id="customer:1", status=Status.FROZEN, overdraft_limit="0",
        recorded_at=LATER,
    )  # fmt: skip
    log.put(UUID(int=1), frozen)
    new = log.add(TransferPosted, "new", posting("a", "b", 5))
    for about, key in ((paid, "r1"), (new, "r2")):
        back = posting("b", "a", 2)
        log.add(TransferPosted, key, back, kind=Kind.REFUND, about=about)
    log.put(UUID(int=2), BooksClosed(ledger="main", closed_before=NOON, recorded_at=LATER))
    found = compared(log.events, 2, len(log.events))
    by_id = {change.account_id: change for change in found.accounts}
    assert by_id["customer:1"].policy == {"status": ("open", "frozen")}
    assert by_id["customer:1"].before == by_id["customer:1"].after
    assert by_id["b"].before == NOTHING
    (change,) = found.standings
    assert (change.transaction_id, change.used_before, change.used_after) == (paid, 0, 2)
    assert (change.before, change.after) == (Stage.COMPLETED, Stage.COMPLETED)
    assert found.began == {"COMPLETED": 3}
    assert found.closed_books == {"main": (None, NOON)}


# --- trial balance ------------------------------------------------------------------------------


@given(ledgers())
def test_a_trial_balance_balances(log: list[Recorded]) -> None:
    """Per currency, posted and pending; account by account it is the auditor's state."""
    accounts = played(log)[0].accounts
    found = trial_balance(len(log), accounts)
    assert found.balanced
    assert [(row.ledger, row.account_id) for row in found.accounts] == sorted(accounts)
    for row in found.accounts:
        assert row.counters == counters_of(accounts[row.ledger, row.account_id])
    assert sum(row.counters.debits_posted for row in found.accounts) == sum(
        sums.debits_posted for sums in found.totals.values()
    )
