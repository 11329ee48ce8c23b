"""A corruption: what is done, who must find it, as what and where, and what puts it right."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from uuid import UUID

import msgspec

from auditing.discrepancies import Kind
from daybook.drill.sandbox import Site
from sealing.findings import FindingKind


class Remedy(StrEnum):
    """What is right to do about it."""

    REPAIR = "repair"  # Some rows of the views are wrong, and the log is whole.
    REBUILD = "rebuild"  # Too many are, or the views disagree with themselves.
    REPLAY = "replay"  # Nothing is lost: whoever is behind goes on where it stopped.
    RESTORE = "restore"  # The truth itself was changed: only a backup has it.


class Spot(msgspec.Struct, frozen=True):
    """Where a case did it: the first position that must show it, and whose rows it changed.

    `sealed_position` is what a verification can say, if that is less exact.
    """

    position: int | None = None
    account_id: str | None = None
    transaction_id: UUID | None = None
    sealed_position: int | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One corruption. What neither `reconcile` nor `verify` names must be without any effect.

    `pauses` is the program that hangs meanwhile; `grows` says that the log is longer afterwards.
    """

    name: str
    story: str
    tamper: Callable[[Site], Awaitable[Spot]]
    remedy: Remedy
    reconcile: frozenset[Kind] = frozenset()
    verify: frozenset[FindingKind] = frozenset()
    pauses: str | None = None
    grows: bool = False


def by_sql(*statements: str) -> Callable[[Site], Awaitable[Spot]]:
    """Return what executes statements as the owner; the last one returns the spot's fields."""

    async def tamper(site: Site) -> Spot:
        *before, last = statements
        for statement in before:
            await site.owner.execute(statement)
        row = await site.owner.fetchrow(last)
        assert row is not None, f"the log is not rich enough for: {last}"
        return Spot(**row)

    return tamper
