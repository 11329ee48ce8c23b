"""Who may do what, in which ledger: every route of the program, with every kind of wrong token.

The routes are taken from the program itself. A new one has to be added to `NEEDS`, with the scope
that docs/http-api.md gives it, and is then asked everything below.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest

from daybook.embedded.up import Service
from tests.acceptance.conftest import OpenLedger
from tests.acceptance.driver import (
    API,
    SUBMIT,
    UNKNOWN_ID,
    Database,
    Ledger,
    Route,
    client,
    head_position,
    new_key,
    opened_ledger,
    problem,
    routes,
)
from web.tokens import SCOPES


class Needs(NamedTuple):
    """The scope that a route needs, and a body that is right; names in braces become ids.

    `query` is what a URL needs to be right; `headers` are what makes its answer end.
    """

    scope: str
    body: Any = None
    query: str = ""
    headers: Mapping[str, str] = {}


OPEN = {"GET /health", "GET /ready", "GET /metrics", "GET /openapi.json"}
PAYMENT = {"source_account_id": "external:usd", "destination_account_id": "{account_id}"}
NEEDS = {
    "POST /transactions": Needs(
        "write", {"transaction": {**PAYMENT, "amount": "1.00"}, "idempotencyKey": "{key}"}
    ),
    "POST /transactions/batch": Needs(
        "write", [{"transaction": {**PAYMENT, "amount": "1.00"}, "idempotencyKey": "b{key}"}]
    ),
    **{
        f"POST /transactions/{{transaction_id}}/{verb}": Needs(
            "write", {"idempotencyKey": f"{verb}-{{key}}"}
        )
        for verb in ("refund", "capture", "void", "cancel")
    },
    "POST /accounts": Needs("write", {"account_id": "{account_id}"}),
    "PATCH /accounts/{account_id}": Needs("write", {"status": "frozen"}),
    "POST /books/close": Needs("admin", {"closed_before": "2020-01-01"}),
    "GET /books": Needs("read"),
    "GET /transactions": Needs("read"),
    "GET /entries": Needs("read"),
    "GET /accounts": Needs("read"),
    "GET /transactions/{transaction_id}": Needs("read"),
    "GET /transactions/status/{key}": Needs("read"),
    "POST /transactions/{transaction_id}/verify-double-entry": Needs("read", {}),
    "GET /accounts/{account_id}": Needs("read"),
    "GET /accounts/{account_id}/balance": Needs("read"),
    "GET /accounts/{account_id}/balance-difference": Needs("read"),
    "GET /accounts/{account_id}/statement": Needs("read", query="?from=2000-01-01&to=2099-12-31"),
    "GET /trial-balance": Needs("read"),
    "GET /accounts/{account_id}/ledger": Needs("read"),
    "GET /accounts/{account_id}/audit-trail": Needs("read"),
    "GET /accounts/{account_id}/reconciliation-difference": Needs("read"),
    "GET /accounts/{account_id}/reconciliation-history": Needs("read"),
    "POST /accounts/{account_id}/reconcile": Needs("reconcile", {}),
    "POST /reconciliations": Needs("reconcile", {}),
    "GET /reconciliations": Needs("read"),
    "GET /reconciliations/{reconciliation_id}": Needs("read"),
    "GET /reconciliations/{reconciliation_id}/discrepancies": Needs("read"),
    "POST /four-way": Needs("reconcile", {}),
    "GET /four-way": Needs("read"),
    "POST /repairs": Needs("repair", {"account_id": "{account_id}"}),
    "GET /repairs": Needs("read"),
    "GET /repairs/{repair_id}": Needs("read"),
    "GET /transactions/{transaction_id}/receipt": Needs("read"),
    "GET /seal/checkpoint": Needs("read"),
    "GET /seal/tile/{level}/{tile}": Needs("read"),
    "GET /seal/consistency": Needs("read", query="?from=1&to=2"),
    "GET /events": Needs("read"),
    "GET /events/stream": Needs("read", headers={"Prefer": "wait=0"}),
    "POST /statements": Needs("reconcile", {}, query="?account_id=someone&format=camt.053"),
    "GET /statements": Needs("read"),
    "GET /statements/{statement_id}": Needs("read"),
    **{
        f"GET /statements/{{statement_id}}/{view}": Needs("read")
        for view in ("lines", "matches", "discrepancies")
    },
    **{
        f"POST /statements/{{statement_id}}/matches/{{match_id}}/{verdict}": Needs(
            "reconcile", {"reason": "seen"}
        )
        for verdict in ("accept", "reject")
    },
    "POST /statements/{statement_id}/matches": Needs(
        "reconcile",
        {"lines": [2], "entries": [{"transaction_id": "{transaction_id}"}], "reason": "seen"},
    ),
    "POST /statements/{statement_id}/match": Needs("reconcile", {}),
    "GET /queue/stats": Needs("read"),
    "GET /cache/stats": Needs("read"),
}
# What stands in the service's own numbers, and in no ledger.
SERVICE_WIDE = {
    *("GET /queue/stats", "GET /cache/stats"),
    *("GET /seal/checkpoint", "GET /seal/tile/{level}/{tile}", "GET /seal/consistency"),
}
GUARDED = [route for route in routes() if str(route) not in OPEN]
guarded = pytest.mark.parametrize("route", GUARDED, ids=str)

# They show one's own work that was asked for, which is further on the second time.
GOING_ON = {"POST /reconciliations", "GET /reconciliations", "POST /four-way"}

# Ids of nothing, for every name of a part of a path.
NO_TILE = {"level": "7", "tile": "999"}
NOTHING = {
    "transaction_id": UNKNOWN_ID,
    "account_id": "nobody",
    "key": "never",
    "reconciliation_id": UNKNOWN_ID,
    "repair_id": UNKNOWN_ID,
    **NO_TILE,
    "statement_id": UNKNOWN_ID,
    "match_id": "1",
}
SECRET = "a word of theirs"
SECRETS = (SECRET, "271828", "their-payer", "their-order")
VARYING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # an id,
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z"  # a time,
    r"|(?<=position )\d+|(?<=position\":)\d+|(?<=id: )\d+"  # a position
)


async def ask(
    route: Route, http: httpx.AsyncClient, ids: Mapping[str, str] = NOTHING, /, **headers: str
) -> httpx.Response:
    """Ask `route` for what `ids` name; a header's `_` is a `-`."""
    _, body, query, needed = NEEDS[str(route)]
    text = None if body is None else json.dumps(body)
    for name, value in ids.items():
        text = text and text.replace(f"{{{name}}}", value)
    named = {name.replace("_", "-"): value for name, value in headers.items()} | dict(needed)
    path = API + route.path.format_map(ids) + query
    # The same id for every request, so that answers can be compared to the letter.
    named |= {"Request-Id": "asked"}
    return await http.request(route.method, path, content=text, headers=named)


def form(answer: httpx.Response, ids: Mapping[str, str]) -> tuple[int, list[str], str]:
    """Return an answer without what was asked for, and without ids, times and positions."""
    text = VARYING.sub("…", answer.text)
    for name, value in ids.items():
        text = text.replace(value, name)
    return answer.status_code, sorted(answer.headers), text


def test_every_route_says_which_scope_it_needs() -> None:
    """A new route is a row of `NEEDS`, and its ids have names that the tests know."""
    assert {str(route) for route in GUARDED} == set(NEEDS)
    for route in GUARDED:
        assert set(re.findall(r"{(\w+)}", route.path)) <= set(NOTHING)
        assert (route.method == "GET") == (NEEDS[str(route)].body is None)


# --- tokens and scopes --------------------------------------------------------------------------


@guarded
async def test_without_a_valid_token_every_route_is_401(
    service: Service, database: Database, route: Route
) -> None:
    """No token, an unknown one, another scheme: nobody gets in, and nothing is appended."""
    position = await head_position(database)
    async with client(service.url) as http:
        for authorization, code in (
            (None, "token_missing"),
            ("", "token_missing"),
            ("Bearer", "token_missing"),
            ("Basic dXNlcjpwYXNzd29yZA==", "token_missing"),
            (service.token, "token_missing"),
            ("Bearer wrong", "token_unknown"),
            (f"Bearer {service.token}x", "token_unknown"),
        ):
            headers = {} if authorization is None else {"Authorization": authorization}
            answer = await ask(route, http, **headers, daybook_ledger="demo")
            problem(answer, 401, code)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert await head_position(database) == position


@guarded
async def test_only_its_own_scope_opens_a_route(
    open_ledger: OpenLedger, database: Database, route: Route
) -> None:
    """Without it 403, whatever else the token may; with it alone, or with admin, in."""
    needed = NEEDS[str(route)].scope
    position = await head_position(database)
    others = tuple(scope for scope in SCOPES if scope not in (needed, "admin"))
    for scopes in ((), others, *((scope,) for scope in others)):
        caller = await open_ledger(scopes)
        problem(await ask(route, caller.http), 403, "scope_missing")
    assert await head_position(database) == position
    for scope in (needed, "admin"):
        caller = await open_ledger((scope,))
        answer = await ask(route, caller.http)
        assert answer.status_code not in (401, 403), answer.text
        assert answer.status_code < 500, answer.text


async def test_revoked_token_is_refused(service: Service, database: Database) -> None:
    """A token that was revoked before its first use never works."""
    token = f"revoked-{uuid4().hex}"
    await database.execute(
        "INSERT INTO runtime.tokens (token_sha256, tenants, scopes, label, revoked_at) "
        "VALUES (sha256($1), '{someone}', '{read}', '', now())",
        token.encode(),
    )
    async with client(service.url, token) as http:
        problem(await http.get(f"{API}/transactions"), 401, "token_unknown")


# --- which ledger -------------------------------------------------------------------------------


@guarded
async def test_token_of_several_ledgers_must_name_one_of_them(
    open_ledger: OpenLedger, database: Database, route: Route
) -> None:
    """None is 400; a foreign one is 403, in the same words whether it exists or not."""
    scopes = (*SCOPES, NEEDS[str(route)].scope)
    there, one = await open_ledger(), await open_ledger(scopes)
    both = await open_ledger(scopes, one.name, ("another-ledger",))
    position = await head_position(database)
    problem(await ask(route, both.http), 400, "ledger_missing")
    for caller in (one, both):
        refused = [
            problem(await ask(route, caller.http, daybook_ledger=name), 403, "ledger_not_allowed")
            for name in (there.name, "nowhere", "", f"{one.name},another-ledger", one.name.upper())
        ]
        assert all(answer == refused[0] for answer in refused)
    assert await head_position(database) == position
    for caller in (one, both):
        answer = await ask(route, caller.http, daybook_ledger=one.name)
        assert answer.status_code not in (401, 403), answer.text
        assert "ledger_missing" not in answer.text


async def test_token_of_several_ledgers_works_in_the_one_it_names(open_ledger: OpenLedger) -> None:
    """Each request is about one ledger, and the next may be about another."""
    ours, theirs = await open_ledger(), await open_ledger()
    both = await open_ledger(SCOPES, ours.name, (theirs.name,))
    for ledger, amount in ((ours, b"1.00"), (theirs, b"2.00")):
        named = {"Daybook-Ledger": ledger.name}
        answer = await both.submit("same-key", amount=amount, headers=named)
        assert answer.status_code == 202
        await ledger.readable_at(answer.headers["Daybook-Position"])
        shown = await both.get("/transactions/status/same-key", headers=named)
        assert shown == await ledger.get("/transactions/status/same-key")
        assert shown["result"]["amount"] == amount.decode()
    for ledger in (ours, theirs):
        assert len((await ledger.get("/transactions"))["items"]) == 1


# --- nothing of another ledger ------------------------------------------------------------------


class Theirs(NamedTuple):
    """A ledger with something of every kind in it, and the ids of it by their names."""

    ledger: Ledger
    ids: Mapping[str, str]

    async def state(self) -> list[str]:
        """Return what the ledger itself shows of all this."""
        account = f"/accounts/{self.ids['account_id']}"
        views = ("", "/balance", "/ledger", "/audit-trail", "/reconciliation-history")
        statement = f"/statements/{self.ids['statement_id']}"
        paths = ["/transactions", *(f"{account}{view}" for view in views), f"{statement}/matches"]
        return [(await self.ledger.http.get(f"{API}{path}")).text for path in paths]


@pytest.fixture(scope="module")
async def theirs(service: Service) -> AsyncIterator[Theirs]:
    """Fill a ledger that the tests then ask for with other ledgers' tokens."""
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(opened_ledger(service))
        await ledger.fund("their-payer", "1000000.00")
        posted = await ledger.posted(
            "their-key",
            source="their-payer",
            destination="their-wallet",
            amount=b"2718.28",
            description=SECRET,
            metadata={"their-order": 42},
        )
        await ledger.post("/accounts/their-wallet/reconcile")
        imported = await ledger.http.post(
            f"{API}/statements?account_id=their-wallet&map.date=d&map.amount=a&map.reference=r",
            content=f"d,a,r\n{posted['created_at'][:10]},2718.28,their-key\n",
            headers={"Content-Type": "text/csv"},
        )
        assert imported.json()["matches"] == {"proposed": 1, "accepted": 0, "rejected": 0}
        history = await ledger.get("/accounts/their-wallet/reconciliation-history")
        ids = {
            "transaction_id": posted["id"],
            "account_id": "their-wallet",
            "key": "their-key",
            "reconciliation_id": history["items"][0]["reconciliationId"],
            # Nothing of theirs was repaired; tests/acceptance/test_repairs.py has one that was.
            "repair_id": str(uuid4()),
            **NO_TILE,
            "statement_id": imported.json()["statement_id"],
            "match_id": "1",
        }
        yield Theirs(ledger, ids)


@guarded
async def test_what_is_another_ledgers_is_as_if_it_were_not(
    open_ledger: OpenLedger, theirs: Theirs, route: Route
) -> None:
    """Its ids get the answer that ids of nothing get, to the letter, and nothing happens to it."""
    mine = await open_ledger()
    before = await theirs.state()
    answers = [(await ask(route, mine.http, ids), ids) for ids in (theirs.ids, NOTHING)]
    for answer, _ in answers:
        assert answer.status_code < 500, answer.text
        assert not [secret for secret in SECRETS if secret in answer.text]
        assert theirs.ledger.name not in answer.text
        if "{" in route.path and answer.status_code < 300:
            assert answer.json() == {"items": [], "next": None}
    if str(route) not in SERVICE_WIDE | GOING_ON:
        assert form(*answers[0]) == form(*answers[1])
    assert await theirs.state() == before


async def test_lists_end_at_the_ledger(open_ledger: OpenLedger, theirs: Theirs) -> None:
    """An empty ledger shows empty lists."""
    mine = await open_ledger()
    for path in ("/transactions", "/entries", "/accounts"):
        page = await mine.get(path)
        assert (page["items"], page["next"]) == ([], None)
    # Its pages look at what all ledgers share, so the first one may not be the last.
    assert (await mine.get("/events"))["items"] == []
    assert (await mine.http.get(f"{API}/events?format=ndjson")).text == ""


async def test_cursor_of_another_ledger_shows_only_ones_own(open_ledger: OpenLedger) -> None:
    """It is a place in the log, and no right to what stands there."""
    mine, theirs = await open_ledger(), await open_ledger()
    secrets = []
    for _ in range(2):
        await mine.posted(destination="wallet", amount=b"100")
        secrets.append((await theirs.posted(destination="wallet", amount=b"100"))["id"])
    for path in (
        *("/transactions", "/entries", "/accounts", "/events"),
        *("/accounts/wallet/ledger", "/accounts/wallet/audit-trail"),
    ):
        cursor = (await theirs.get(f"{path}?limit=1&order=desc"))["next"]
        assert cursor is not None
        found = await mine.get(path, params={"cursor": cursor})
        assert found["items"]
        assert not [secret for secret in secrets if secret in str(found)]


async def test_same_names_in_two_ledgers_are_two_things(open_ledger: OpenLedger) -> None:
    """One key, one account id: two transactions and two balances."""
    mine, theirs = await open_ledger(), await open_ledger()
    first = await mine.posted("one-key", destination="wallet", amount=b"1")
    second = await theirs.posted("one-key", destination="wallet", amount=b"300")
    assert first["id"] != second["id"]
    for ledger, result, amount in ((mine, first, "1.00"), (theirs, second, "300.00")):
        assert (await ledger.get("/transactions/status/one-key"))["result"] == result
        assert (await ledger.get("/accounts/wallet/balance"))["balance"] == amount


async def test_two_ledgers_may_use_one_key_at_the_same_time(open_ledger: OpenLedger) -> None:
    """Keys belong to ledgers, in the cache as in the log."""
    ledgers = [await open_ledger() for _ in range(4)]
    answers: list[httpx.Response] = await asyncio.gather(
        *(ledger.submit("same-key") for ledger in ledgers for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["messageId"] for answer in answers}) == len(ledgers)


@pytest.mark.parametrize("body", [{}, {"amount": "1.00"}, {"amount": "1.00", "currency": "USD"}])
async def test_refund_of_another_ledgers_transaction_is_refused(
    open_ledger: OpenLedger, body: dict[str, str]
) -> None:
    """It is not found, exactly like one that does not exist, and no money moves."""
    mine, theirs = await open_ledger(), await open_ledger()
    secret = await theirs.posted(amount=b"100")
    shown = []
    for id_ in (secret["id"], UNKNOWN_ID):
        key = new_key()
        answer = await mine.http.post(
            f"{SUBMIT}/{id_}/refund", json={**body, "idempotencyKey": key}
        )
        problem(answer, 422, "transaction_not_found")
        await mine.readable_at(answer.headers["Daybook-Position"])
        polled = await mine.http.get(f"{SUBMIT}/status/{key}")
        shown.append([form(each, {"key": key}) for each in (answer, polled)])
    assert shown[0] == shown[1]
    assert "refunded" not in await theirs.get(f"/transactions/{secret['id']}")
    assert (await theirs.get("/accounts/wallet/balance"))["balance"] == "100.00"


async def test_reconciliation_does_not_count_another_ledgers_events(
    open_ledger: OpenLedger,
) -> None:
    """An account of the same name elsewhere is read from the same log, and leaves no trace."""
    mine, theirs = await open_ledger(), await open_ledger()
    await mine.posted(destination="wallet", amount=b"1")
    before = await mine.get("/accounts/wallet/reconciliation-difference")
    for _ in range(3):
        await theirs.posted(destination="wallet", amount=b"100")
    after = await mine.get("/accounts/wallet/reconciliation-difference")
    assert before["eventsRead"] == after["eventsRead"] == 2
    assert (
        await mine.post("/accounts/wallet/reconcile")
        | {name: after[name] for name in ("reconciliationId", "timestamp")}
        == after
    )
