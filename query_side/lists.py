"""One page of any list, in bounded work: look at the next keys by an index, pick what matches.

    from the cursor's cut ──look──▶ keys, in order ──pick──▶ rows that every filter lets through
                            ▲                                │
                            └───── more keys, if too few ────┘   at most LOOK_MAX keys a page

Looking needs one index and no filter; picking goes to the rows by their keys. So every query is
static, its plan does not hang on which filters are given, and a filter that matches almost nothing
makes a short page (even an empty one, with a `next`), never a long request.

A page covers all keys between two cuts: the near one, where it began, and the far one, where it
stopped looking. The neighbouring pages begin at just these, so a walk along `next` and back along
`previous` shows every row once, whatever is added meanwhile.
"""

from typing import NamedTuple

from events import checkpoints
from query_side import queries
from query_side.filters import Listing
from query_side.parameters import Paging
from query_side.queries import SQL, Rows
from runtime import database
from runtime.database import Executor
from web import cursors
from web.cursors import Cursor, Cut

LOOK_MAX = 20_000
# The first look is for one page; each one after it is for this many times more.
LOOK_GROWTH = 8


class Page(NamedTuple):
    """Rows in the list's order, the position they are true of, and the pages on both sides.

    `next` is None where the list ends; what was added since is always before `previous`.
    """

    rows: Rows
    position: int
    next: str | None
    previous: str


async def page(
    pool: database.Pool, listing: Listing, paging: Paging, look_max: int = LOOK_MAX
) -> Page:
    """Return the page that `paging` asks for, in one snapshot."""
    async with queries.snapshot(pool) as connection:
        await connection.execute(SQL["plan_for_any"])
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        window = await _window(connection, listing, paging)
        found = await _found(connection, listing, window, paging.limit, look_max)
    near, far = _cuts(window, paging.cursor, found)
    back = cursors.encode(listing.name, Cursor(not window.up, near))
    onward = cursors.encode(listing.name, Cursor(window.up, far))
    if window.up is paging.ascending:
        return Page(found.rows, position, onward if found.more else None, back)
    return Page(found.rows[::-1], position, back, onward)


class _Window(NamedTuple):
    """All keys that a page may come to, and the direction in which they are looked at."""

    low: Cut
    high: Cut
    up: bool


class _Found(NamedTuple):
    """Rows in the order of looking, the page's first and last key, and if there is more."""

    rows: Rows
    first: Cut | None
    last: Cut | None
    more: bool


async def _window(connection: Executor, listing: Listing, paging: Paging) -> _Window:
    """Return the keys that the list's range, its period and the cursor leave."""
    low, high = listing.low, listing.high
    rest = (0,) * (len(low) - 1)
    if listing.period.start is not None:
        before = await queries.position_before(connection, listing.period.start)
        low = max(low, (before + 1, *rest))
    if listing.period.end is not None:
        before = await queries.position_before(connection, listing.period.end)
        high = min(high, (before + 1, *rest))
    if paging.cursor is None:
        return _Window(low, high, paging.ascending)
    if paging.cursor.up:
        return _Window(max(low, paging.cursor.cut), high, up=True)
    return _Window(low, min(high, paging.cursor.cut), up=False)


async def _found(
    connection: Executor, listing: Listing, window: _Window, limit: int, look_max: int
) -> _Found:
    """Look at more and more keys, until there is a row beyond `limit` or enough was looked at."""
    keys: list[Cut] = []
    rows: Rows = []
    more = True
    while more and len(rows) <= limit and len(keys) < look_max:
        count = min(max(limit + 1, LOOK_GROWTH * len(keys)), look_max - len(keys))
        looked = await _look(connection, listing, window, count)
        more = len(looked) == count
        if looked:
            rows += await connection.fetch(
                SQL[listing.pick],
                limit + 1 - len(rows),
                *zip(*looked, strict=True),
                *listing.pick_arguments,
            )
            keys += looked
            window = _rest(window, keys[-1])
    if len(rows) <= limit:
        return _Found(rows, keys[0] if keys else None, keys[-1] if keys else None, more)
    last = tuple(rows[limit - 1][column] for column in listing.key)
    return _Found(rows[:limit], keys[0], last, more=True)


async def _look(connection: Executor, listing: Listing, window: _Window, count: int) -> list[Cut]:
    """Return the next `count` keys, in order; several branches of a query may find more."""
    found = await connection.fetch(
        SQL[listing.look], *window.low, *window.high, window.up, count, *listing.look_arguments
    )
    return sorted(map(tuple, found), reverse=not window.up)[:count]


def _rest(window: _Window, last: Cut) -> _Window:
    """Return what is left of `window` beyond the key `last`."""
    if window.up:
        return window._replace(low=cursors.above(last))
    return window._replace(high=last)


def _cuts(window: _Window, cursor: Cursor | None, found: _Found) -> tuple[Cut, Cut]:
    """Return where the page begins and where it ends.

    Without a cursor it begins at the first key that there is, because others may be added before.
    Where there was nothing to look at, it ends where it begins.
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
