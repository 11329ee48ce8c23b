"""Pages of lists while the ledger grows: no row is shown twice, and none is left out."""

from datetime import timedelta

import pytest

from command_side.domain.commands import Command, Hold, OpenAccount, Refund, Void
from events.types import Posting, transaction_id
from query_side import lists
from query_side.app import ROLE
from query_side.lists import ListPage
from runtime import database
from tests.integration import fixtures
from tests.integration.fixtures import SCHEMA, START, transfer
from tests.list_requests import list_request

PAGES_MAX = 1_000
GROWING = pytest.mark.parametrize("asking", ["transactions", "entries", "ledger", "audit-trail"])


class Growing:
    """A ledger that grows between any two pages."""

    def __init__(self, url: str, pool: database.Pool) -> None:
        self.url = url
        self.pool = pool
        self.written = 0

    async def grow(self, count: int = 3) -> None:
        """Write `count` transfers to alice, and a hold, a void and a refund of hers."""
        number = self.written
        self.written += 1
        postings = (Posting("alice", "bob", 1, "USD"),)
        commands: list[Command] = [
            *(transfer(f"t{number}-{index}") for index in range(count)),
            Hold(ledger="demo", key=f"h{number}", postings=postings),
            Void(ledger="demo", key=f"v{number}", about=transaction_id("demo", f"h{number}")),
            Refund(ledger="demo", key=f"b{number}", about=transaction_id("demo", f"t{number}-0")),
            transfer(f"refused{number}", "alice", "bob", 10**12),
        ]
        moment = START + timedelta(minutes=number)
        await fixtures.written(self.url, commands, 4, now=lambda _: moment)
        await fixtures.project(self.url)

    async def page(self, asking: str, cursor: str | None = None, **more: str) -> ListPage:
        """Return a page of four, of at most six keys."""
        query = {"limit": "4"} | more | ({} if cursor is None else {"cursor": cursor})
        asked = list_request(asking, query.items(), SCHEMA)
        return await lists.page(self.pool, *asked, keys_max=6)


def keys(page: ListPage) -> list[tuple[object, ...]]:
    """Return the keys of the rows of a page."""
    names = ("notification_id", "position", "line", "account_id", "transaction_id")
    return [tuple(row[name] for name in names if name in row) for row in page.rows]


@GROWING
async def test_a_walk_from_the_newest_row_shows_what_was_there_when_it_began(
    database_url: str, asking: str
) -> None:
    """The way back from the first page shows what was added since, up to the newest row."""
    async with database.pool(database_url, ROLE, 2) as pool:
        growing = Growing(database_url, pool)
        for _ in range(4):
            await growing.grow()
        expected = keys(await growing.page(asking, limit="500"))
        first = page = await growing.page(asking)
        position = first.position
        shown = keys(first)
        while page.next is not None:
            await growing.grow(1)
            page = await growing.page(asking, page.next)
            shown += keys(page)
            assert len(shown) < PAGES_MAX
        assert page.position > position
        assert shown[: len(expected)] == expected
        assert len(shown) == len(set(shown))
        assert all(row <= shown[0] for row in shown)

        newer: list[tuple[object, ...]] = []
        cursor, sent = first.previous, None
        while cursor != sent:
            if len(newer) < 40:
                await growing.grow(1)
            sent, page = cursor, await growing.page(asking, cursor)
            newer = keys(page) + newer
            cursor = page.previous
        everything = await _all(growing, asking)
        assert newer + shown == everything


@GROWING
async def test_a_walk_from_the_oldest_row_ends_at_the_newest(
    database_url: str, asking: str
) -> None:
    """An ascending walk shows the rows that are added meanwhile."""
    async with database.pool(database_url, ROLE, 2) as pool:
        growing = Growing(database_url, pool)
        await growing.grow()
        page = await growing.page(asking, order="asc")
        shown = keys(page)
        while page.next is not None:
            if len(shown) < 40:
                await growing.grow(1)
            page = await growing.page(asking, page.next, order="asc")
            shown += keys(page)
        assert shown == (await _all(growing, asking))[::-1]


@GROWING
async def test_the_first_page_of_an_empty_list_leads_to_what_is_added(
    database_url: str, asking: str
) -> None:
    """Its `next` is null, and its `previous` finds the first rows."""
    async with database.pool(database_url, ROLE, 2) as pool:
        growing = Growing(database_url, pool)
        empty = await growing.page(asking)
        assert (empty.rows, empty.next) == ([], None)
        await growing.grow()
        page = await growing.page(asking, empty.previous)
        assert keys(page) == (await _all(growing, asking))[-len(page.rows) :]


async def test_accounts_that_are_opened_meanwhile_are_shown_on_their_side(
    database_url: str,
) -> None:
    """`next` shows those after the page, and `previous` those before the first page."""
    async with database.pool(database_url, ROLE, 2) as pool:
        growing = Growing(database_url, pool)
        await _open(growing, "m1", "m2", "m3", "m4", "m5")
        first = await growing.page("accounts")
        assert [row["account_id"] for row in first.rows] == ["m1", "m2", "m3", "m4"]
        await _open(growing, "a", "Z", "m4x", "m6")
        second = await growing.page("accounts", first.next)
        assert [row["account_id"] for row in second.rows] == ["m4x", "m5", "m6"]
        assert second.next is None
        before = await growing.page("accounts", first.previous)
        assert [row["account_id"] for row in before.rows] == ["Z", "a"]
        again = await growing.page("accounts", before.next)
        assert keys(again)[:4] == keys(first)


async def test_a_page_may_be_empty_and_not_the_last(database_url: str) -> None:
    """A request reads a bounded number of keys; the next request goes on where it stopped."""
    async with database.pool(database_url, ROLE, 2) as pool:
        growing = Growing(database_url, pool)
        await fixtures.written(database_url, [transfer("sought", reference="R"), transfer("other")])
        for _ in range(3):
            await growing.grow()
        page = await growing.page("transactions", text="sought")
        pages = [page]
        while page.next is not None:
            page = await growing.page("transactions", page.next, text="sought")
            pages.append(page)
        assert [len(each.rows) for each in pages] == [0] * (len(pages) - 1) + [1]
        # Looking is by the reference's own index, so there is nothing in between.
        (row,) = (await growing.page("transactions", reference="R")).rows
        assert row["idempotency_key"] == "sought"


async def _open(growing: Growing, *account_ids: str) -> None:
    commands = [OpenAccount(ledger="demo", account_id=each, currency="USD") for each in account_ids]
    await fixtures.written(growing.url, commands, now=lambda _: START)
    await fixtures.project(growing.url)


async def _all(growing: Growing, asking: str) -> list[tuple[object, ...]]:
    page = await lists.page(growing.pool, *list_request(asking, "limit=500", SCHEMA))
    assert page.next is None
    return keys(page)
