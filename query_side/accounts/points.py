"""Balances at a point: at a position, at a recorded time, at an effective time.

The last entry up to a position carries the account's counters there, and the key of the entries
finds it at once. The balance by an *effective* time is made of what was recorded by then and of
what was recorded later and dated back to it:

    recorded ─────────────────┬──────────────────────┬───────▶ position
                           reached                 known
      the last entry here ────┘ └── of these, what was dated back before the effective time

An account that was not opened yet, or never used, has four zeros.
"""

from datetime import datetime

import msgspec

from events import checkpoints
from events.types import Side, account_stream_id
from query_side import counters, queries
from query_side.accounts.parameters import PointRequest, no_account
from query_side.app import QuerySide
from query_side.counters import AccountCounters
from runtime.database import Executor
from web import freshness
from web.freshness import Fresh
from web.times import TICK

SQL = queries.SQL


class OpenedAccount(msgspec.Struct, frozen=True):
    """The properties that an account was opened with; none of them ever changes."""

    ledger: str
    account_id: str
    account_class: str
    account_type: str
    currency: str
    normal_side: Side
    opened_at: datetime


class Point(msgspec.Struct, frozen=True):
    """A point that was located: the answer is true of position `known`, the last one read.

    `reached` is the last position recorded by the effective time; without such a time, `known`.
    """

    known: int
    reached: int
    effective_before: datetime | None = None

    @property
    def effective_at(self) -> datetime | None:
        """Return the last effective moment that the point includes, if it has one."""
        return None if self.effective_before is None else self.effective_before - TICK


async def account(connection: Executor, ledger: str, account_id: str) -> OpenedAccount:
    """Return an account. Raises NotFound."""
    row = await connection.fetchrow(SQL["statement_account"], ledger, account_id)
    if row is None:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        raise no_account(account_id, position)
    return OpenedAccount(
        ledger,
        account_id,
        row["account_class"],
        row["account_type"],
        row["currency"],
        Side(row["normal_side"]),
        row["opened_at"],
    )


async def reached(side: QuerySide, headers: Fresh, *asked: PointRequest) -> None:
    """Wait for the positions that are asked for, as for `Daybook-Min-Position`.

    Raises Unavailable.
    """
    last = max((each.position for each in asked if each.position is not None), default=None)
    if last is not None:
        wanted = Fresh(daybook_min_position=last, prefer=headers.prefer)
        await freshness.ensure(wanted, side.reached, side.settings.wait_s_max)


async def locate(connection: Executor, asked: PointRequest) -> Point:
    """Return the point that is asked for; a time in the future is now."""
    known = await checkpoints.read(connection, checkpoints.PROJECTOR)
    if asked.position is not None:
        known = min(known, asked.position)
    elif asked.recorded_before is not None:
        known = await queries.position_before(connection, asked.recorded_before)
    if asked.effective_before is None:
        return Point(known, known)
    reached = min(known, await queries.position_before(connection, asked.effective_before))
    return Point(known, reached, asked.effective_before)


async def now(connection: Executor, account: OpenedAccount) -> AccountCounters:
    """Return the account's counters at the checkpoint, from its own row."""
    row = await connection.fetchrow(SQL["balance_now"], account.ledger, account.account_id)
    assert row is not None, "an account always has a balance"
    return counters.with_position(row)


async def at(connection: Executor, account: OpenedAccount, point: Point) -> AccountCounters:
    """Return the account's counters at `point`."""
    where = (account.ledger, account.account_id)
    last = await connection.fetchrow(SQL["balance_at"], *where, point.reached)
    found = (
        await _opened(connection, account, point) if last is None else counters.with_position(last)
    )
    if point.reached == point.known:
        return found
    added = await connection.fetchrow(
        SQL["dated_back"], *where, point.reached, point.known, point.effective_before
    )
    assert added is not None
    if added["position"] is None:
        return found
    return msgspec.structs.replace(
        found,
        debits_posted=found.debits_posted + added["debits"],
        credits_posted=found.credits_posted + added["credits"],
        position=added["position"],
        as_of=added["as_of"],
    )


async def _opened(connection: Executor, account: OpenedAccount, point: Point) -> AccountCounters:
    """Return four zeros, with the position of the opening if it is not after the point."""
    stream_id = account_stream_id(account.ledger, account.account_id)
    position: int | None = await connection.fetchval(SQL["opened_at_position"], stream_id)
    if position is None or position > point.reached:
        return AccountCounters()
    return AccountCounters(position=position, as_of=account.opened_at)
