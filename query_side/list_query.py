"""What a list reads: its queries, the range of its keys, and which page of it. Pure."""

from datetime import datetime
from typing import Any, NamedTuple

from web.cursors import BIGGEST, Cursor, Cut

FIRST: Cut = (0,)
LAST: Cut = (BIGGEST,)


class Period(NamedTuple):
    """From `start`, which is included, to `end`, which is not."""

    start: datetime | None = None
    end: datetime | None = None


class PageRequest(NamedTuple):
    """A page of `limit` rows that begins at `cursor`, or where the list begins."""

    ascending: bool
    cursor: Cursor | None
    limit: int


class ListQuery(NamedTuple):
    """The queries of a list and their arguments.

    The key query takes the lowest and the highest cut, whether to go up, how many keys, and its
    arguments. The row query takes how many rows, the keys column by column, and its arguments.
    `period` is of recorded time, which positions follow.
    """

    name: str
    key: tuple[str, ...]
    low: Cut
    high: Cut
    key_query: str
    key_arguments: tuple[Any, ...]
    row_query: str
    row_arguments: tuple[Any, ...]
    period: Period = Period()


# A list, and which page of it.
ListRequest = tuple[ListQuery, PageRequest]
