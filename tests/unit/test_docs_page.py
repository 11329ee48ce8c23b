"""The documentation page is whole, and needs nothing from elsewhere."""

import re

import httpx
from litestar import Litestar

from web import docs_page
from web.endpoints import endpoints, route


async def test_the_page_loads_only_files_of_its_own() -> None:
    """Each is there, of the right media type; nothing names another host."""
    app = Litestar([route(each) for each in endpoints(docs_page.OPERATIONS)], openapi_config=None)
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        page = await client.get("/docs")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(loaded) == 3
        for address in loaded:
            answer = await client.get(address)
            assert answer.status_code == 200, address
            assert answer.headers["content-type"].startswith(("text/javascript", "text/css"))
        assert (await client.get("/docs/LICENSE")).status_code == 404
        assert (await client.get("/docs/../health.py")).status_code == 404
    assert "script-src 'self';" in page.headers["content-security-policy"]
