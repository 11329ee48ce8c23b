"""`daybook demo`: send transfers through a throw-away Daybook, and check every step.

Each step is one or two HTTP requests to the running program. A step that goes wrong prints the
expected and the actual value, and makes the exit code 1.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import msgspec
from rich.console import Console

from daybook.embedded.supervisor import StartError
from daybook.embedded.up import embedded

API = "/api/v1"
POLL_S_MAX = 10.0
READABLE = {"Prefer": f"wait={POLL_S_MAX:.0f}"}


class StepFailed(AssertionError):
    """A step had another result than expected."""


class Demo:
    """The steps of the demo, with an HTTP client and a console."""

    def __init__(self, client: httpx.AsyncClient, console: Console) -> None:
        self._client = client
        self._console = console
        self.steps: list[dict[str, Any]] = []

    async def walk(self) -> None:
        """Do every step, in order. Raises StepFailed."""
        await self._ready()
        before = await self._balance("account-123", "The balance of account-123")
        await self._submit_and_poll()
        await self._duplicate()
        await self._insufficient_funds()
        after = await self._balance("account-123", "The balance afterwards")
        _check("balance", after, before - 100)
        _check(
            "balance of account-456",
            await self._balance("account-456", "The balance of the other account"),
            100,
        )
        await self._entries()
        await self._hold()
        _check(
            "balance", await self._balance("account-123", "The balance: 25.00 less"), before - 125
        )
        await self._reconcile()

    async def _ready(self) -> None:
        answer = await self._call("Is everything ready?", "GET", "/ready")
        _check("status", answer.json()["status"], "READY")

    async def _submit_and_poll(self) -> None:
        answer = await self._transfer("Move 100.00 USD", "demo-1", "100.00")
        _check("HTTP status", answer.status_code, 202)
        poll_url = answer.json()["pollUrl"]
        deadline = time.monotonic() + POLL_S_MAX
        while (polled := await self._client.get(poll_url)).status_code == httpx.codes.ACCEPTED:
            if time.monotonic() > deadline:
                raise StepFailed("the transfer was not projected in time")
        self._show("Poll until it is readable", "GET", poll_url, polled)
        _check("status", polled.json()["status"], "COMPLETED")

    async def _duplicate(self) -> None:
        answer = await self._transfer(
            "The same request again: nothing happens twice", "demo-1", "100.00"
        )
        _check("HTTP status", answer.status_code, 202)
        _check("Idempotent-Replayed", answer.headers.get("Idempotent-Replayed"), "true")
        answer = await self._transfer("The same key with another amount", "demo-1", "1.00")
        _check("code", answer.json()["code"], "idempotency_key_reused")

    async def _insufficient_funds(self) -> None:
        answer = await self._transfer("More money than there is", "demo-2", "1000000")
        _check("HTTP status", answer.status_code, 422)
        _check("code", answer.json()["code"], "insufficient_funds")

    async def _balance(self, account_id: str, title: str) -> Decimal:
        answer = await self._call(title, "GET", f"{API}/accounts/{account_id}/balance")
        return Decimal(answer.json()["balance_minor"]) / 100

    async def _entries(self) -> None:
        answer = await self._call(
            "The entries of account-123", "GET", f"{API}/accounts/account-123/ledger?limit=5"
        )
        entries = answer.json()["items"]
        _check("entries", [entry["side"] for entry in entries], ["debit", "credit"])

    async def _hold(self) -> None:
        answer = await self._transfer("Hold 40.00 USD", "demo-3", "40.00", pending=True)
        path = f"{API}/transactions/{answer.json()['result']['id']}"
        _check("status", answer.json()["result"]["status"], "PENDING")
        body = {"amount": "25.00", "idempotencyKey": "demo-4"}
        answer = await self._call("Capture 25.00 of it", "POST", f"{path}/capture", body, READABLE)
        _check("status", answer.json()["status"], "COMPLETED")
        body = {"idempotencyKey": "demo-5"}
        answer = await self._call("Release the rest", "POST", f"{path}/void", body, READABLE)
        _check("status", answer.json()["status"], "COMPLETED")

    async def _reconcile(self) -> None:
        path = f"{API}/accounts/account-123/reconcile"
        answer = await self._call("Replay the log and compare", "POST", path, {})
        _check("status", answer.json()["status"], "CLEAN")

    async def _transfer(
        self, title: str, key: str, amount: str, *, pending: bool = False
    ) -> httpx.Response:
        body = {
            "transaction": {
                "source_account_id": "account-123",
                "destination_account_id": "account-456",
                "amount": amount,
                "currency": "USD",
                "pending": pending,
            },
            "idempotencyKey": key,
        }
        headers = READABLE if pending else {}
        return await self._call(title, "POST", f"{API}/transactions", body, headers)

    async def _call(
        self,
        title: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx.Response:
        answer = await self._client.request(method, path, json=body, headers=headers)
        self._show(title, method, path, answer)
        return answer

    def _show(self, title: str, method: str, path: str, answer: httpx.Response) -> None:
        self.steps.append(
            {"step": title, "request": f"{method} {path}", "status": answer.status_code}
        )
        self._console.rule(f"[bold]{len(self.steps)}. {title}", align="left")
        milliseconds = answer.elapsed.total_seconds() * 1000
        self._console.print(
            f"{method} {path}  →  [bold]{answer.status_code}[/]  [dim]{milliseconds:.1f} ms[/]"
        )
        for name in ("Idempotent-Replayed", "Daybook-Position"):
            if name in answer.headers:
                self._console.print(f"[dim]{name}: {answer.headers[name]}[/]")
        pretty = msgspec.json.format(answer.content, indent=2).decode()
        self._console.print(pretty, highlight=True, markup=False)


async def demo(*, as_json: bool) -> int:
    """Run the demo and return the exit code: 0 if every step was right."""
    console = Console(quiet=as_json)
    try:
        async with _client(console) as client:
            walk = Demo(client, console)
            try:
                await walk.walk()
            except StepFailed as error:
                problem = str(error)
            else:
                problem = ""
    except StartError as error:
        Console(stderr=True).print(f"daybook: {error}", markup=False)
        return 2
    if as_json:
        result = {"ok": not problem, "problem": problem, "steps": walk.steps}
        print(msgspec.json.encode(result).decode())  # noqa: T201 - the command's output
    elif problem:
        console.print(f"[bold red]Not right:[/] {problem}")
    else:
        console.rule("[bold green]Every step was right", align="left")
        console.print(
            "[bold]daybook up[/] keeps it running on port 3000; README.md has the curl walk."
        )
    return 1 if problem else 0


@asynccontextmanager
async def _client(console: Console) -> AsyncIterator[httpx.AsyncClient]:
    started = time.monotonic()
    with console.status("Starting PostgreSQL, Valkey, an SQS API and Daybook …"):
        opening = embedded(Path(), 0, ephemeral=True)
        service = await opening.__aenter__()
    try:
        console.print(
            f"Started real servers and Daybook in {time.monotonic() - started:.1f} s "
            f"({service.url}, throw-away data)."
        )
        headers = {"Authorization": f"Bearer {service.token}"}
        async with httpx.AsyncClient(
            base_url=service.url, headers=headers, timeout=30, trust_env=False
        ) as client:
            yield client
    finally:
        with console.status("Stopping everything …"):
            await opening.__aexit__(None, None, None)


def _check(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise StepFailed(f"{what} should be {expected!r}, and is {found!r}")
