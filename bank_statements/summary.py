"""How much of the statements agrees with the ledger: counts and exact sums.

Sums are minor units, without a sign: what came in and what went out stand beside each other.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from bank_statements import store
from bank_statements.store import MirrorAccount
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("bank_statements")
STATES = ("accepted", "proposed", "unmatched")


class Sums(msgspec.Struct):
    """How many movements, and what came in and went out by them."""

    count: int = 0
    incoming: int = 0
    outgoing: int = 0

    def add(self, count: int, amount: int) -> None:
        """Add movements of one direction, with their signed sum."""
        self.count += count
        if amount > 0:
            self.incoming += amount
        else:
            self.outgoing -= amount


class Lines(msgspec.Struct):
    """The lines of some statements in one currency, by what became of them."""

    currency: str
    accepted: Sums = msgspec.field(default_factory=Sums)
    proposed: Sums = msgspec.field(default_factory=Sums)
    unmatched: Sums = msgspec.field(default_factory=Sums)

    @property
    def matched(self) -> Sums:
        """Those in a match that holds."""
        both = self.accepted, self.proposed
        return Sums(
            sum(each.count for each in both),
            sum(each.incoming for each in both),
            sum(each.outgoing for each in both),
        )


def per_account(rows: Iterable[Row]) -> dict[str, Lines]:
    """Return the lines of each account's statements, from rows of the query `lines_summed`."""
    found: dict[str, Lines] = {}
    for row in rows:
        lines = found.setdefault(row["account_id"], Lines(row["currency"]))
        state = row["status"] or "unmatched"
        assert state in STATES
        getattr(lines, state).add(row["movements"], row["amount"])
    return found


async def of_ledger(connection: Executor, ledger: str) -> dict[str, Lines]:
    """Return how much of a ledger's statements is matched, by account.

    The role is the matcher's or the auditor's.
    """
    return per_account(await connection.fetch(SQL["lines_summed"], ledger, None))


async def unmatched_entries(
    connection: Executor, account: MirrorAccount, days: Sequence[tuple[date, date]]
) -> Sums:
    """Return the account's entries that are in no match, of days (first, last) that are covered.

    What was posted on other days is not expected in any statement. Periods must not overlap.
    """
    starts, ends = zip(*(store.bounds(first, last) for first, last in days), strict=True)
    sums = Sums()
    for row in await connection.fetch(
        SQL["unmatched_entries_summed"], account.ledger, account.account_id, starts, ends
    ):
        sums.add(row["movements"], account.signed(row["side"], row["amount"]))
    return sums
