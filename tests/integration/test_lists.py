"""Lists show what a simple model of the log shows, page by page, in both directions."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from command_side.domain.commands import Command, Hold, OpenAccount
from events import transaction_view
from events.types import AccountType, Kind, Side, Stage, Status, transaction_id
from query_side import lists
from query_side.accounts import answers as accounts
from query_side.app import ROLE
from query_side.entries import answers as entries
from query_side.entries.parameters import EntryKindFilter
from query_side.lists import ListPage
from runtime import database
from tests.integration import fixtures, reference_lists
from tests.integration.fixtures import SCHEMA, START, several, transfer
from tests.list_requests import list_request

SEEDS = (1, 2, 3)
EXAMPLES = 100
TOGETHER_MAX = 4
PAGES_MAX = 2_000
# Nobody and nothing by these names: filters that match nothing are filters, too.
ACCOUNTS = (
    *("alice", "bob", "carol", "bank:main", "world", "empty", "credit-line:1", "revenue:fees"),
    *("alice:eur", "exchange:USD", "tokyo", "pauper", "nobody"),
)
KEYS = (
    *("fund-alice", "split", "hold-part", "hold-whole", "hold-void", "later-carol", "cap-3", "no"),
    *("exchange", "hold-expiring", "later-bob", "later-pauper", "too-much", "r3"),
)
NOTES = {
    "metadata.ok": ("true", "True"),
    "metadata.a": ("null", "", "x"),
    "metadata.z": ("-5", "0", "3"),
    "metadata.class_version": ("not ours", "not our_"),
    "metadata.why": ("refused",),
    "metadata.tier": ("b", "c"),
    "metadata.a.b c": ("%", "1"),
    "metadata.none": ("null",),
}
TEXTS = (
    "",
    "inv",
    "AUTH-1",
    "GRÜ",
    "ße, 東",
    "%",
    "_",
    "0% o",
    "\\",
    '"AL',
    "hold",
    "LATER-",
    "r1",
)
EXTRA: list[Command] = [
    transfer("wild%", description="100% of a_b", metadata={"a.b c": 1, "a": "null"}),
    transfer("plain", "world", "bob", 5, reference="INV-2", metadata={"ok": "true", "z": "3"}),
    transfer("dated", "world", "bob", 6, effective_at=START - timedelta(days=2)),
    # On an account that a credit takes from.
    Hold(ledger="demo", key="to-bank", postings=several(("world", "bank:main", 5, "USD"))),
    OpenAccount(ledger="demo", account_id="noted", currency="EUR", metadata={"tier": "%b"}),
]


def asked(list_: "Asking") -> st.SearchStrategy[dict[str, str]]:
    """Draw a few parameters of a list together; all at once would hardly ever match anything."""
    names = st.lists(st.sampled_from([*list_.parameters, ""]), max_size=TOGETHER_MAX, unique=True)
    return names.flatmap(
        lambda some: st.fixed_dictionaries(
            {name: st.sampled_from(list_.parameters[name]) for name in some if name}
        )
    ).flatmap(_with_currency)


def _with_currency(parameters: dict[str, str]) -> st.SearchStrategy[dict[str, str]]:
    """Add the currency of amounts, which is required; the yen has no decimals."""
    if not any(name.endswith(("_min", "_max")) for name in parameters):
        return st.just(parameters)
    return st.sampled_from(CURRENCIES).map(lambda currency: _said(parameters, currency))


def _said(parameters: dict[str, str], currency: str | None) -> dict[str, str]:
    if currency is None:
        return parameters
    whole = not SCHEMA.decimals(currency)
    return {"currency": currency} | {
        name: text.partition(".")[0] if whole and name.endswith(("_min", "_max")) else text
        for name, text in parameters.items()
        if name != "currency"
    }


# The times of commits and of what was dated back, just before and just after; and any others.
COMMITS = [START + timedelta(seconds=37 * 13 * batch) for batch in range(12)]
COMMITS += [START + timedelta(hours=3), START + timedelta(hours=4)]
DATED = [START - timedelta(days=20), START - timedelta(days=2)]
NEXT_TO = [
    moment + timedelta(microseconds=off) for moment in (*COMMITS, *DATED) for off in (-1, 0, 1)
]
DAYS = ("2026-01-10", "2026-01-31", "2026-01-28T22:00", "2020-01-01", "2030-01-01T00:00Z")
MOMENTS = (*(moment.isoformat() for moment in NEXT_TO), *DAYS)
AMOUNTS = ("0", "0.01", "0.30", "0.99", "1", "7.00", "10", "15", "25", "600", "1e18", "1e35")
BALANCES = (*AMOUNTS, "-1", "-25.00", "-1000", "-1e12")
CURRENCIES = ("USD", "EUR", "JPY", "GBP")
IDS = tuple(str(transaction_id(ledger, key)) for ledger in ("demo", "other") for key in KEYS)
PREFIXES = ("", "a", "alice", "alice:", "bank", "c", "z", "exchange:USD")


class Asking(NamedTuple):
    """A list's name, its parameters, and whether it begins at its greatest key."""

    name: str
    parameters: dict[str, tuple[str, ...]]
    descending: bool = True
    of_account: bool = False


def _range(name: str, values: tuple[str, ...], *ends: str) -> dict[str, tuple[str, ...]]:
    return {f"{name}_{end}": values for end in ends}


ENTRY_PARAMETERS = {
    "kind": (*EntryKindFilter,),
    "side": (*Side,),
    "currency": CURRENCIES,
    "transaction_id": IDS,
    **_range("amount", AMOUNTS, "min", "max"),
    **_range("recorded", MOMENTS, "from", "to"),
    **_range("effective", MOMENTS, "from", "to"),
}
LISTS = (
    Asking(
        "transactions",
        {
            "account": ACCOUNTS,
            "status": (*Stage,),
            "kind": (*Kind,),
            "currency": CURRENCIES,
            "reference": ("INV-1", "AUTH-1", "inv-1", ""),
            "text": TEXTS,
            "about": IDS,
            **_range("amount", AMOUNTS, "min", "max"),
            **_range("created", MOMENTS, "from", "to"),
            **_range("effective", MOMENTS, "from", "to"),
            **NOTES,
        },
    ),
    Asking("entries", {"account": ACCOUNTS, **ENTRY_PARAMETERS}),
    Asking("ledger", ENTRY_PARAMETERS, of_account=True),
    Asking(
        "accounts",
        {
            "class": ("customer", "external", "revenue", "none"),
            "type": (*AccountType,),
            "status": (*Status,),
            "currency": CURRENCIES,
            "prefix": PREFIXES,
            "text": (*TEXTS, "ALI", "B"),
            **_range("opened", MOMENTS, "from", "to"),
            **_range("balance", BALANCES, "min", "max"),
            **NOTES,
        },
        descending=False,
    ),
    Asking("audit-trail", {}, of_account=True),
)


class World(NamedTuple):
    """Read models of a rich log, and the simple model of the same log."""

    pool: database.Pool
    books: dict[str, reference_lists.Books]


class Walk(NamedTuple):
    """Whose list is walked, in which order, and in what steps."""

    ledger: str
    account: str
    order: str | None
    limit: int
    keys_max: int


WALKS = st.builds(
    Walk,
    st.sampled_from(["demo", "demo", "other"]),
    st.sampled_from(ACCOUNTS),
    st.sampled_from([None, "asc", "desc"]),
    st.integers(2, 9) | st.just(500),
    st.integers(3, 60) | st.just(lists.KEYS_MAX),
)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("list_", LISTS, ids=lambda list_: list_.name)
def test_every_walk_shows_what_a_plain_reading_of_the_log_shows(
    database_url: str, list_: Asking, seed: int
) -> None:
    """For every query each matching row is shown once, in order, to the end and back."""
    with running(database_url, seed) as (runner, world):

        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        @drawn(asked(list_), WALKS)
        def check(parameters: dict[str, str], walk: Walk) -> None:
            runner.run(_check(world, list_, parameters, walk))

        check()


@pytest.mark.parametrize("list_", LISTS, ids=lambda list_: list_.name)
def test_every_parameter_filters_by_itself(database_url: str, list_: Asking) -> None:
    """Each parameter is tried with each of its values, bounds included."""
    with running(database_url, 1) as (runner, world):
        for name, values in list_.parameters.items():
            for text in values:
                currencies = CURRENCIES if name.endswith(("_min", "_max")) else (None,)
                for parameters in (_said({name: text}, currency) for currency in currencies):
                    for account in ACCOUNTS[:2] if list_.of_account else ACCOUNTS[:1]:
                        walk = Walk("demo", account, None, 500, lists.KEYS_MAX)
                        runner.run(_check(world, list_, parameters, walk))


@pytest.mark.parametrize("list_", LISTS[:2], ids=lambda list_: list_.name)
def test_every_way_to_look_respects_the_account(database_url: str, list_: Asking) -> None:
    """The account filters also where another filter's index leads to the rows."""
    with running(database_url, 1) as (runner, world):
        walk = Walk("demo", "", None, 500, lists.KEYS_MAX)
        for name in ("reference", "about", "transaction_id"):
            for text in list_.parameters.get(name, ()):
                for account in ACCOUNTS:
                    runner.run(_check(world, list_, {name: text, "account": account}, walk))


@contextmanager
def running(database_url: str, seed: int) -> Iterator[tuple[asyncio.Runner, "World"]]:
    """Run coroutines from a synchronous test, because Hypothesis calls plain functions."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        books = runner.run(_written(database_url, seed))
        pool = database.pool(database_url, ROLE, 2)
        world = World(runner.run(pool.__aenter__()), books)
        try:
            yield runner, world
        finally:
            runner.run(pool.__aexit__(None, None, None))


async def _written(database_url: str, seed: int) -> dict[str, reference_lists.Books]:
    await fixtures.rich_log(database_url, seed)
    await fixtures.written(database_url, EXTRA, now=lambda _: START + timedelta(hours=4))
    await fixtures.project(database_url)
    events = await fixtures.whole_log(database_url)
    return {ledger: reference_lists.Books(events, ledger) for ledger in ("demo", "other")}


async def _check(world: World, list_: Asking, parameters: dict[str, str], walk: Walk) -> None:
    books = world.books[walk.ledger]
    account = walk.account if list_.of_account else None
    expected = reference_lists.shown(books.items(list_.name), list_.name, parameters, account)
    if list_.descending if walk.order is None else walk.order == "desc":
        expected.reverse()

    async def page(cursor: str | None) -> ListPage:
        given_ = {**parameters, "limit": str(walk.limit)}
        given_ |= {} if walk.order is None else {"order": walk.order}
        given_ |= {} if cursor is None else {"cursor": cursor}
        asked_ = list_request(list_.name, given_.items(), SCHEMA, walk.ledger, walk.account)
        return await lists.page(world.pool, *asked_, walk.keys_max)

    forth = [await page(None)]
    while forth[-1].next is not None:
        assert len(forth) < PAGES_MAX
        forth.append(await page(forth[-1].next))
    assert all(len(each.rows) <= walk.limit for each in forth)
    if walk.keys_max > max(len(books.items(list_.name)), walk.limit):
        assert all(len(each.rows) == walk.limit for each in forth[:-1])
    assert _keys(list_, forth) == [item.key for item in expected]
    _check_figures(list_, forth, expected)

    back = [forth[-1]]
    sent = None
    while back[-1].previous != sent:
        assert len(back) < PAGES_MAX
        sent = back[-1].previous
        back.append(await page(sent))
    assert not back[-1].rows
    assert _keys(list_, back[::-1]) == [item.key for item in expected]
    # What a page on the way back calls the next one goes on where that page ends.
    middle = len(back) // 2
    if middle:
        again = _keys(list_, [await page(back[middle].next)])
        assert again == _keys(list_, back[:middle][::-1])[: len(again)]


def _keys(list_: Asking, pages: list[ListPage]) -> list[object]:
    rows = [row for page in pages for row in page.rows]
    match list_.name:
        case "transactions":
            return [(row["position"],) for row in rows]
        case "accounts":
            return [row["account_id"] for row in rows]
        case "audit-trail":
            return [(row["notification_id"],) for row in rows]
        case _:
            return [(row["position"], row["line"]) for row in rows]


def _check_figures(
    list_: Asking, pages: list[ListPage], expected: list[reference_lists.Item]
) -> None:
    rows = [row for page in pages for row in page.rows]
    for row, item in zip(rows, expected, strict=True):
        match list_.name:
            case "transactions":
                transaction = transaction_view.answer(transaction_view.of_row(row), SCHEMA)
                assert (transaction.status, transaction.kind) == (item.status, item.kind)
                assert transaction.effective_at == item.effective_at
                amounts: dict[str, int] = {}
                for posting in transaction.postings:
                    amounts.setdefault(posting.currency, 0)
                    amounts[posting.currency] += int(posting.amount_minor)
                assert amounts == item.amounts
            case "entries" | "ledger":
                entry = entries.entry(row, SCHEMA)
                assert entry.balance_minor == str(item.balance)
                assert entry.available_minor == str(item.available)
                assert entry.transaction_id == item.transaction
            case "accounts":
                account = accounts.listed_account(row, SCHEMA)
                assert account.balance_minor == str(item.balance)
                assert account.available_minor == str(item.available)
                assert account.metadata == item.metadata
            case _:
                pass
