"""`GET /docs`: a page to read the API and to try it, with Swagger UI, without any network.

The page asks nothing of other hosts, and runs no script but those beside this file.
"""

from pathlib import Path

from litestar.types import ASGIApp
from msgspec import Struct

from runtime.problems import NotFound
from web.answers import Answer
from web.operations import operation

ASSETS = Path(__file__).resolve().parent / "assets"
TAG = "The service"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Daybook API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<main id="docs"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/docs.js"></script>
</body>
</html>
"""
MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
FILES = {
    path.name: path
    for path in (ASSETS / "docs.js", *sorted((ASSETS / "swagger-ui").iterdir()))
    if path.suffix in MEDIA
}


class OfAsset(Struct, frozen=True):
    """A file that the page loads."""

    name: str


@operation("GET", "/docs", name="docs", tag=TAG, answers={200: {"text/html": str}}, gives=())
async def page() -> ASGIApp:
    """Show the documentation of the API."""
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return Answer(PAGE, headers=headers, media_type="text/html; charset=utf-8")


@operation(
    "GET",
    "/docs/{name}",
    name="docsAsset",
    tag=TAG,
    answers={200: {"text/javascript": str, "text/css": str}},
    problems={404: ("not_found",)},
    gives=(),
)
async def asset(path: OfAsset) -> ASGIApp:
    """Return a file that the page loads."""
    file = FILES.get(path.name)
    if file is None:
        raise NotFound("not_found", "There is nothing at this path.")
    headers = {"Cache-Control": "max-age=3600"}
    return Answer(file.read_bytes(), headers=headers, media_type=MEDIA[file.suffix])


OPERATIONS = [page, asset]
