"""A statement as one JSON document, written piece by piece."""

from collections.abc import AsyncGenerator, AsyncIterator

from query_side.statements import views
from query_side.statements.statement import Line, Statement
from web.http import ENCODER


async def statement(
    found: Statement, pages: AsyncIterator[list[Line]], decimals: int
) -> AsyncGenerator[bytes, None]:
    """Yield the document: the statement's own fields, then `entries`."""
    yield ENCODER.encode(views.statement(found, decimals))[:-1] + b',"entries":['
    separator = b""
    async for page in pages:
        if page:
            yield separator + b",".join(ENCODER.encode(views.line(line, decimals)) for line in page)
            separator = b","
    yield b"]}"
