"""The trial balance: debits equal credits everywhere, and every account is in it once."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from events.types import AccountOpened, AccountType, Recorded, Side
from query_side.accounts.parameters import PointRequest
from query_side.app import ROLE
from query_side.statements import trial_balance
from query_side.statements.trial_balance import TrialBalancePage
from runtime import database
from tests.integration import fixtures, reference_reads
from tests.integration.requests import asking_over_http
from web.times import TICK

COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
PATH = "/trial-balance"


def added(fours: Sequence[reference_reads.Four]) -> reference_reads.Four:
    """Return the sum of counters."""
    debits, credits_, held_debits, held_credits = map(sum, zip(*fours, strict=True))
    return debits, credits_, held_debits, held_credits


class Log:
    """The counters of every account of `demo`, added up from the log."""

    def __init__(self, events: Sequence[Recorded]) -> None:
        self.opened = {
            event.account_id: event
            for event in (recorded.event for recorded in events)
            if isinstance(event, AccountOpened) and event.ledger == "demo"
        }
        moves = reference_reads.moves(events)
        self.moves = {name: reference_reads.of(moves, "demo", name) for name in self.opened}

    def at(self, asked: PointRequest) -> dict[str, reference_reads.Four]:
        """Return the counters of every account that was moved by then."""
        known = 10**9 if asked.position is None else asked.position
        where = known, asked.recorded_before, asked.effective_before
        moved = {
            name: reference_reads.counters(moves, *where)
            for name, moves in self.moves.items()
            if any(
                move.position <= known
                and (asked.recorded_before is None or move.recorded_at < asked.recorded_before)
                and (asked.effective_before is None or move.effective_at < asked.effective_before)
                for move in moves
            )
        }
        return dict(sorted(moved.items()))

    def check(self, found: TrialBalancePage, asked: PointRequest) -> None:
        """Assert that accounts and sums are those of the log."""
        expected = self.at(asked)
        assert {row["account_id"]: tuple(row[name] for name in COUNTERS) for row in found.rows} == (
            expected
        )
        groups: dict[tuple[str, ...], list[reference_reads.Four]] = defaultdict(list)
        for name, four in expected.items():
            opened = self.opened[name]
            kind = opened.currency, opened.account_type, opened.account_class
            for length in (1, 2, 3):
                groups[kind[:length]].append(four)
        sums: dict[tuple[str, ...], Any] = {}
        for totals in found.totals:
            assert totals.everything.balanced
            sums[(totals.currency,)] = totals.everything
            sums |= {(totals.currency, kind): each for kind, each in totals.types.items()}
            for each in totals.classes:
                sums[totals.currency, str(each.account_type), str(each.account_class)] = each
        assert {key: added(fours) for key, fours in groups.items()} == {
            key: tuple(getattr(each, name) for name in COUNTERS) for key, each in sums.items()
        }


async def asked_of(pool: database.Pool, asked: PointRequest) -> TrialBalancePage:
    """Return the whole trial balance at a point."""
    return await trial_balance.page(pool, "demo", asked, None, None, 500)


@pytest.mark.parametrize("seed", [1, 2])
async def test_debits_equal_credits_at_every_position(database_url: str, seed: int) -> None:
    """Posted and pending, in each currency; all sums are those of the log."""
    events = await reference_reads.log_with_dates(database_url, seed)
    log = Log(events)
    async with database.pool(database_url, ROLE, 1) as pool:
        for position in range(len(events) + 1):
            asked = PointRequest(position=position)
            log.check(await asked_of(pool, asked), asked)


@pytest.mark.parametrize("seed", [1, 2])
async def test_debits_equal_credits_at_every_time(database_url: str, seed: int) -> None:
    """By recorded time, by effective time, and by effective time as known half way."""
    events = await reference_reads.log_with_dates(database_url, seed)
    log = Log(events)
    times = {move.recorded_at for moves in log.moves.values() for move in moves}
    times |= {move.effective_at for moves in log.moves.values() for move in moves}
    async with database.pool(database_url, ROLE, 1) as pool:
        for moment in sorted(times):
            for after in (moment, moment + TICK):
                for asked in (
                    PointRequest(recorded_before=after),
                    PointRequest(effective_before=after),
                    PointRequest(position=len(events) // 2, effective_before=after),
                ):
                    log.check(await asked_of(pool, asked), asked)


async def test_pages_are_of_one_trial_balance(database_url: str) -> None:
    """Every page has the totals of the whole ledger at the first page's position."""
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        whole = await _got(client, limit=500)
        assert whole["next"] is None
        assert [total["currency"] for total in whole["totals"]] == ["EUR", "JPY", "USD"]
        assert all(total["balanced"] for total in whole["totals"])
        items: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:
            page = await _got(client, limit=3, **cursor)
            assert (page["totals"], page["at_position"]) == (whole["totals"], whole["at_position"])
            items += page["items"]
            if page["next"] is None:
                break
            if not cursor:
                await fixtures.written(
                    database_url, [fixtures.transfer("meanwhile")], now=_much_later
                )
                await fixtures.project(database_url)
            cursor = {"cursor": page["next"]}
        assert items == whole["items"]
        assert [item["account_id"] for item in items] == sorted(
            item["account_id"] for item in items
        )


async def test_one_currency_alone(database_url: str) -> None:
    """It has only the totals and the accounts of that currency, in each format."""
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        whole = await _got(client, limit=500)
        for currency in ("EUR", "JPY", "USD"):
            one = await _got(client, limit=500, currency=currency)
            assert one["totals"] == [t for t in whole["totals"] if t["currency"] == currency]
            assert one["items"] == [a for a in whole["items"] if a["currency"] == currency]
        assert (await _got(client, currency="GBP"))["items"] == []


@pytest.mark.parametrize("page_rows", [3, 500])
async def test_csv_says_the_same(
    database_url: str, page_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All accounts, then the sums of classes, types and currencies."""
    monkeypatch.setattr(trial_balance, "PAGE_ROWS", page_rows)
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        whole = await _got(client, limit=500)
        answer = await client.get(PATH, params={"format": "csv", "limit": 1})
        name = f'attachment; filename="trial-balance-{whole["at_position"]}.csv"'
        assert answer.headers["Content-Disposition"] == name
        rows = list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))
        expected = [("account", "", item) for item in whole["items"]]
        for total in whole["totals"]:
            expected += [("class", total["currency"], each) for each in total["classes"]]
            expected += [("type", total["currency"], each) for each in total["types"]]
            expected.append(("currency", total["currency"], total))
        for row, (kind, currency, shown) in zip(rows, expected, strict=True):
            assert row["row"] == kind
            assert row["currency"] == currency or row["currency"] == shown["currency"]
            for field in (*COUNTERS, "balance"):
                assert row[field] == str(shown.get(field, ""))
            for field in ("account_id", "account_type", "account_class"):
                assert row[field] == shown.get(field, "")


async def test_types_are_signed_by_their_own_side(database_url: str) -> None:
    """An asset by its debits, everything else by its credits; in sum both come to the same."""
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        for total in (await _got(client))["totals"]:
            sides = dict.fromkeys(Side, 0)
            for each in total["types"]:
                kind = AccountType(each["account_type"])
                sides[kind.normal_side] += int(each["balance_minor"])
            assert sides[Side.DEBIT] == sides[Side.CREDIT]


async def test_trial_balances_are_refused_when_they_make_no_sense(database_url: str) -> None:
    """Each by its code."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        refused: list[tuple[dict[str, Any], int, str]] = [
            ({"at": "2026-01-01", "position": 1}, 400, "point_ambiguous"),
            ({"currency": "XXL"}, 400, "currency_unknown"),
            ({"format": "camt.053"}, 400, "format_invalid"),
            ({"cursor": "bm8"}, 400, "cursor_invalid"),
            ({"cursor": "é"}, 400, "cursor_invalid"),
            ({"cursor": "WzEsIlx1MDAwMCJd"}, 400, "cursor_invalid"),
            ({"account_id": "alice"}, 400, "parameter_unknown"),
            ({"position": 99}, 503, "position_not_reached"),
        ]
        for params, status, code in refused:
            answer = await client.get(PATH, params=params, headers={"Prefer": "wait=0"})
            assert (answer.status_code, answer.json()["code"]) == (status, code)


def _much_later(_: int) -> datetime:
    return reference_reads.LATER + timedelta(days=40)


async def _got(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:  # noqa: ANN401
    answer = await client.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text, parse_float=str, parse_int=int)
    return found
