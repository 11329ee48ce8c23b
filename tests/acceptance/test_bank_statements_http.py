"""Statements of others over HTTP: imported once, decided by people, of one ledger alone."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from daybook.settings import Settings
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import API, UNKNOWN_ID, Ledger, exact, problem

SCOPES = ("read", "write", "reconcile")
PATH = f"{API}/statements"
COLUMNS = {"map.date": "d", "map.amount": "a", "map.reference": "r"}
BYTES_MAX = Settings(database_url="", cache_url="", queue_url="").statement_bytes_max


async def upload(
    ledger: Ledger, *rows: str, data: bytes | None = None, **parameters: str
) -> httpx.Response:
    """Upload a CSV file of these rows: date, amount, reference."""
    asked = {"account_id": "bank:main", **COLUMNS} | parameters
    content = "\n".join(["d,a,r", *rows, ""]).encode() if data is None else data
    return await ledger.http.post(
        f"{PATH}?{urlencode(asked)}", content=content, headers={"Content-Type": "text/csv"}
    )


async def paid(ledger: Ledger, key: str, amount: str = "10.00") -> tuple[str, str]:
    """Let money come in at the bank; return the transaction's id and its day."""
    result = await ledger.posted(key, source="bank:main", destination="wallet", amount=amount)
    return result["id"], result["created_at"][:10]


async def items(ledger: Ledger, known_as: str, what: str, **parameters: str) -> list[Any]:
    """Return all items of a list, page by page of one."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        query = urlencode({"limit": "1", **parameters, **cursor})
        page = await ledger.get(f"/statements/{known_as}/{what}?{query}")
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


async def test_a_file_is_one_statement_however_often_it_is_sent(ledger: Ledger) -> None:
    """At once or later, whatever the terms; another account or mapping makes another one."""
    _, day = await paid(ledger, "inv-1")
    row = f"{day},10.00,INV-1"
    answers = await asyncio.gather(*(upload(ledger, row) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    again = await upload(ledger, row, days="9")
    assert again.status_code == 200
    assert len({answer.json()["statement_id"] for answer in (*answers, again)}) == 1
    assert exact(again)["terms"]["days"] == 3
    assert exact(again)["lines"]["proposed"]["incoming"] == "10.00"
    other = await upload(ledger, row, account_id="wallet")
    described: dict[str, Any] = {"map.description": "r"}
    mapped = await upload(ledger, row, **described)
    assert (other.status_code, mapped.status_code) == (201, 201)
    page = await ledger.get("/statements?limit=2")
    shown = [item["statement_id"] for item in page["items"]]
    assert shown == [mapped.json()["statement_id"], other.json()["statement_id"]]
    rest = await ledger.get("/statements", params={"limit": "2", "cursor": page["next"]})
    assert [item["statement_id"] for item in rest["items"]] == [again.json()["statement_id"]]
    assert rest["next"] is None
    of_wallet = await ledger.get("/statements?account_id=wallet")
    assert [item["account_id"] for item in of_wallet["items"]] == ["wallet"]


async def test_people_decide_and_it_is_kept(ledger: Ledger) -> None:
    """Accept, reject, link by hand; every list pages, and shows who, when and why."""
    first, day = await paid(ledger, "inv-1")
    second, _ = await paid(ledger, "inv-2", "20.00")
    imported = await upload(
        ledger, f"{day},10.00,inv-1", f"{day},20.00,inv-2", f"{day},-1.00,fee", f"{day},7.00,x"
    )
    known_as = imported.json()["statement_id"]
    assert [match["lines"] for match in await items(ledger, known_as, "matches")] == [[2], [3]]
    accepted = await ledger.post(f"/statements/{known_as}/matches/1/accept", {"reason": "seen"})
    assert (accepted["status"], accepted["decisions"][0]["decided_by"]) == (
        "accepted",
        "acceptance test",
    )
    rejected = await ledger.post(f"/statements/{known_as}/matches/2/reject", {"reason": "no"})
    assert [each["reason"] for each in rejected["decisions"]] == ["no"]
    lines = await items(ledger, known_as, "lines")
    assert [line["status"] for line in lines] == ["accepted", *["unmatched"] * 3]
    kinds = [each["kind"] for each in await items(ledger, known_as, "discrepancies")]
    assert kinds == [*["unmatched_statement_line"] * 3, "unmatched_entry"]
    linked = await ledger.post(
        f"/statements/{known_as}/matches",
        {"lines": [3, 4], "entries": [{"transaction_id": second}], "reason": "less a fee"},
        status=201,
    )
    assert (linked["match_id"], linked["amount_difference"]) == (3, "-1.00")
    kinds = [each["kind"] for each in await items(ledger, known_as, "discrepancies")]
    assert kinds == ["unmatched_statement_line", "amount_differs"]
    only = await items(ledger, known_as, "discrepancies", kind="amount_differs")
    assert [each["match_id"] for each in only] == [3]
    statuses = {
        status: [
            each["match_id"] for each in await items(ledger, known_as, "matches", status=status)
        ]
        for status in ("proposed", "accepted", "rejected")
    }
    assert statuses == {"proposed": [], "accepted": [1, 3], "rejected": [2]}
    taken = await ledger.http.post(
        f"{PATH}/{known_as}/matches",
        json={"lines": [5], "entries": [{"transaction_id": first, "line": 0}], "reason": "?"},
    )
    problem(taken, 409, "match_accepted")


async def test_nothing_of_another_ledger_is_matched_seen_or_decided(
    open_ledger: OpenLedger,
) -> None:
    """The same account, key and file in two ledgers are two things."""
    mine, theirs = await open_ledger(SCOPES), await open_ledger(SCOPES)
    entry, day = await paid(theirs, "inv-1")
    await paid(mine, "inv-9", "9.00")
    row = f"{day},10.00,inv-1"
    ours, other = await upload(mine, row), await upload(theirs, row)
    assert ours.json()["matches"]["proposed"] == 0
    assert other.json()["matches"]["proposed"] == 1
    assert (await items(mine, ours.json()["statement_id"], "lines"))[0]["candidates"] == []
    foreign, own = other.json()["statement_id"], ours.json()["statement_id"]
    before = await items(theirs, foreign, "matches")
    linking = {"lines": [2], "entries": [{"transaction_id": entry}], "reason": "mine now"}
    for known_as in (foreign, UNKNOWN_ID):
        for view in ("", "/lines", "/matches", "/discrepancies"):
            answer = await mine.http.get(f"{PATH}/{known_as}{view}")
            told = problem(answer, 404, "statement_not_found")
            assert told["detail"] == f"There is no statement {known_as}."
        for action, body in (
            ("/matches/1/accept", {"reason": "mine"}),
            ("/matches/1/reject", {"reason": "mine"}),
            ("/matches", linking),
            ("/match", {}),
        ):
            answer = await mine.http.post(f"{PATH}/{known_as}{action}", json=body)
            problem(answer, 404, "statement_not_found")
    problem(await mine.http.post(f"{PATH}/{own}/matches", json=linking), 404, "entry_not_found")
    cursor = (await theirs.get(f"/statements/{foreign}/lines?limit=1"))["next"]
    assert cursor is None
    assert [item["statement_id"] for item in (await mine.get("/statements"))["items"]] == [own]
    assert await items(theirs, foreign, "matches") == before


@pytest.mark.parametrize(
    "data, parameters, status, code",
    [
        (b"d,a,r\n2026-01-02,1.001,x\n", {}, 400, "statement_line_invalid"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", {"format": "camt.053"}, 400, "mapping_invalid"),
        (b"d,a,r\n", {"account_id": "nobody"}, 404, "account_not_found"),
        (b"d,a,r\n", {"account_id": "no body"}, 400, "account_id_invalid"),
        (b"d,a,r\n", {"format": "pdf"}, 400, "format_invalid"),
        (b"d,a,r\n", {"map.date": "nowhere"}, 400, "mapping_invalid"),
        (b"d,a,r\n", {"map.decimal": "\0"}, 400, "control_character"),
        (b"d,a,r\n", {"days": "many"}, 400, "terms_invalid"),
        (b"d,a,r\n", {"guess": "yes"}, 400, "parameter_unknown"),
        (b"x" * (BYTES_MAX + 1), {}, 413, "body_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_upload_is_refused_and_leaves_nothing(
    ledger: Ledger, data: bytes, parameters: dict[str, Any], status: int, code: str
) -> None:
    """A precise problem, and no statement."""
    await ledger.fund("bank:main")
    problem(await upload(ledger, data=data, **parameters), status, code)
    assert (await ledger.get("/statements"))["items"] == []


@pytest.mark.parametrize(
    "path, body, status, code",
    [
        ("/matches/1/accept", {}, 400, "body_invalid"),
        ("/matches/1/accept", {"reason": " "}, 400, "reason_invalid"),
        ("/matches/1/reject", {"reason": "x" * 501}, 400, "reason_invalid"),
        ("/matches/9/accept", {"reason": "x"}, 404, "match_not_found"),
        ("/matches/x/accept", {"reason": "x"}, 404, "match_not_found"),
        ("/matches/99999999999/accept", {"reason": "x"}, 404, "match_not_found"),
        ("/matches", {"lines": [], "entries": [], "reason": "x"}, 400, "body_invalid"),
        (
            "/matches",
            {"lines": [1], "entries": [{"transaction_id": "x"}], "reason": "x"},
            400,
            "transaction_id_invalid",
        ),
        (
            "/matches",
            {"lines": [2**40], "entries": [{"transaction_id": UNKNOWN_ID}], "reason": "x"},
            404,
            "statement_line_not_found",
        ),
        ("/match?days=32", {}, 400, "terms_invalid"),
    ],
)
async def test_a_wrong_decision_is_refused(
    ledger: Ledger, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    """And the match stays as it was."""
    _, day = await paid(ledger, "inv-1")
    known_as = (await upload(ledger, f"{day},10.00,inv-1")).json()["statement_id"]
    problem(await ledger.http.post(f"{PATH}/{known_as}{path}", json=body), status, code)
    (match,) = await items(ledger, known_as, "matches")
    assert (match["status"], match["decisions"]) == ("proposed", [])


async def test_wrong_questions_are_refused(ledger: Ledger) -> None:
    """Cursors of another list, unknown kinds and states."""
    _, day = await paid(ledger, "inv-1")
    rows = (f"{day},10.00,inv-1", f"{day},1.00,")
    known_as = (await upload(ledger, *rows)).json()["statement_id"]
    cursor = (await ledger.get(f"/statements/{known_as}/lines?limit=1"))["next"]
    assert cursor is not None
    for query, code in (
        (f"matches?cursor={cursor}", "cursor_invalid"),
        ("lines?limit=0", "limit_invalid"),
        ("matches?status=sure", "status_unknown"),
        ("discrepancies?kind=odd", "kind_unknown"),
        ("lines?limit=1&limit=2", "parameter_repeated"),
    ):
        problem(await ledger.http.get(f"{PATH}/{known_as}/{query}"), 400, code)
    problem(await ledger.http.get(f"{PATH}/nonsense"), 404, "statement_not_found")
