"""Statements: balances, totals and entries agree, in every format."""

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
import xmlschema

from command_side.domain.commands import CloseBooks, Transfer
from events.types import Side
from query_side.statements import as_csv, statement
from query_side.statements.statement import AccountStatement
from tests.integration import fixtures, reference_reads
from tests.integration.requests import asking_over_http

SEEDS = (1, 2)
XSD = Path(__file__).parents[1] / "schemas" / "camt.053.001.08.xsd"
CAMT = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"
ACCOUNTS = ("alice", "bob", "world", "bank:main", "exchange:EUR", "revenue:fees", "empty")
ALWAYS = {"from": "1970-01-01", "to": "2100-12-31"}
BASES = ("effective", "recorded")
both_bases = pytest.mark.parametrize("basis", BASES)
JANUARY = {"from": "2026-01-01", "to": "2026-01-31"}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read pages of few rows, so that every statement has several."""
    monkeypatch.setattr(statement, "PAGE_ROWS", 3)


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    """Return the message's own schema, as ISO 20022 publishes it."""
    return xmlschema.XMLSchema(XSD)


async def asked(client: httpx.AsyncClient, account_id: str, **params: Any) -> httpx.Response:  # noqa: ANN401
    """Return a statement."""
    answer = await client.get(f"/accounts/{account_id}/statement", params=params)
    assert answer.status_code == 200, answer.text
    return answer


async def as_json(client: httpx.AsyncClient, account_id: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a statement's JSON, with exact numbers."""
    answer = await asked(client, account_id, **params)
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
    return found


# --- entries, balances, totals ------------------------------------------------------------------


@both_bases
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_statement_is_what_the_log_says(database_url: str, seed: int, basis: str) -> None:
    """Any period of any account: opening, every entry in order, running balances, closing."""
    rng = random.Random(seed)
    events = await reference_reads.log_with_dates(database_url, seed)
    moves = reference_reads.moves(events)
    clock = _clock(basis)
    times = sorted({clock(move) for move in moves})
    async with asking_over_http(database_url) as client:
        for _ in range(25):
            account_id = rng.choice(ACCOUNTS)
            start, end = sorted(rng.sample(times, 2))
            end += rng.choice((timedelta(0), timedelta(microseconds=1), timedelta(days=2)))
            period = {"from": start.isoformat(), "to": end.isoformat()}
            found = await as_json(client, account_id, **period, basis=basis)
            posted = sorted(
                (move for move in reference_reads.of(moves, "demo", account_id) if move.posted),
                key=lambda move: (clock(move), move.position),
            )
            sign = 1 if found["normal_side"] == Side.CREDIT else -1
            inside = [move for move in posted if start <= clock(move) < end]
            opening = sum(_signed(move, sign) for move in posted if clock(move) < start)
            assert int(found["opening_balance_minor"]) == opening
            assert [
                (entry["position"], int(entry["amount_minor"]), entry["side"] == Side.CREDIT)
                for entry in found["entries"]
            ] == [(move.position, move.posted, move.credit) for move in inside]
            _check_chain(found, sign)


@both_bases
async def test_consecutive_periods_chain(database_url: str, basis: str) -> None:
    """One closing balance is the next opening balance; together they have every entry once."""
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        for account_id in ACCOUNTS:
            whole = await as_json(client, account_id, **ALWAYS, basis=basis)
            days = [date(2026, 1, 10) + timedelta(days=number) for number in range(30)]
            entries: list[Any] = []
            left = "0"
            for day in days:
                one = await as_json(client, account_id, **_day(day), basis=basis)
                assert one["opening_balance_minor"] == left
                left = one["closing_balance_minor"]
                entries += one["entries"]
            assert left == whole["closing_balance_minor"]
            assert entries == whole["entries"]


async def test_what_is_dated_back_moves_into_its_period(database_url: str) -> None:
    """By effective time it is in the old period, by recorded time in the new one."""
    await fixtures.written(database_url, [fixtures.transfer("first", amount=100)])
    late = fixtures.START + timedelta(days=9)
    commands = [fixtures.transfer("late", amount=7, effective_at=fixtures.START)]
    await fixtures.written(database_url, commands, now=lambda _: late)
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        effective = await as_json(client, "alice", **JANUARY)
        recorded = await as_json(client, "alice", **JANUARY, basis="recorded")
        known = await as_json(client, "alice", **JANUARY, at="2026-01-31")
        assert effective["closing_balance_minor"] == "107"
        assert recorded["closing_balance_minor"] == known["closing_balance_minor"] == "100"
        assert (known["at_position"], effective["at_position"]) == (3, 4)
        entry = effective["entries"][1]
        assert entry["recorded_at"].startswith("2026-02-08")
        assert entry["effective_at"].startswith("2026-01-30")
        assert known["statement_id"] != effective["statement_id"]


async def test_a_statement_says_whether_the_books_are_closed(database_url: str) -> None:
    """A closed period cannot change; at a point before the closing it still could."""
    closings = [
        CloseBooks(ledger="demo", closed_before=fixtures.START + timedelta(days=days))
        for days in (-9, 0)
    ]
    await fixtures.written(database_url, [fixtures.transfer("one"), *closings], batch_size=1)
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        for day, position, closed in (
            ("2026-01-20", 5, True),
            ("2026-01-20", 4, True),  # Still, though the books were closed again later.
            ("2026-01-20", 3, False),
            ("2026-01-29", 5, True),
            ("2026-01-29", 4, False),
            ("2026-01-30", 5, False),
        ):
            period = {"from": "2026-01-01", "to": day, "position": position}
            assert (await as_json(client, "alice", **period))["books_closed"] is closed


async def test_each_entry_names_the_other_account(database_url: str) -> None:
    """Also where one transaction has several postings."""
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        found = await as_json(client, "bob", **ALWAYS)
        split = [entry for entry in found["entries"] if entry["reference"] == "INV-1"]
        assert [entry["counterparty_account_id"] for entry in split] == ["alice", "carol"]
        late = next(entry for entry in found["entries"] if entry["amount_minor"] == "77")
        assert late["counterparty_account_id"] == "world"


# --- formats ------------------------------------------------------------------------------------


@both_bases
@pytest.mark.parametrize("account_id", ["bob", "bank:main", "world", "empty"])
async def test_all_formats_say_the_same(
    database_url: str, schema: xmlschema.XMLSchema, basis: str, account_id: str
) -> None:
    """Entry by entry, balance by balance; CRDT is what increases the account."""
    await reference_reads.log_with_dates(database_url)
    async with asking_over_http(database_url) as client:
        asking = {"from": "2026-01-11", "to": "2026-01-31", "basis": basis}
        one = await as_json(client, account_id, **asking)
        table = await asked(client, account_id, **asking, format="csv")
        assert table.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
        name = f"statement-{account_id}-2026-01-11-2026-01-31"
        assert table.headers["Content-Disposition"] == f'attachment; filename="{name}.csv"'
        _check_csv(_rows(table.text), one)
        document = await asked(client, account_id, **asking, format="camt.053")
        assert document.headers["Content-Type"] == "application/xml"
        schema.validate(document.text)
        _check_camt(ET.fromstring(document.content), one)  # noqa: S314 - our own document


@pytest.mark.parametrize(
    "accept, starts",
    [
        ("*/*", "{"),
        ("application/json", "{"),
        ("text/csv", "row,"),
        ("text/plain, text/csv;q=0.5", "row,"),
        ("application/xml", "<?xml"),
        ("text/xml", "<?xml"),
        ("image/png, */*;q=0.1", "{"),
        ("text/csv;q=0.2, application/json;q=0.1", "row,"),
    ],
)
async def test_accept_chooses_the_format(database_url: str, accept: str, starts: str) -> None:
    """The one that is preferred most, JSON if all are alike; `format` goes before it."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        client.headers["Accept"] = accept
        assert (await asked(client, "alice", **JANUARY)).text.startswith(starts)
        assert (await asked(client, "alice", **JANUARY, format="csv")).text.startswith("row,")


async def test_a_statement_that_the_client_does_not_accept_is_not_sent(database_url: str) -> None:
    """It is refused by its code."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        headers = {"Accept": "image/png"}
        answer = await client.get("/accounts/alice/statement", params=JANUARY, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


async def test_free_text_comes_through_unharmed(
    database_url: str, schema: xmlschema.XMLSchema
) -> None:
    """Quotes, markup, line ends, long ones, formulas: exact in JSON and CSV, and valid XML."""
    texts = [
        '=HYPERLINK("http://x","y")',
        "+1",
        "-1",
        "@SUM(A1)",
        "'quoted'",
        "\ttab",
        "a,b;c\r\nd\re",
        '<Ntry a="&amp;">]]></Ntry>',
        "Grüße, 東京 🎉",
        "noncharacter \ufffe",
        " ",
        "x" * 500,
        "",
    ]
    commands = [
        fixtures.transfer(f"t{number}", description=text, reference=text[:255] or None)
        for number, text in enumerate(texts)
    ]
    await fixtures.written(database_url, commands)
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        found = await as_json(client, "alice", **JANUARY)
        assert [entry["description"] for entry in found["entries"]] == texts
        rows = _rows((await asked(client, "alice", **JANUARY, format="csv")).text)
        cells = [row["description"] for row in rows if row["row"] == "entry"]
        assert [cell.removeprefix("'") for cell in cells] == texts
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
        document = (await asked(client, "alice", **JANUARY, format="camt.053")).text
        schema.validate(document)
        details = ET.fromstring(document).iter(f"{CAMT}TxDtls")  # noqa: S314 - our own document
        assert [
            "".join(part.text or "" for part in detail.iter(f"{CAMT}Ustrd")) for detail in details
        ] == [text.replace("\ufffe", "\ufffd") for text in texts]


async def test_long_ids_fit_the_message(database_url: str, schema: xmlschema.XMLSchema) -> None:
    """An account id of over 34 characters is the name; its stream identifies it."""
    long = "merchant:" + "m" * 100
    commands = [
        fixtures.transfer("one", destination=long),
        fixtures.transfer("two", long, "alice", 1),
    ]
    await fixtures.written(database_url, commands)
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        for account_id in (long, "alice"):
            document = (await asked(client, account_id, **JANUARY, format="camt.053")).text
            schema.validate(document)
            assert f"<Nm>{long[:70]}</Nm>" in document


async def test_38_digits_are_exact(database_url: str) -> None:
    """In JSON and in CSV; camt.053 has no room for them, and says so before anything is sent."""
    await fixtures.rich_log(database_url)
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        text = (await asked(client, "tokyo", **ALWAYS)).text
        assert f'"total_credits":{fixtures.BIG},' in text
        assert f'"amount":{fixtures.BIG},"amount_minor":"{fixtures.BIG}"' in text
        rows = _rows((await asked(client, "tokyo", **ALWAYS, format="csv")).text)
        assert [row["credit"] for row in rows if row["credit"]] == [str(fixtures.BIG)] * 2
        for account_id in ("tokyo", "carol"):
            refused = await client.get(
                f"/accounts/{account_id}/statement", params={**ALWAYS, "format": "camt.053"}
            )
            assert (refused.status_code, refused.json()["code"]) == (400, "camt_unrepresentable")
            assert "18 digits" in refused.json()["detail"]


@pytest.mark.parametrize("currency, why", [("BTC", "5 decimals"), ("POINTS", "three letters")])
async def test_currencies_that_camt_cannot_hold_are_refused(
    database_url: str, currency: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused by a code of their own; JSON and CSV can hold them."""
    known = fixtures.SCHEMA.currencies["BTC"]
    monkeypatch.setitem(fixtures.SCHEMA.currencies, "POINTS", known)
    command = fixtures.transfer("one", "external:x", "digital", currency=currency)
    await fixtures.written(database_url, [command])
    await fixtures.project(database_url)
    monkeypatch.setattr("query_side.app.schemas.load", lambda _: fixtures.SCHEMA)
    async with asking_over_http(database_url) as client:
        assert (await as_json(client, "digital", **JANUARY))["closing_balance_minor"] == "100"
        refused = await client.get(
            "/accounts/digital/statement", params={**JANUARY, "format": "camt.053"}
        )
        assert (refused.status_code, refused.json()["code"]) == (400, "camt_unrepresentable")
        assert why in refused.json()["detail"]


# --- what goes wrong ----------------------------------------------------------------------------


async def test_statements_are_refused_when_they_make_no_sense(database_url: str) -> None:
    """Each by its code, before anything is sent."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        refused: list[tuple[dict[str, Any], int, str]] = [
            ({"from": "2026-01-01"}, 400, "period_invalid"),
            ({"to": "2026-01-01"}, 400, "period_invalid"),
            ({"from": "2026-01-02", "to": "2026-01-01"}, 400, "period_invalid"),
            ({"from": "2026-01-02T00:00Z", "to": "2026-01-02T00:00Z"}, 400, "period_invalid"),
            ({**JANUARY, "basis": "booked"}, 400, "basis_invalid"),
            ({**JANUARY, "format": "pdf"}, 400, "format_invalid"),
            ({**JANUARY, "position": 1, "at": "2026-01-01"}, 400, "point_ambiguous"),
            ({**JANUARY, "position": 9}, 503, "position_not_reached"),
            ({**JANUARY, "limit": 9}, 400, "parameter_unknown"),
        ]
        for params, status, code in refused:
            answer = await client.get(
                "/accounts/alice/statement", params=params, headers={"Prefer": "wait=0"}
            )
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        nobody = await client.get("/accounts/nobody/statement", params=JANUARY)
        assert (nobody.status_code, nobody.json()["code"]) == (404, "account_not_found")


@pytest.mark.parametrize("form", ["json", "csv", "camt.053"])
async def test_a_statement_that_does_not_add_up_is_never_whole(
    database_url: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that do not lead to the closing balance break the answer off."""
    await fixtures.rich_log(database_url)
    await fixtures.project(database_url)
    true_head = statement.head

    async def wrong_head(*arguments: Any) -> AccountStatement:  # noqa: ANN401 - as the true one
        found = await true_head(*arguments)
        account = found.account
        return AccountStatement(**{**_fields(found), "opening": found.closing, "account": account})

    monkeypatch.setattr(statement, "head", wrong_head)
    async with asking_over_http(database_url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await asked(client, "bob", **JANUARY, format=form)


async def test_a_tampered_entry_makes_no_statement(database_url: str) -> None:
    """The counters and the entries must lead to one balance; here they differ."""
    await fixtures.written(database_url, [fixtures.transfer("one")])
    await fixtures.project(database_url)
    await fixtures.execute(database_url, "UPDATE read.entries SET amount = amount + 1")
    async with asking_over_http(database_url) as client:
        answer = await client.get("/accounts/alice/statement", params=JANUARY)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


async def test_postings_of_one_account_to_several_are_one_entry_each(database_url: str) -> None:
    """Many lines of one position stay in order across pages."""
    postings = fixtures.several(*(("world", f"w{number}", 1, "USD") for number in range(20)))
    await fixtures.written(database_url, [Transfer(ledger="demo", key="many", postings=postings)])
    await fixtures.project(database_url)
    async with asking_over_http(database_url) as client:
        for basis in BASES:
            found = await as_json(client, "world", **JANUARY, basis=basis)
            others = [entry["counterparty_account_id"] for entry in found["entries"]]
            assert others == [f"w{number}" for number in range(20)]
            assert [entry["line"] for entry in found["entries"]] == list(range(0, 40, 2))


# --- how they are checked -----------------------------------------------------------------------


def _fields(found: AccountStatement) -> dict[str, Any]:
    return {name: getattr(found, name) for name in AccountStatement.__struct_fields__}


def _clock(basis: str) -> Callable[[reference_reads.Move], datetime]:
    if basis == "recorded":
        return lambda move: move.recorded_at
    return lambda move: move.effective_at


def _signed(move: reference_reads.Move, sign: int) -> int:
    return sign * move.posted if move.credit else -sign * move.posted


def _day(day: date) -> dict[str, str]:
    return {"from": str(day), "to": str(day)}


def _check_chain(found: dict[str, Any], sign: int) -> None:
    """Opening, then every entry's own balance, then closing; and the totals."""
    balance = int(found["opening_balance_minor"])
    totals = {"debit": 0, "credit": 0}
    counts = {"debit": 0, "credit": 0}
    for entry in found["entries"]:
        amount = int(entry["amount_minor"])
        totals[entry["side"]] += amount
        counts[entry["side"]] += 1
        balance += sign * amount if entry["side"] == "credit" else -sign * amount
        assert entry["balance_minor"] == str(balance)
    assert found["closing_balance_minor"] == str(balance)
    for side in ("debit", "credit"):
        assert found[f"total_{side}s_minor"] == str(totals[side])
        assert found[f"{side}_count"] == counts[side]


def _rows(text: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert tuple(rows[0]) == as_csv.STATEMENT_HEADER
    return rows


def _check_csv(rows: Sequence[dict[str, str]], one: dict[str, Any]) -> None:
    opening, *entries, closing = rows
    assert (opening["row"], closing["row"]) == ("opening", "closing")
    assert (opening["effective_at"], closing["effective_at"]) == (
        "2026-01-11T00:00:00+00:00",
        "2026-02-01T00:00:00+00:00",
    )
    assert opening["balance"] == str(one["opening_balance"])
    assert closing["balance"] == str(one["closing_balance"])
    assert closing["debit"] == str(one["total_debits"])
    assert closing["credit"] == str(one["total_credits"])
    for row, entry in zip(entries, one["entries"], strict=True):
        assert row["account_id"] == one["account_id"]
        assert row[entry["side"]] == str(entry["amount"])
        assert row["balance"] == str(entry["balance"])
        for name in ("position", "line", "transaction_id", "kind", "counterparty_account_id"):
            assert row[name] == str(entry[name])
        for name in ("recorded_at", "effective_at"):
            assert datetime.fromisoformat(row[name]) == datetime.fromisoformat(entry[name])


def _check_camt(document: ET.Element, one: dict[str, Any]) -> None:
    (found,) = document.iter(f"{CAMT}Stmt")
    normal = one["normal_side"]

    def text(element: ET.Element, path: str) -> str | None:
        return element.findtext("/".join(CAMT + part for part in path.split("/")))

    assert text(found, "Acct/Id/Othr/Id") == one["account_id"]
    assert text(found, "Acct/Ccy") == one["currency"]
    assert text(found, "FrToDt/FrDtTm") == one["from"]
    assert text(found, "FrToDt/ToDtTm") == one["to"]
    for balance, name, day in zip(
        found.iter(f"{CAMT}Bal"),
        ("opening", "closing"),
        ("2026-01-11", "2026-01-31"),
        strict=True,
    ):
        assert text(balance, "Tp/CdOrPrtry/Cd") == ("OPBD" if name == "opening" else "CLBD")
        signed = one[f"{name}_balance"]
        assert text(balance, "Amt") == str(abs(signed))
        assert text(balance, "CdtDbtInd") == ("CRDT" if signed >= 0 else "DBIT")
        assert text(balance, "Dt/Dt") == day
    increases, decreases = (normal, "debit" if normal == "credit" else "credit")
    for path, side in (("TtlCdtNtries", increases), ("TtlDbtNtries", decreases)):
        assert text(found, f"TxsSummry/{path}/NbOfNtries") == str(one[f"{side}_count"])
        assert text(found, f"TxsSummry/{path}/Sum") == str(one[f"total_{side}s"])
    net = one["closing_balance"] - one["opening_balance"]
    assert text(found, "TxsSummry/TtlNtries/TtlNetNtry/Amt") == str(abs(net))
    assert text(found, "TxsSummry/TtlNtries/TtlNetNtry/CdtDbtInd") == (
        "CRDT" if net >= 0 else "DBIT"
    )
    for element, entry in zip(found.iter(f"{CAMT}Ntry"), one["entries"], strict=True):
        assert text(element, "NtryRef") == f"{entry['position']}-{entry['line']}"
        assert text(element, "Amt") == text(element, "NtryDtls/TxDtls/Amt") == str(entry["amount"])
        direction = "CRDT" if entry["side"] == normal else "DBIT"
        assert text(element, "CdtDbtInd") == direction
        booked = entry["recorded_at" if one["basis"] == "recorded" else "effective_at"]
        assert text(element, "BookgDt/DtTm") == booked
        assert text(element, "ValDt/DtTm") == entry["effective_at"]
        assert text(element, "AcctSvcrRef") == entry["transaction_id"].replace("-", "")
        assert text(element, "BkTxCd/Prtry/Cd") == entry["kind"]
        assert text(element, "NtryDtls/TxDtls/Refs/EndToEndId") == entry["reference"]
        role = "DbtrAcct" if direction == "CRDT" else "CdtrAcct"
        other = text(element, f"NtryDtls/TxDtls/RltdPties/{role}/Id/Othr/Id")
        assert other == entry["counterparty_account_id"]
