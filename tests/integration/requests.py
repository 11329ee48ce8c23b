"""Send requests to the read API over real HTTP, with no other process running."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from daybook.embedded import servers
from daybook.processes.serve import application
from daybook.processes.side import ServedSide
from tests.integration import fixtures
from tests.patience import patient_s
from web import tokens
from web.server import served

TOKEN = "a-token-for-tests"
POLL_S = 0.01
POLLS_MAX = 1_000
# Nothing here speaks TLS; a client without a context of its own reads all CAs, 25 ms each time.
TLS = ssl.create_default_context()


@asynccontextmanager
async def asking_over_http(
    database_url: str,
    **changes: Any,  # noqa: ANN401 - any setting
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the query side of a database to one client, of the ledger `demo`."""
    async with fixtures.connected(database_url) as connection:
        await tokens.add_token(connection, TOKEN, {"demo"}, ["read"], "tests")
    port = servers.free_port()
    app = application(fixtures.settings(database_url, **changes), ServedSide.QUERY)
    async with (
        served(app, servers.LOOPBACK, port),
        httpx.AsyncClient(
            base_url=f"http://{servers.LOOPBACK}:{port}/api/v1",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=patient_s(30),
            verify=TLS,
        ) as client,
    ):
        await up(client)
        yield client


async def up(client: httpx.AsyncClient) -> None:
    """Return as soon as the server that `client` asks is there."""
    for _ in range(POLLS_MAX):
        try:
            response = await client.get("/health")
        except httpx.TransportError:
            await asyncio.sleep(POLL_S)
            continue
        assert response.status_code == 200
        return
    raise AssertionError(client.base_url)
