"""A reconciliation and its discrepancies, as they are shown. Pure."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from runtime.sql import Row

COLUMNS = (
    "id", "kind", "view", "ledger", "account_id", "transaction_id", "position", "expected",
    "actual", "explanation", "found_at",
)  # fmt: skip
# What a spreadsheet could take for a formula; only free text comes from outside.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "−", "＠", "'")  # noqa: RUF001
_FREE = {"expected", "actual", "explanation"}
SECOND = timedelta(seconds=1)
_UNDER_WAY = {"queued", "running"}


def reconciliation(
    row: Row, now: datetime, counted: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return a reconciliation; `counted` are the kinds of one that is about all ledgers.

    Of such a one nothing else is told that would say how much happens in other ledgers.
    """
    kinds = dict(counted) if counted is not None else msgspec.json.decode(row["kinds"])
    count = sum(kinds.values())
    mine = counted is None
    return {
        "reconciliationId": row["reconciliation_id"],
        "kind": "continuous" if row["done_by"] == "continuous" else "once",
        "status": _status(row, count),
        "account_id": row["account_id"],
        "startDate": row["start_at"],
        "endDate": row["end_at"],
        "progress": progress(row, now, endless=row["done_by"] == "continuous"),
        "eventsRead": row["events_read"] if mine else None,
        "entriesCompared": row["entries_compared"] if mine else None,
        "balancesCompared": row["balances_compared"] if mine else None,
        "discrepancyCount": count,
        "kinds": kinds,
        "failure": row["failure"],
        "askedAt": row["asked_at"],
        "startedAt": row["started_at"],
        "updatedAt": row["updated_at"],
        "finishedAt": row["finished_at"],
    }


def progress(row: Row, now: datetime, *, endless: bool = False) -> dict[str, Any]:
    """Return how far work is, and the seconds that it still needs at the pace that it has had."""
    position, target = row["position"], row["target"]
    left_s = None
    if row["started_at"] is not None and not endless and position:
        under_way = row["status"] in _UNDER_WAY and target > position
        took = now - row["started_at"]
        left_s = took * (target - position) // position // SECOND if under_way else 0
    return {"position": position, "target": target, "etaSeconds": left_s}


def discrepancy(row: Row) -> dict[str, Any]:
    """Return a discrepancy with its id, which only grows."""
    return {name: row[name] for name in COLUMNS}


def as_csv(rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> str:
    """Return discrepancies as CSV (RFC 4180), with a header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(name, row[name]) for name in columns])
    return text.getvalue()


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return "'" + text if name in _FREE and text.startswith(_FORMULA) else text


def _status(row: Row, count: int) -> str:
    if row["status"] == "finished":
        return "DISCREPANCIES" if count else "CLEAN"
    return str(row["status"]).upper()
