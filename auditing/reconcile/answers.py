"""What reconciliations are answered with over HTTP. Pure.

Attribute names are the API's own spelling.
"""

# ruff: noqa: N815

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from msgspec import Struct

from auditing.discrepancies import Discrepancy
from auditing.reconcile.reconcile import Report
from auditing.view_catalog import COUNTERS
from events import money
from events.answers import Position
from events.money import Minor, Units
from runtime.sql import Row

Verdict = Literal["CLEAN", "DISCREPANCIES"]
Status = Literal["QUEUED", "RUNNING", "CLEAN", "DISCREPANCIES", "FAILED"]
SECOND = timedelta(seconds=1)
_UNDER_WAY = {"queued", "running"}


class PostedAndPending(Struct, kw_only=True):
    """The four counters of an account."""

    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor


class Reconciliation(Struct, kw_only=True):
    """What the log says of an account (expected), and what the read models show (actual)."""

    reconciliationId: UUID
    account_id: str | None
    startDate: datetime | None
    endDate: datetime | None
    status: Verdict
    currency: str
    expected_balance: Units
    actual_balance: Units | None
    difference: Units
    difference_minor: Minor
    expected_counters: PostedAndPending
    actual_counters: PostedAndPending | None
    eventsRead: int
    entriesCompared: int
    discrepancyCount: int
    discrepancies: list[Discrepancy]
    position: Position
    timestamp: datetime


class KeptReport(Struct, kw_only=True):
    """The stored report of an account's reconciliation, with its first 100 discrepancies."""

    reconciliationId: UUID
    account_id: str | None
    startDate: datetime | None
    endDate: datetime | None
    status: Verdict
    eventsRead: int
    entriesCompared: int
    discrepancyCount: int
    discrepancies: list[Discrepancy]
    position: Position
    timestamp: datetime


class Reports(Struct):
    """A page of stored reports, newest first."""

    items: list[KeptReport]
    next: str | None


class Progress(Struct):
    """How far the log was compared, the position to reach, and the estimated seconds left."""

    position: Position
    target: Position
    etaSeconds: int | None


class AskedReconciliation(Struct, kw_only=True):
    """A requested reconciliation and its status.

    The continuous one is about all ledgers: its counts of events and rows are null.
    """

    reconciliationId: UUID
    kind: Literal["once", "continuous"]
    status: Status
    account_id: str | None
    startDate: datetime | None
    endDate: datetime | None
    progress: Progress
    eventsRead: int | None
    entriesCompared: int | None
    balancesCompared: int | None
    discrepancyCount: int
    kinds: dict[str, int]
    failure: str | None
    askedAt: datetime
    startedAt: datetime | None
    updatedAt: datetime
    finishedAt: datetime | None


class AskedReconciliations(Struct):
    """A page of reconciliations, newest first."""

    items: list[AskedReconciliation]
    next: str | None


class KeptDiscrepancy(Struct):
    """A stored difference. Ids grow in the order in which clients can see them."""

    id: int
    kind: str
    view: str
    ledger: str | None
    account_id: str | None
    transaction_id: UUID | None
    position: Position
    expected: str
    actual: str
    explanation: str
    found_at: datetime


class Discrepancies(Struct):
    """A page of discrepancies, in the order in which they were found."""

    items: list[KeptDiscrepancy]
    next: str | None


def reconciliation(report: Report, decimals: int) -> Reconciliation:
    """Return the answer for a reconciliation of an account that was done at once."""
    assert report.expected is not None
    expected = report.expected["balance"]
    actual = None if report.actual is None else report.actual["balance"]
    difference = expected if actual is None else expected - actual
    return Reconciliation(
        reconciliationId=report.reconciliation_id,
        account_id=report.scope.account_id,
        startDate=report.scope.start,
        endDate=report.scope.end,
        status="CLEAN" if report.clean else "DISCREPANCIES",
        currency=report.currency,
        expected_balance=money.to_json(expected, decimals),
        actual_balance=None if actual is None else money.to_json(actual, decimals),
        expected_counters=_counters(report.expected, decimals),
        actual_counters=None if report.actual is None else _counters(report.actual, decimals),
        eventsRead=report.events_read,
        entriesCompared=report.entries_compared,
        discrepancyCount=report.discrepancy_count,
        discrepancies=report.discrepancies,
        position=report.position,
        timestamp=report.finished_at,
        **money.fields(decimals, difference=difference),
    )


def kept_report(row: Row) -> KeptReport:
    """Return a stored report."""
    return KeptReport(
        reconciliationId=row["reconciliation_id"],
        account_id=row["account_id"],
        startDate=row["start_at"],
        endDate=row["end_at"],
        status="DISCREPANCIES" if row["discrepancy_count"] else "CLEAN",
        eventsRead=row["events_read"],
        entriesCompared=row["entries_compared"],
        discrepancyCount=row["discrepancy_count"],
        discrepancies=as_stored(row["discrepancies"]),
        position=row["position"],
        timestamp=row["finished_at"],
    )


def asked_reconciliation(
    row: Row, now: datetime, counted: Mapping[str, int] | None = None
) -> AskedReconciliation:
    """Return a reconciliation; `counted` are a ledger's discrepancies of the continuous one.

    Numbers of events and rows would tell how much happens in other ledgers, so that one has none.
    """
    kinds = dict(counted) if counted is not None else msgspec.json.decode(row["kinds"])
    count = sum(kinds.values())
    of_ledger = counted is None
    continuous = row["done_by"] == "continuous"
    return AskedReconciliation(
        reconciliationId=row["reconciliation_id"],
        kind="continuous" if continuous else "once",
        status=_status(row, count),
        account_id=row["account_id"],
        startDate=row["start_at"],
        endDate=row["end_at"],
        progress=progress(row, now, endless=continuous),
        eventsRead=row["events_read"] if of_ledger else None,
        entriesCompared=row["entries_compared"] if of_ledger else None,
        balancesCompared=row["balances_compared"] if of_ledger else None,
        discrepancyCount=count,
        kinds=kinds,
        failure=row["failure"],
        askedAt=row["asked_at"],
        startedAt=row["started_at"],
        updatedAt=row["updated_at"],
        finishedAt=row["finished_at"],
    )


def progress(row: Row, now: datetime, *, endless: bool = False) -> Progress:
    """Return the progress of a job, and the seconds left at the speed that it has had."""
    position, target = row["position"], row["target"]
    left_s = None
    if row["started_at"] is not None and not endless and position:
        under_way = row["status"] in _UNDER_WAY and target > position
        took = now - row["started_at"]
        left_s = took * (target - position) // position // SECOND if under_way else 0
    return Progress(position, target, left_s)


def kept_discrepancy(row: Row) -> KeptDiscrepancy:
    """Return a stored discrepancy."""
    return KeptDiscrepancy(*(row[name] for name in KeptDiscrepancy.__struct_fields__))


def as_stored(text: str) -> Any:  # noqa: ANN401 - the type of the field that it is put into
    """Return JSON that was stored when it was made, to be sent as it is."""
    return msgspec.Raw(text.encode())


def _counters(counters: Mapping[str, int], decimals: int) -> PostedAndPending:
    minor = {name: counters[name] for name in COUNTERS}
    return PostedAndPending(**money.fields(decimals, **minor))


def _status(row: Row, count: int) -> Status:
    if row["status"] == "finished":
        return "DISCREPANCIES" if count else "CLEAN"
    return cast("Status", str(row["status"]).upper())
