"""A difference between a bank statement and the ledger, as it is named and explained. Pure."""

from enum import StrEnum
from uuid import UUID

import msgspec


class DifferenceKind(StrEnum):
    """What differs, in the order of the list."""

    STATEMENT_BALANCE_MISMATCH = "statement_balance_mismatch"
    UNMATCHED_STATEMENT_LINE = "unmatched_statement_line"
    UNMATCHED_ENTRY = "unmatched_entry"
    AMOUNT_DIFFERS = "amount_differs"
    DATE_DIFFERS = "date_differs"


class StatementDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A named difference, with a sentence; `candidates` are of an unmatched line."""

    kind: DifferenceKind
    account_id: str
    expected: str
    actual: str
    explanation: str
    match_id: int | None = None
    lines: tuple[int, ...] = ()
    transaction_id: UUID | None = None
    position: int | None = None
    candidates: tuple[UUID, ...] = ()
