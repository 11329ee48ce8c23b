"""A named difference between the log and a view of it, with a sentence a bookkeeper understands."""

from enum import StrEnum
from uuid import UUID

import msgspec

from events.replay import Line

KEPT_MAX = 1_000


class Kind(StrEnum):
    """What differs."""

    POSITION_GAP = "position_gap"
    MISSING_ENTRY = "missing_entry"
    UNEXPECTED_ENTRY = "unexpected_entry"
    AMOUNT_MISMATCH = "amount_mismatch"
    BALANCE_MISMATCH = "running_balance_mismatch"
    MISSING_TRANSACTION = "missing_transaction"
    UNEXPECTED_TRANSACTION = "unexpected_transaction"
    STATUS_MISMATCH = "transaction_status_mismatch"
    BALANCE_DRIFT = "balance_drift"
    COMMAND_DRIFT = "command_account_drift"


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`position` is the first event of the log that shows the difference."""

    kind: Kind
    position: int
    expected: str
    actual: str
    explanation: str
    ledger: str | None = None
    account_id: str | None = None
    transaction_id: UUID | None = None


class Findings:
    """All discrepancies are counted; the first 1,000 are kept."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[Discrepancy] = []

    def add(self, discrepancy: Discrepancy) -> None:
        """Count it, and keep it if there is room."""
        self.count += 1
        if len(self.kept) < KEPT_MAX:
            self.kept.append(discrepancy)

    def first_position(self, ledger: str, account_id: str) -> int | None:
        """Return the first position at which this account differs, if any is kept."""
        positions = [
            found.position
            for found in self.kept
            if (found.ledger, found.account_id) == (ledger, account_id)
        ]
        return min(positions, default=None)


def gap(after: int, found: int) -> Discrepancy:
    """Name the first position that is missing: they must be 1, 2, 3 and so on."""
    return Discrepancy(
        kind=Kind.POSITION_GAP,
        position=after + 1,
        expected=str(after + 1),
        actual=str(found),
        explanation=f"The log has no event at position {after + 1}; the next one is at {found}.",
    )


def of_entry(expected: Line | None, actual: Line | None) -> Discrepancy | None:
    """Compare an entry with what the log says; None if they are the same."""
    if expected == actual:
        return None
    line = expected or actual
    assert line is not None
    where = f"account {line.account_id}, position {line.position}, line {line.line}"
    if actual is None:
        kind, text = (
            Kind.MISSING_ENTRY,
            f"The log says there is an entry in {where}; it is missing.",
        )
    elif expected is None:
        kind, text = Kind.UNEXPECTED_ENTRY, f"No event of the log made the entry in {where}."
    elif _entry_itself(expected) != _entry_itself(actual):
        kind, text = Kind.AMOUNT_MISMATCH, f"The entry in {where} is not the one that was posted."
    else:
        kind = Kind.BALANCE_MISMATCH
        text = f"The running balance in {where} is not the sum of the entries up to it."
    return Discrepancy(
        kind=kind,
        position=line.position,
        expected=_show(expected),
        actual=_show(actual),
        explanation=text,
        ledger=line.ledger,
        account_id=line.account_id,
        transaction_id=line.transaction_id,
    )


def _entry_itself(line: Line) -> tuple[object, ...]:
    return (line.transaction_id, line.side, line.amount, line.currency)


def _show(line: Line | None) -> str:
    if line is None:
        return "nothing"
    return f"{line.side} {line.amount} {line.currency}, balance {line.balance}"
