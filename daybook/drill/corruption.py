"""A corruption: what it does, who must find it, under which name and where, and the remedy."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from uuid import UUID

import msgspec

from auditing.discrepancies import DiscrepancyKind
from daybook.drill.sandbox import Sandbox
from sealing.findings import FindingKind


class Remedy(StrEnum):
    """What remedies a corruption."""

    REPAIR = "repair"  # Some rows of the views are wrong; the log is intact.
    REBUILD = "rebuild"  # Too many rows are wrong, or the views contradict one another.
    REPLAY = "replay"  # Nothing is lost: the worker that is behind continues where it stopped.
    RESTORE = "restore"  # The log or its seal was changed: only a backup has the truth.


class Location(msgspec.Struct, frozen=True):
    """Where a corruption is: the first position that shows it, and whose rows it changed.

    `sealed_position` is the position that a verification reports, if that is less exact.
    """

    position: int | None = None
    account_id: str | None = None
    transaction_id: UUID | None = None
    sealed_position: int | None = None


class Corruption(msgspec.Struct, frozen=True, kw_only=True):
    """One corruption. If `reconcile` and `verify` are both empty, it must have no effect.

    `pauses` is the program that is stopped meanwhile; `grows` is whether it lengthens the log.
    """

    name: str
    story: str
    tamper: Callable[[Sandbox], Awaitable[Location]]
    remedy: Remedy
    reconcile: frozenset[DiscrepancyKind] = frozenset()
    verify: frozenset[FindingKind] = frozenset()
    pauses: str | None = None
    grows: bool = False


def by_sql(*statements: str) -> Callable[[Sandbox], Awaitable[Location]]:
    """Return a function that executes statements; the last one returns the location's fields."""

    async def tamper(sandbox: Sandbox) -> Location:
        *before, last = statements
        for statement in before:
            await sandbox.owner.execute(statement)
        row = await sandbox.owner.fetchrow(last)
        assert row is not None, f"the log is not rich enough for: {last}"
        return Location(**row)

    return tamper
