"""A balance at any point is the sum of the log there: by position, by either time, or by both."""

import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from events.types import Side
from query_side.accounts import points
from query_side.accounts.parameters import PointParameters, PointRequest
from query_side.app import ROLE
from query_side.counters import AccountCounters
from runtime import database
from tests.integration import fixtures, reference_reads
from tests.integration.requests import asking_over_http
from tests.list_requests import parsed

SEEDS = (1, 2, 3)
TICK = timedelta(microseconds=1)
UNUSED = "empty"  # Opened, and never moved.


def four(found: AccountCounters) -> reference_reads.Four:
    """Return the four counters."""
    return (
        found.debits_posted,
        found.credits_posted,
        found.debits_pending,
        found.credits_pending,
    )


def point_of(given: Mapping[str, str]) -> PointRequest:
    """Return the point that a query string names."""
    found = parsed(given.items(), PointParameters)
    assert isinstance(found, PointParameters)
    return found.point()


class Reader:
    """Compares the read models with sums of the log."""

    def __init__(
        self, connection: database.Executor, moves: Sequence[reference_reads.Move]
    ) -> None:
        self.connection = connection
        self.moves = {
            key: reference_reads.of(moves, *key)
            for key in {(move.ledger, move.account_id) for move in moves}
        }
        self.accounts: dict[tuple[str, str], points.OpenedAccount] = {}

    async def opened(self) -> "Reader":
        """Read every account once."""
        for ledger, account_id in self.moves:
            account = await points.account(self.connection, ledger, account_id)
            self.accounts[ledger, account_id] = account
        return self

    async def agree(self, **given: str) -> None:
        """Assert that every account has the same counters at the point `given`, both ways."""
        asked = point_of(given)
        point = await points.locate(self.connection, asked)
        known = 10**9 if asked.position is None else asked.position
        for key, moves in self.moves.items():
            found = await points.at(self.connection, self.accounts[key], point)
            expected = reference_reads.counters(
                moves, known, asked.recorded_before, asked.effective_before
            )
            assert four(found) == expected, (key, given)


@asynccontextmanager
async def reading(database_url: str, seed: int) -> AsyncIterator[tuple[Reader, list[datetime]]]:
    """Yield a reader of a rich log, with the query side's rights, and every time in the log."""
    events = await reference_reads.log_with_dates(database_url, seed)
    moves = reference_reads.moves(events)
    times = {move.recorded_at for move in moves} | {move.effective_at for move in moves}
    async with fixtures.connected(database_url, ROLE) as connection:
        yield await Reader(connection, moves).opened(), sorted(times)


@pytest.mark.parametrize("seed", SEEDS)
async def test_at_every_position(database_url: str, seed: int) -> None:
    """From before the first event to the last one, every account."""
    async with reading(database_url, seed) as (reader, _):
        length = await fixtures.checkpoint(database_url, "projector")
        for position in range(length + 1):
            await reader.agree(position=str(position))


@pytest.mark.parametrize("seed", SEEDS)
async def test_at_recorded_times(database_url: str, seed: int) -> None:
    """Exactly on each time, just before it, and between two."""
    async with reading(database_url, seed) as (reader, times):
        for one, other in zip(times, [*times[1:], times[-1] + timedelta(days=9)], strict=True):
            for moment in (one - TICK, one, one + (other - one) / 2):
                await reader.agree(at=moment.isoformat())


@pytest.mark.parametrize("seed", SEEDS)
async def test_at_effective_times(database_url: str, seed: int) -> None:
    """An entry that was dated back counts from its effective time on."""
    async with reading(database_url, seed) as (reader, times):
        for one, other in zip(times, [*times[1:], times[-1] + timedelta(days=9)], strict=True):
            for moment in (one - TICK, one, one + (other - one) / 2):
                await reader.agree(effective_at=moment.isoformat())


@pytest.mark.parametrize("seed", SEEDS)
async def test_at_effective_times_as_they_were_known(database_url: str, seed: int) -> None:
    """Both times at once: what was not recorded yet did not count."""
    rng = random.Random(seed)
    async with reading(database_url, seed) as (reader, times):
        length = await fixtures.checkpoint(database_url, "projector")
        for _ in range(60):
            effective = (rng.choice(times) - rng.choice((0, 1)) * TICK).isoformat()
            await reader.agree(position=str(rng.randint(0, length)), effective_at=effective)
            await reader.agree(at=rng.choice(times).isoformat(), effective_at=effective)


async def test_a_date_is_the_end_of_its_day(database_url: str) -> None:
    """In UTC: the last microsecond counts, the next one does not."""
    async with reading(database_url, 1) as (reader, times):
        for day in sorted({moment.date() for moment in times}):
            for name in ("at", "effective_at"):
                whole = point_of({name: str(day)})
                last = point_of({name: f"{day}T23:59:59.999999Z"})
                assert whole == last
                await reader.agree(**{name: str(day)})


async def test_the_last_point_is_the_balance_of_now(database_url: str) -> None:
    """The row that is kept and the last entry agree, with position and time."""
    async with reading(database_url, 1) as (reader, _):
        point = await points.locate(reader.connection, PointRequest())
        for account in reader.accounts.values():
            now = await points.now(reader.connection, account)
            assert now == await points.at(reader.connection, account, point)


async def test_an_account_has_zeros_before_it_was_opened_and_until_it_is_used(
    database_url: str,
) -> None:
    """Before, without a position; since, with that of its opening."""
    async with reading(database_url, 1) as (reader, _):
        account = await points.account(reader.connection, "demo", UNUSED)
        now = await points.now(reader.connection, account)
        assert now.position is not None
        before, since = [
            await points.at(reader.connection, account, points.Point(position, position))
            for position in (now.position - 1, now.position)
        ]
        assert before == AccountCounters()
        assert since == now == AccountCounters(position=now.position, as_of=account.opened_at)


# --- over HTTP ----------------------------------------------------------------------------------


async def test_balance_over_http(database_url: str) -> None:
    """Now, and at a point; an impossible point is refused by its code."""
    events = await reference_reads.log_with_dates(database_url)
    length = len(events)
    moves = reference_reads.of(reference_reads.moves(events), "demo", "bob")
    async with asking_over_http(database_url) as client:
        now = await client.get("/accounts/bob/balance")
        assert set(now.json()) == set(_fields()) | {"account_id", "currency", "position", "as_of"}
        assert now.headers["Daybook-Position"] == str(length)
        then = await client.get("/accounts/bob/balance", params={"position": length})
        assert then.json() == now.json() | {"at_position": length, "effective_at": None}

        middle = await client.get("/accounts/bob/balance", params={"position": length // 2})
        assert middle.headers["Daybook-Position"] == str(length // 2)
        four_then = reference_reads.counters(moves, length // 2, None, None)
        names = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
        assert tuple(int(middle.json()[f"{name}_minor"]) for name in names) == four_then
        day = (fixtures.START - timedelta(days=10)).date()
        dated = await client.get("/accounts/bob/balance", params={"effective_at": str(day)})
        assert dated.json()["balance_minor"] == "77"
        assert dated.json()["effective_at"] == f"{day}T23:59:59.999999Z"
        unborn = await client.get("/accounts/bob/balance", params={"at": "1970-01-01"})
        body = unborn.json()
        assert (body["balance_minor"], body["position"], body["at_position"]) == ("0", None, 0)

        refused: list[tuple[Any, int, str]] = [
            ({"position": 1, "at": "2026-01-01"}, 400, "point_ambiguous"),
            ({"position": "-1"}, 400, "position_invalid"),
            ({"position": "1" * 30}, 400, "position_invalid"),
            ({"position": length + 1}, 503, "position_not_reached"),
            ({"at": "yesterday"}, 400, "period_invalid"),
            ({"at": "9999-12-31"}, 400, "period_invalid"),
            ({"effective_at": "9999-12-31T23:59:59.999999Z"}, 400, "period_invalid"),
            ({"effektive_at": "2026-01-01"}, 400, "parameter_unknown"),
            ([("position", 1), ("position", 2)], 400, "parameter_repeated"),
        ]
        for params, status, code in refused:
            answer = await client.get(
                "/accounts/bob/balance", params=params, headers={"Prefer": "wait=0"}
            )
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        nobody = await client.get("/accounts/nobody/balance", params={"position": 1})
        assert (nobody.status_code, nobody.json()["code"]) == (404, "account_not_found")


# --- differences --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_lies_between_two_points_is_the_difference(database_url: str, seed: int) -> None:
    """All pages' entries together add up to each counter's difference, exactly."""
    rng = random.Random(seed)
    events = await reference_reads.log_with_dates(database_url, seed)
    everything = reference_reads.moves(events)
    async with asking_over_http(database_url) as client:
        for _ in range(25):
            account_id = rng.choice(("alice", "bob", "world", "revenue:fees", "tokyo", UNUSED))
            first, last = sorted(rng.sample(range(len(events) + 1), 2))
            params = {"from_position": first, "to_position": last, "limit": rng.choice((2, 7, 500))}
            found, items = await _whole(client, account_id, params)
            moves = reference_reads.of(everything, "demo", account_id)
            before, after = (
                reference_reads.counters(moves, end, None, None) for end in (first, last)
            )
            differences = tuple(one - other for one, other in zip(after, before, strict=True))
            assert _four(found["from"]) == before
            assert _four(found["to"]) == after
            assert _four(found["difference"]) == differences
            assert _added(items) == differences
            assert all(first < item["position"] <= last for item in items)
            places = [(item["position"], item["line"]) for item in items]
            assert places == sorted(places, reverse=True)


async def test_an_entry_of_a_difference_says_what_it_was(database_url: str) -> None:
    """Its transaction, kind, amount, reference and description; a capture posts what was held."""
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        found, items = await _whole(client, "bob", {"limit": 500})
        assert found["from"]["at_position"] == 0
        by_kind = {(item["kind"], item["movement"]): item for item in items}
        assert set(by_kind) >= {
            ("transfer", "posted"),
            ("refund", "posted"),
            ("capture", "posted"),
            ("hold", "held"),
            ("hold", "released"),
            ("void", "released"),
        }
        capture = next(item for item in items if item["amount_minor"] == "20")
        assert (capture["posted_minor"], capture["pending_minor"]) == ("20", "-20")
        assert (capture["side"], capture["kind"]) == ("debit", "capture")
        split = next(item for item in items if item["reference"] == "INV-4")
        assert split["description"] == "=1+1"
        assert split["effective_at"] < split["recorded_at"]


async def test_differences_are_refused_when_they_make_no_sense(database_url: str) -> None:
    """Each by its code; a cursor is only what the list gave."""
    await fixtures.rich_log(database_url)
    await fixtures.project(database_url)
    path = "/accounts/bob/balance-difference"
    async with asking_over_http(database_url) as client:
        refused: list[tuple[dict[str, Any], str]] = [
            ({"from_position": 5, "to_position": 4}, "period_invalid"),
            ({"from_position": 5, "from_at": "2026-01-01"}, "point_ambiguous"),
            ({"to_position": 5, "to_at": "2026-01-01"}, "point_ambiguous"),
            ({"position": 5}, "parameter_unknown"),
            ({"cursor": "bm8"}, "cursor_invalid"),
            ({"limit": 0}, "limit_invalid"),
        ]
        for params, code in refused:
            answer = await client.get(path, params=params)
            assert (answer.status_code, answer.json()["code"]) == (400, code)


def _fields() -> list[str]:
    names = ["balance", "available", "debits_posted", "credits_posted"]
    names += ["debits_pending", "credits_pending"]
    return [f"{name}{suffix}" for name in names for suffix in ("", "_minor")]


def _four(view: dict[str, Any]) -> reference_reads.Four:
    names = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
    one, two, three, four_ = (int(view[f"{name}_minor"]) for name in names)
    assert int(str(view["balance"]).replace(".", "")) == int(view["balance_minor"])
    return one, two, three, four_


def _added(items: Sequence[dict[str, Any]]) -> reference_reads.Four:
    added = [0, 0, 0, 0]
    for item in items:
        credit = item["side"] == Side.CREDIT
        added[credit] += int(item["posted_minor"])
        added[2 + credit] += int(item["pending_minor"])
    return added[0], added[1], added[2], added[3]


async def _whole(
    client: httpx.AsyncClient, account_id: str, params: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a difference, which is equal on all pages, and the entries of all pages."""
    items: list[dict[str, Any]] = []
    first: dict[str, Any] | None = None
    while True:
        answer = await client.get(f"/accounts/{account_id}/balance-difference", params=params)
        assert answer.status_code == 200, answer.text
        page = json.loads(answer.text, parse_float=Decimal, parse_int=int)
        first = first or page
        assert all(page[name] == first[name] for name in ("from", "to", "difference"))
        items += page["items"]
        if page["next"] is None:
            return first, items
        params = {"limit": params["limit"], "cursor": page["next"]}
