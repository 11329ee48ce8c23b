"""One page of any list, in bounded work: find the next keys by an index, read the matching rows.

    from the cursor's cut ──key query──▶ keys, in order ──row query──▶ rows that match all filters
                                ▲                                       │
                                └─────── more keys, if too few ─────────┘  at most KEYS_MAX a page

A key query needs one index and has no filter; a row query reads the rows of given keys. Therefore
every query is static, and its plan does not depend on the filters that are given. A filter that
matches almost nothing makes a short page (even an empty one, with a `next`), never a long request.

A page covers all keys between two cuts: the near one, where it began, and the far one, where it
stopped. The neighbouring pages begin at exactly these cuts, so a walk along `next` and back along
`previous` shows every row once, whatever is added meanwhile.
"""

from typing import NamedTuple

from events import checkpoints
from query_side import queries
from query_side.list_query import ListQuery, PageRequest
from query_side.queries import SQL, Rows
from runtime import database
from runtime.database import Executor
from web import cursors
from web.cursors import Cursor, Cut

KEYS_MAX = 20_000
# The first key query is for one page, and each later one for this many times more keys.
KEYS_GROWTH = 8


class ListPage(NamedTuple):
    """Rows in the list's order, the position of the snapshot, and cursors of the pages beside it.

    `next` is None where the list ends. Rows that were added since are on the page `previous`.
    """

    rows: Rows
    position: int
    next: str | None
    previous: str


async def page(
    pool: database.Pool, query: ListQuery, request: PageRequest, keys_max: int = KEYS_MAX
) -> ListPage:
    """Return the page that is asked for, read in one snapshot."""
    async with queries.snapshot(pool) as connection:
        await connection.execute(SQL["plan_for_any"])
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        window = await _window(connection, query, request)
        found = await _found(connection, query, window, request.limit, keys_max)
    near, far = _cuts(window, request.cursor, found)
    back = cursors.encode(query.name, Cursor(not window.up, near))
    onward = cursors.encode(query.name, Cursor(window.up, far))
    if window.up is request.ascending:
        return ListPage(found.rows, position, onward if found.more else None, back)
    return ListPage(found.rows[::-1], position, back, onward)


class _Window(NamedTuple):
    """The keys that a page may come to, and the direction in which it goes."""

    low: Cut
    high: Cut
    up: bool


class _Found(NamedTuple):
    """Rows in the window's direction, the page's first and last key, and whether more follow."""

    rows: Rows
    first: Cut | None
    last: Cut | None
    more: bool


async def _window(connection: Executor, query: ListQuery, request: PageRequest) -> _Window:
    """Return the keys within the list's range and its period, from the cursor on."""
    low, high = query.low, query.high
    rest = (0,) * (len(low) - 1)
    if query.period.start is not None:
        before = await queries.position_before(connection, query.period.start)
        low = max(low, (before + 1, *rest))
    if query.period.end is not None:
        before = await queries.position_before(connection, query.period.end)
        high = min(high, (before + 1, *rest))
    if request.cursor is None:
        return _Window(low, high, request.ascending)
    if request.cursor.up:
        return _Window(max(low, request.cursor.cut), high, up=True)
    return _Window(low, min(high, request.cursor.cut), up=False)


async def _found(
    connection: Executor, query: ListQuery, window: _Window, limit: int, keys_max: int
) -> _Found:
    """Find more and more keys, until there is a row beyond `limit` or `keys_max` is reached."""
    keys: list[Cut] = []
    rows: Rows = []
    more = True
    while more and len(rows) <= limit and len(keys) < keys_max:
        count = min(max(limit + 1, KEYS_GROWTH * len(keys)), keys_max - len(keys))
        found_keys = await _next_keys(connection, query, window, count)
        more = len(found_keys) == count
        if found_keys:
            rows += await connection.fetch(
                SQL[query.row_query],
                limit + 1 - len(rows),
                *zip(*found_keys, strict=True),
                *query.row_arguments,
            )
            keys += found_keys
            window = _rest(window, keys[-1])
    if len(rows) <= limit:
        return _Found(rows, keys[0] if keys else None, keys[-1] if keys else None, more)
    last = tuple(rows[limit - 1][column] for column in query.key)
    return _Found(rows[:limit], keys[0], last, more=True)


async def _next_keys(
    connection: Executor, query: ListQuery, window: _Window, count: int
) -> list[Cut]:
    """Return the next `count` keys, in order; the branches of a query may find more of them."""
    found = await connection.fetch(
        SQL[query.key_query], *window.low, *window.high, window.up, count, *query.key_arguments
    )
    return sorted(map(tuple, found), reverse=not window.up)[:count]


def _rest(window: _Window, last: Cut) -> _Window:
    """Return what is left of `window` beyond the key `last`."""
    if window.up:
        return window._replace(low=cursors.above(last))
    return window._replace(high=last)


def _cuts(window: _Window, cursor: Cursor | None, found: _Found) -> tuple[Cut, Cut]:
    """Return the cuts where the page begins and where it ends.

    Without a cursor it begins at the first key, because rows may be added before that. A page that
    found no key ends where it begins.
    """
    if cursor is not None:
        near = cursor.cut
    elif found.first is None:
        near = window.high if window.up else window.low
    else:
        near = found.first if window.up else cursors.above(found.first)
    if found.last is None:
        return near, near
    return near, cursors.above(found.last) if window.up else found.last
