"""Balances at a point: at a position, at a recorded time, at an effective time.

The last entry up to a position carries the account's counters there, and the entries' key finds it
without looking at any other. What an account came to *effectively* by a time is what was recorded
by then, and what was dated back to it later:

    recorded ─────────────────┬──────────────────────┬───────▶ position
                           reached                 known
      the last entry here ────┘ └── of these, what was dated back before the effective time

An account that was not opened yet, or never used, has four zeros.
"""

from datetime import datetime

import msgspec

from events import checkpoints
from events.types import Side, account_stream_id
from query_side import queries
from query_side.statements.parameters import Asked
from runtime.database import Executor
from runtime.problems import NotFound
from runtime.sql import Row

SQL = queries.SQL


class Account(msgspec.Struct, frozen=True):
    """What an account was opened as; none of it ever changes."""

    ledger: str
    account_id: str
    account_class: str
    account_type: str
    currency: str
    normal_side: Side
    opened_at: datetime


class Point(msgspec.Struct, frozen=True):
    """A point, found: what is asked for is true of position `known`, the last that was looked at.

    `reached` is the position of what was recorded by the effective time; without one, `known`.
    """

    known: int
    reached: int
    effective_before: datetime | None = None


class Counters(msgspec.Struct, frozen=True):
    """The four counters at a point, in minor units, and the last event that moved them."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    position: int | None = None
    as_of: datetime | None = None

    def balance(self, normal_side: Side) -> int:
        """Return what is posted, signed by the account's normal side."""
        posted = self.credits_posted - self.debits_posted
        return posted if normal_side is Side.CREDIT else -posted

    def available(self, normal_side: Side) -> int:
        """Return the balance without what is reserved to leave the account."""
        held = self.debits_pending if normal_side is Side.CREDIT else self.credits_pending
        return self.balance(normal_side) - held


async def account(connection: Executor, ledger: str, account_id: str) -> Account:
    """Return an account. Raises NotFound."""
    row = await connection.fetchrow(SQL["statement_account"], ledger, account_id)
    if row is None:
        position = await checkpoints.read(connection, checkpoints.PROJECTOR)
        detail = f"There is no account {account_id!r} (up to position {position})."
        raise NotFound("account_not_found", detail)
    return Account(
        ledger,
        account_id,
        row["account_class"],
        row["account_type"],
        row["currency"],
        Side(row["normal_side"]),
        row["opened_at"],
    )


async def locate(connection: Executor, asked: Asked) -> Point:
    """Return the point that is asked for; a time that is still to come is now."""
    known = await checkpoints.read(connection, checkpoints.PROJECTOR)
    if asked.position is not None:
        known = min(known, asked.position)
    elif asked.recorded_before is not None:
        known = await queries.position_before(connection, asked.recorded_before)
    if asked.effective_before is None:
        return Point(known, known)
    reached = min(known, await queries.position_before(connection, asked.effective_before))
    return Point(known, reached, asked.effective_before)


async def now(connection: Executor, account: Account) -> Counters:
    """Return the account's counters as of the checkpoint, from its own row."""
    row = await connection.fetchrow(SQL["balance_now"], account.ledger, account.account_id)
    assert row is not None, "an account always has a balance"
    return _counters(row)


async def at(connection: Executor, account: Account, point: Point) -> Counters:
    """Return the account's counters at `point`."""
    where = (account.ledger, account.account_id)
    last = await connection.fetchrow(SQL["balance_at"], *where, point.reached)
    found = await _opened(connection, account, point) if last is None else _counters(last)
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


async def _opened(connection: Executor, account: Account, point: Point) -> Counters:
    """Return four zeros: since the account was opened, or before."""
    stream_id = account_stream_id(account.ledger, account.account_id)
    position: int | None = await connection.fetchval(SQL["opened_at_position"], stream_id)
    if position is None or position > point.reached:
        return Counters()
    return Counters(position=position, as_of=account.opened_at)


def _counters(row: Row) -> Counters:
    return Counters(
        row["debits_posted"],
        row["credits_posted"],
        row["debits_pending"],
        row["credits_pending"],
        row["position"],
        row["as_of"],
    )
