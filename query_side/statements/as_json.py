"""A statement as one JSON document, written piece by piece."""

from collections.abc import AsyncGenerator, AsyncIterator

from query_side.statements import answers
from query_side.statements.statement import AccountStatement, StatementEntry
from web.answers import ENCODER

# What ends a statement that has no entries.
NO_ENTRIES_END = b"]}"


async def statement(
    found: AccountStatement, pages: AsyncIterator[list[StatementEntry]], decimals: int
) -> AsyncGenerator[bytes, None]:
    """Yield the document: the statement's own fields, then `entries`."""
    yield ENCODER.encode(answers.statement(found, decimals)).removesuffix(NO_ENTRIES_END)
    separator = b""
    async for page in pages:
        if page:
            lines = (ENCODER.encode(answers.line(entry, decimals)) for entry in page)
            yield separator + b",".join(lines)
            separator = b","
    yield NO_ENTRIES_END
