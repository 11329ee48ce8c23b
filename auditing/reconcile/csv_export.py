"""Discrepancies as CSV (RFC 4180). Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime

from auditing.reconcile.answers import KeptDiscrepancy
from runtime.csv_cells import guarded
from runtime.sql import Row

COLUMNS = KeptDiscrepancy.__struct_fields__
# Only these columns hold text that comes from clients.
_FREE = {"expected", "actual", "explanation"}


def as_csv(rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> str:
    """Return discrepancies as CSV, with a header."""
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
    return guarded(text) if name in _FREE else text
