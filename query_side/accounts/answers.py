"""What the routes of accounts answer with. Pure."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

from events import codec, money, transaction_view
from events.answers import Books, Position
from events.money import Minor, Units
from events.schema import Schema
from events.types import AccountType, Kind, Metadata, Recorded, Side, Status
from query_side import counters
from query_side.accounts.difference import Difference
from query_side.accounts.points import OpenedAccount, Point
from query_side.counters import AccountCounters, Movement
from runtime.sql import Row

# What an entry of each kind adds to its side's posted and pending counters.
SIGNS = {"posted": (1, 0), "held": (0, 1), "released": (0, -1)}
CAPTURED = (1, -1)
Overdraft = Annotated[str, Meta(description="`unlimited`, or an amount in units.")]


class Account(Struct, kw_only=True):
    """An account's policy."""

    account_id: str
    class_: str = field(name="class")
    type: AccountType
    currency: str
    normal_side: Side
    overdraft: Overdraft
    status: Status
    version: int
    metadata: Metadata | None
    opened_at: datetime


class ListedAccount(Account, kw_only=True):
    """An account's policy and its balance in one."""

    balance: Units
    balance_minor: Minor
    available: Units
    available_minor: Minor
    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor
    position: Position
    as_of: datetime


class Accounts(Struct):
    """Accounts by id. Only `next: null` is the end; `previous` finds accounts before the first."""

    items: list[ListedAccount]
    next: str | None
    previous: str


class EventView(Struct):
    """An event of the log, as it was recorded; amounts are minor units."""

    position: Position
    stream_id: UUID
    version: int
    type: str
    recorded_at: datetime
    data: Annotated[Any, Meta(extra_json_schema={"type": "object"})]


class Events(Struct):
    """Events, newest first. Only `next: null` is the end; `previous` finds newer ones."""

    items: list[EventView]
    next: str | None
    previous: str


class Counters(Struct, kw_only=True):
    """What was debited and credited, and what is held on either side; and what that makes."""

    balance: Units
    balance_minor: Minor
    available: Units
    available_minor: Minor
    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor


class CountersAt(Counters, kw_only=True):
    """An account's counters at a position."""

    at_position: Position


class Balance(Struct, kw_only=True):
    """An account's counters. `at_position` and `effective_at` say which point, if one was named.

    `position` and `as_of` are of the last event that changed the account by then.
    """

    account_id: str
    currency: str
    balance: Units
    balance_minor: Minor
    available: Units
    available_minor: Minor
    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor
    position: Position | None
    as_of: datetime | None
    at_position: Position | UnsetType = UNSET
    effective_at: datetime | UnsetType | None = UNSET


class Change(Struct, kw_only=True):
    """An entry; `posted` and `pending` are what it added to the counters of its side."""

    position: Position
    line: int
    transaction_id: UUID
    kind: Kind
    movement: Movement
    side: Side
    amount: Units
    amount_minor: Minor
    posted: Units
    posted_minor: Minor
    pending: Units
    pending_minor: Minor
    currency: str
    recorded_at: datetime
    effective_at: datetime
    reference: str | None
    description: str | None


class BalanceDifference(Struct, kw_only=True):
    """An account's balances at two points, and every entry between, newest first."""

    account_id: str
    currency: str
    from_: CountersAt = field(name="from")
    to: CountersAt
    difference: Counters
    items: list[Change]
    next: str | None


def account(row: Row, schema: Schema) -> Account:
    """Return an account's policy."""
    return Account(**_policy(row, schema))


def listed_account(row: Row, schema: Schema) -> ListedAccount:
    """Return an account's policy and its balance."""
    shown = counters.of_row(row).fields(Side(row["normal_side"]), schema.decimals(row["currency"]))
    return ListedAccount(
        **_policy(row, schema), **shown, position=row["position"], as_of=row["as_of"]
    )


def books(row: Row | None) -> Books:
    """Return until when a ledger's books are closed, and the position of the last closing."""
    return Books(None, None) if row is None else Books(row["closed_before"], row["position"])


def event(recorded: Recorded) -> EventView:
    """Return one event of the log, as it was recorded."""
    return EventView(
        recorded.position,
        recorded.originator_id,
        recorded.version,
        recorded.event.topic,
        recorded.event.recorded_at,
        codec.as_written(recorded.event),
    )


def balance(
    account: OpenedAccount, found: AccountCounters, decimals: int, point: Point | None = None
) -> Balance:
    """Return an account's counters, now or at a point."""
    return Balance(
        account_id=account.account_id,
        currency=account.currency,
        **found.fields(account.normal_side, decimals),
        position=found.position,
        as_of=found.as_of,
        at_position=UNSET if point is None else point.known,
        effective_at=UNSET if point is None else point.effective_at,
    )


def difference(found: Difference, decimals: int) -> BalanceDifference:
    """Return both balances, what lies between them, and the entries that changed the balance."""
    normal_side, currency = found.account.normal_side, found.account.currency
    before, after = found.before.amounts(normal_side), found.after.amounts(normal_side)
    changed = {name: after[name] - before[name] for name in after}
    return BalanceDifference(
        account_id=found.account.account_id,
        currency=currency,
        from_=CountersAt(**money.fields(decimals, **before), at_position=found.first.known),
        to=CountersAt(**money.fields(decimals, **after), at_position=found.last.known),
        difference=Counters(**money.fields(decimals, **changed)),
        items=[_change(row, currency, decimals) for row in found.rows],
        next=found.next_cursor,
    )


def _policy(row: Row, schema: Schema) -> dict[str, Any]:
    limit = row["overdraft_limit"]
    decimals = schema.decimals(row["currency"])
    return {
        "account_id": row["account_id"],
        "class_": row["account_class"],
        "type": AccountType(row["account_type"]),
        "currency": row["currency"],
        "normal_side": Side(row["normal_side"]),
        "overdraft": "unlimited" if limit is None else money.to_text(limit, decimals),
        "status": Status(row["status"]),
        "version": row["version"],
        "metadata": transaction_view.parsed(row["metadata"]),
        "opened_at": row["opened_at"],
    }


def _change(row: Row, currency: str, decimals: int) -> Change:
    """Return an entry, and what it added to its side's counters."""
    captured = row["kind"] == "posted" and row["transaction_kind"] == Kind.CAPTURE
    posted, pending = CAPTURED if captured else SIGNS[row["kind"]]
    amount = row["amount"]
    return Change(
        position=row["position"],
        line=row["line"],
        transaction_id=row["transaction_id"],
        kind=Kind(row["transaction_kind"]),
        movement=row["kind"],
        side=Side(row["side"]),
        **money.fields(decimals, amount=amount, posted=posted * amount, pending=pending * amount),
        currency=currency,
        recorded_at=row["recorded_at"],
        effective_at=row["effective_at"] or row["recorded_at"],
        reference=row["reference"],
        description=row["description"],
    )
