"""An account's four counters, and the two figures that they make. Pure."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from events import money
from events.types import Side
from runtime.sql import Row

# What an entry does with its amount.
Movement = Literal["posted", "held", "released"]
NAMES = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")


class AccountCounters(msgspec.Struct, frozen=True):
    """The four counters in minor units, and the last event that moved them."""

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
        """Return the balance without what is held to leave the account."""
        held = self.debits_pending if normal_side is Side.CREDIT else self.credits_pending
        return self.balance(normal_side) - held

    def amounts(self, normal_side: Side) -> dict[str, int]:
        """Return balance, available and the four counters, in minor units."""
        return {
            "balance": self.balance(normal_side),
            "available": self.available(normal_side),
            **{name: getattr(self, name) for name in NAMES},
        }

    def fields(self, normal_side: Side, decimals: int) -> dict[str, Any]:
        """Return the fields of an answer that show them."""
        return money.fields(decimals, **self.amounts(normal_side))


def of_row(row: Row) -> AccountCounters:
    """Return the counters in a row of any table that has their columns."""
    return AccountCounters(**{name: row[name] for name in NAMES})


def with_position(row: Row) -> AccountCounters:
    """Return the counters in a row that also names the last event that moved them."""
    found = {name: row[name] for name in NAMES}
    return AccountCounters(**found, position=row["position"], as_of=row["as_of"])
