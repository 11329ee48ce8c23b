"""Rows of the projector's folds as the CSV text that COPY reads. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from events.types import Stage
from projections.folds.transaction_states import TransactionState
from runtime.sql import as_csv


class _StoredState(msgspec.Struct):
    """A transaction state whose array is the text that PostgreSQL reads as one."""

    transaction_id: UUID
    stage: Stage
    used: str
    code: str | None
    detail: str | None
    position: int
    changed_at: datetime | None


def lines(rows: Sequence[Any]) -> bytes:
    """Return `rows`, structs of one type whose fields are the columns, as whole lines of CSV."""
    if not rows:
        return b""
    if isinstance(rows[0], TransactionState):
        rows = [_stored(row) for row in rows]
    return as_csv(rows) + b"\n"


def _stored(row: TransactionState) -> _StoredState:
    used = "{" + ",".join(map(str, row.used)) + "}"
    return _StoredState(
        row.transaction_id, row.stage, used, row.code, row.detail, row.position, row.changed_at
    )
