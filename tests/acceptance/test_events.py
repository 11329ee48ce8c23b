"""The event stream of the running program, under load and while processes stop."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx

from daybook.embedded.up import Service
from tests.acceptance.driver import API, Database, Ledger, client, new_key, second_api
from tests.patience import patient_s

LOG = """
    SELECT notification_id FROM events.daybook_events
    WHERE convert_from(state, 'UTF8')::jsonb ->> 'ledger' = $1 ORDER BY notification_id
"""
END = "end"


async def sent(http: httpx.AsyncClient, place: str) -> AsyncIterator[tuple[str, str | None]]:
    """Yield the id and, for an event, the key of what a stream sends after `place`."""
    headers = {"Last-Event-ID": place} if place else {}
    async with http.stream("GET", f"{API}/events/stream", headers=headers) as answer:
        assert answer.status_code == 200
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, text = line.partition(": ")
                fields[name] = text
                continue
            data = json.loads(fields["data"])["data"] if "data" in fields else None
            yield fields["id"], None if data is None else data.get("key", "")
            fields = {}


async def test_a_stream_goes_on_at_another_process_while_the_first_one_stops(
    service: Service, ledger: Ledger, database: Database
) -> None:
    """Under load the process stops at once, and every event comes once, in order."""
    got: list[str] = []
    place = "0"
    seen = asyncio.Event()

    async def follow(http: httpx.AsyncClient) -> None:
        nonlocal place
        async for id_, key in sent(http, place):
            place = id_
            if key is not None:
                got.append(id_.partition(".")[0])
                seen.set()
            if key == END:
                return

    async def load() -> None:
        for _ in range(12):
            answers = await asyncio.gather(*(ledger.submit(new_key()) for _ in range(10)))
            assert {answer.status_code for answer in answers} == {202}

    async with second_api(service) as url, client(url, ledger.token) as there:
        following = asyncio.create_task(follow(there))
        loading = asyncio.create_task(load())
        async with asyncio.timeout(patient_s(20)):
            await seen.wait()
        stopping_at = time.monotonic()
    assert time.monotonic() - stopping_at < patient_s(5)
    async with asyncio.timeout(patient_s(20)):
        # The stream ended, or was broken off; either way the client knows its place.
        await asyncio.gather(following, return_exceptions=True)
        await loading
        await ledger.submit(END)
        await follow(ledger.http)
    assert got == [str(row["notification_id"]) for row in await database.fetch(LOG, ledger.name)]
