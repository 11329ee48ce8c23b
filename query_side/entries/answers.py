"""What the lists of entries answer with. Pure."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from events import money
from events.answers import Position
from events.money import Minor, Units
from events.schema import Schema
from events.types import Side
from query_side import counters
from query_side.counters import Movement
from runtime.sql import Row


class Entry(Struct, kw_only=True):
    """One side of a posting, with the account's balance after it."""

    account_id: str
    position: Position
    line: int
    transaction_id: UUID
    kind: Movement
    side: Side
    amount: Units
    amount_minor: Minor
    currency: str
    balance: Units
    balance_minor: Minor
    available: Units
    available_minor: Minor
    effective_at: datetime
    recorded_at: datetime


class Entries(Struct):
    """Entries, newest first. Only `next: null` is the end; `previous` finds newer ones."""

    items: list[Entry]
    next: str | None
    previous: str


def entry(row: Row, schema: Schema) -> Entry:
    """Return an entry as the API shows it."""
    after, normal_side = counters.of_row(row), Side(row["normal_side"])
    return Entry(
        account_id=row["account_id"],
        position=row["position"],
        line=row["line"],
        transaction_id=row["transaction_id"],
        kind=row["kind"],
        side=Side(row["side"]),
        currency=row["currency"],
        **money.fields(
            schema.decimals(row["currency"]),
            amount=row["amount"],
            balance=after.balance(normal_side),
            available=after.available(normal_side),
        ),
        effective_at=row["effective_at"] or row["recorded_at"],
        recorded_at=row["recorded_at"],
    )
