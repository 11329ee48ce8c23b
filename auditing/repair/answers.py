"""What repairs are answered with over HTTP. Pure.

Attribute names are the API's own spelling.
"""

# ruff: noqa: N815

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from auditing.repair.plan import ROWS_MAX, Obstacle, Plan, RepairedRow
from auditing.repair.repair import Check, Repair
from events.answers import Position
from runtime.sql import Row


class RepairPlan(Struct, kw_only=True):
    """What a repair would do; `plan` is its name. Obstacles are what is wrong with the log."""

    status: Literal["CLEAN", "PLANNED", "REFUSED", "TOO_LARGE"]
    account_id: str | None
    plan: str
    rowCount: int
    changes: list[RepairedRow]
    obstacles: list[Obstacle]
    position: Position


class RepairVerification(Struct):
    """The comparison after the repair: how many rows still differ."""

    remaining: int
    timestamp: datetime


class RepairDone(Struct, kw_only=True):
    """What was repaired, by whom and why."""

    repairId: UUID
    status: Literal["APPLIED"]
    account_id: str | None
    plan: str
    appliedBy: str
    reason: str
    rowCount: int
    changes: list[RepairedRow]
    verification: RepairVerification | None
    position: Position
    timestamp: datetime


class Repairs(Struct):
    """The latest 100 repairs, newest first."""

    items: list[RepairDone]


def planned(plan: Plan) -> RepairPlan:
    """Return a plan."""
    status: Literal["CLEAN", "PLANNED", "REFUSED", "TOO_LARGE"]
    if plan.obstacles:
        status = "REFUSED"
    elif plan.row_count > ROWS_MAX:
        status = "TOO_LARGE"
    else:
        status = "PLANNED" if plan.changes else "CLEAN"
    return RepairPlan(
        status=status,
        account_id=plan.selection.account_id,
        plan=plan.fingerprint,
        rowCount=plan.row_count,
        changes=[change.shown for change in plan.changes],
        obstacles=plan.obstacles,
        position=plan.checkpoint,
    )


def applied(repair: Repair) -> RepairDone:
    """Return a repair that was just applied."""
    return RepairDone(
        repairId=repair.repair_id,
        status="APPLIED",
        account_id=repair.account_id,
        plan=repair.fingerprint,
        appliedBy=repair.applied_by,
        reason=repair.reason,
        rowCount=len(repair.changes),
        changes=[change.shown for change in repair.changes],
        verification=_verification(repair.check),
        position=repair.checkpoint,
        timestamp=repair.applied_at,
    )


def stored(row: Row) -> RepairDone:
    """Return a repair that was stored before."""
    # As it was stored: 100 repairs may have a million rows.
    changes: Any = msgspec.Raw(row["changes"].encode())
    checked_at = row["checked_at"]
    check = None if checked_at is None else Check(checked_at=checked_at, remaining=row["remaining"])
    return RepairDone(
        repairId=row["repair_id"],
        status="APPLIED",
        account_id=row["account_id"],
        plan=row["fingerprint"],
        appliedBy=row["applied_by"],
        reason=row["reason"],
        rowCount=row["row_count"],
        changes=changes,
        verification=_verification(check),
        position=row["checkpoint"],
        timestamp=row["applied_at"],
    )


def _verification(check: Check | None) -> RepairVerification | None:
    return None if check is None else RepairVerification(check.remaining, check.checked_at)
