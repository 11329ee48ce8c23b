"""Commands of the acceptance tests beyond a transfer: holds, schedules, follow-ups, batches."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec

from tests.acceptance.driver import (
    API,
    READABLE,
    SUBMIT,
    Database,
    Ledger,
    exact,
    new_key,
    transfer,
    until,
)
from tests.patience import patient_s

BATCH = f"{SUBMIT}/batch"
NDJSON = {"content-type": "application/x-ndjson"}
STREAM = """
    SELECT topic FROM events.daybook_events
    WHERE originator_id = $1 ORDER BY originator_version
"""
ABOUT = """
    SELECT topic, originator_id AS id
    FROM (
        SELECT notification_id, originator_id, topic, convert_from(state, 'UTF8')::jsonb AS data
        FROM events.daybook_events
    ) AS log
    WHERE data ->> 'ledger' = $1 AND data ->> 'about' = $2 AND topic <> 'transfer.rejected'
    ORDER BY notification_id
"""


def soon(seconds: float) -> str:
    """Return a moment that many seconds from now, later on a busy machine."""
    return (datetime.now(UTC) + timedelta(seconds=patient_s(seconds))).isoformat()


async def sleep_until(moment: str, plus_s: float = 0.0) -> None:
    """Sleep until a moment, or that much after it."""
    left = datetime.fromisoformat(moment) - datetime.now(UTC)
    await asyncio.sleep(max(0.0, left.total_seconds() + plus_s))


async def accepted(ledger: Ledger, /, **fields: Any) -> str:  # noqa: ANN401
    """Submit a transfer that must be accepted, wait until it is readable, and return its id."""
    return str((await ledger.posted(None, **fields))["id"])


async def held(ledger: Ledger, amount: str = "100.00", /, **more: Any) -> str:  # noqa: ANN401
    """Hold an amount in the wallet for the shop; return the hold's id."""
    sides = {"source": "wallet", "destination": "shop"}
    return await accepted(ledger, **(sides | more), amount=amount, pending=True)


async def follow(
    ledger: Ledger,
    verb: str,
    about: str,
    body: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] = READABLE,
) -> httpx.Response:
    """Refund, capture, void or cancel an earlier transaction; wait until that is readable."""
    asked = {"idempotencyKey": key or new_key(), **(body or {})}
    return await ledger.http.post(f"{SUBMIT}/{about}/{verb}", json=asked, headers=dict(headers))


async def followed(ledger: Ledger, verb: str, about: str, /, **body: Any) -> str:  # noqa: ANN401
    """Send a follow-up that must succeed; return the id of the new transaction."""
    answer = await follow(ledger, verb, about, body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result"]["id"])


async def transaction(ledger: Ledger, transaction_id: str) -> dict[str, Any]:
    """Return a transaction from the query API."""
    return await ledger.get(f"/transactions/{transaction_id}")


async def stands(ledger: Ledger, transaction_id: str, status: str) -> None:
    """Wait until a transaction is shown with a status."""

    async def there() -> bool:
        return bool((await transaction(ledger, transaction_id))["status"] == status)

    await until(there, f"{transaction_id} is {status}", within_s=15)


async def balance(ledger: Ledger, account_id: str) -> dict[str, str]:
    """Return an account's counters, in minor units."""
    view = await ledger.get(f"/accounts/{account_id}/balance")
    return {
        name: view[f"{name}_minor"]
        for name in (
            *("balance", "available"),
            *("debits_posted", "credits_posted", "debits_pending", "credits_pending"),
        )
    }


async def stream(database: Database, transaction_id: str) -> list[str]:
    """Return the topics of a transaction's own events, in order."""
    rows: list[asyncpg.Record] = await database.fetch(STREAM, transaction_id)
    return [row["topic"] for row in rows]


async def about(database: Database, ledger: Ledger, transaction_id: str) -> list[str]:
    """Return the topics of the follow-ups of a transaction, in order, without refusals."""
    rows = await database.fetch(ABOUT, ledger.name, transaction_id)
    return [row["topic"] for row in rows]


def item(key: str | None = None, /, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an item of a batch, with a fresh key unless one is given."""
    return {"transaction": transfer(**fields), "idempotencyKey": key or new_key()}


def lines(items: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a batch as NDJSON."""
    return b"".join(msgspec.json.encode(each) + b"\n" for each in items)


async def batch(
    ledger: Ledger,
    items: Sequence[Mapping[str, Any]],
    mode: str = "independent",
    *,
    dry_run: bool = False,
) -> httpx.Response:
    """Submit a batch as a JSON array; wait until it is readable, unless it is a dry run."""
    query = f"?mode={mode}" + ("&dry_run=true" if dry_run else "")
    content = msgspec.json.encode(items)
    return await ledger.http.post(f"{BATCH}{query}", content=content, headers=READABLE)


async def change(ledger: Ledger, account_id: str, **policy: Any) -> httpx.Response:  # noqa: ANN401
    """Change the policy of an account."""
    return await ledger.http.patch(f"{API}/accounts/{account_id}", json=policy)


def results(answer: httpx.Response, status: int = 200) -> list[dict[str, Any]]:
    """Return the outcome of each item of a batch."""
    assert answer.status_code == status, answer.text[:500]
    if answer.headers["content-type"] == NDJSON["content-type"]:
        return [msgspec.json.decode(line) for line in answer.content.splitlines()]
    found: list[dict[str, Any]] = exact(answer)["results"]
    return found
