"""Named differences between the log and its views, in sentences that a bookkeeper understands."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

KEPT_MAX = 1_000
IDENTITY = ("ledger", "account_id", "transaction_id")


class DiscrepancyKind(StrEnum):
    """What differs."""

    POSITION_GAP = "position_gap"
    PROJECTION_LAG = "projection_lag"
    PUBLISHED_GAP = "published_gap"
    MISSING_ENTRY = "missing_entry"
    UNEXPECTED_ENTRY = "unexpected_entry"
    AMOUNT_MISMATCH = "amount_mismatch"
    BALANCE_MISMATCH = "running_balance_mismatch"
    MISSING_TRANSACTION = "missing_transaction"
    UNEXPECTED_TRANSACTION = "unexpected_transaction"
    STATUS_MISMATCH = "transaction_status_mismatch"
    TRANSACTION_MISMATCH = "transaction_mismatch"
    MISSING_MENTION = "missing_mention"
    UNEXPECTED_MENTION = "unexpected_mention"
    MISSING_MOMENT = "missing_moment"
    UNEXPECTED_MOMENT = "unexpected_moment"
    MOMENT_MISMATCH = "moment_mismatch"
    POLICY_MISMATCH = "account_policy_mismatch"
    BALANCE_DRIFT = "balance_drift"
    STANDING_MISMATCH = "standing_mismatch"
    BOOKS_MISMATCH = "books_mismatch"
    COMMAND_DRIFT = "command_account_drift"
    COMMAND_STANDING_DRIFT = "command_standing_drift"
    COMMAND_BOOKS_DRIFT = "command_books_drift"


OF_ENTRIES = frozenset(
    {
        DiscrepancyKind.MISSING_ENTRY,
        DiscrepancyKind.UNEXPECTED_ENTRY,
        DiscrepancyKind.AMOUNT_MISMATCH,
        DiscrepancyKind.BALANCE_MISMATCH,
    }
)
SENTENCES = {
    DiscrepancyKind.MISSING_ENTRY: "The log says there is an {row}; it is missing.",
    DiscrepancyKind.UNEXPECTED_ENTRY: "No event of the log made the {row}.",
    DiscrepancyKind.AMOUNT_MISMATCH: "The {row} is not as its event made it.",
    DiscrepancyKind.BALANCE_MISMATCH: (
        "The counters after the {row} are not the sum of the entries up to it."
    ),
    DiscrepancyKind.MISSING_TRANSACTION: "The log says there is a {row}; it is missing.",
    DiscrepancyKind.UNEXPECTED_TRANSACTION: "No event of the log made {row}.",
    DiscrepancyKind.STATUS_MISMATCH: "The status of {row} is not the one that was decided.",
    DiscrepancyKind.TRANSACTION_MISMATCH: "The {row} is not as it was submitted.",
    DiscrepancyKind.MISSING_MENTION: "The log has a {row}; it is missing.",
    DiscrepancyKind.UNEXPECTED_MENTION: "No event of the log made the {row}.",
    DiscrepancyKind.MISSING_MOMENT: "Events were recorded at {row}; that time is missing.",
    DiscrepancyKind.UNEXPECTED_MOMENT: "No event was recorded at {row}.",
    DiscrepancyKind.MOMENT_MISMATCH: "The last event recorded at {row} has another position.",
    DiscrepancyKind.POLICY_MISMATCH: "The {row} is not what its events make.",
    DiscrepancyKind.BALANCE_DRIFT: "The {row} is not the sum of its entries.",
    DiscrepancyKind.STANDING_MISMATCH: "The {row} is not what its events make.",
    DiscrepancyKind.BOOKS_MISMATCH: "The {row} is not the last one that was requested.",
    DiscrepancyKind.COMMAND_DRIFT: "The {row} is not what its events make.",
    DiscrepancyKind.COMMAND_STANDING_DRIFT: "The {row} is not what its events make.",
    DiscrepancyKind.COMMAND_BOOKS_DRIFT: "The {row} is not the last one that was requested.",
}


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named difference; `position` is the first event of the log that shows it."""

    kind: DiscrepancyKind
    position: int
    expected: str
    actual: str
    explanation: str
    ledger: str | None = None
    account_id: str | None = None
    transaction_id: UUID | None = None
    view: str = ""


class Findings:
    """All discrepancies are counted, and the first 1,000 are kept."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}
        self.kept: list[Discrepancy] = []

    @property
    def count(self) -> int:
        """Return how many were found, including those that are not kept."""
        return sum(self.kinds.values())

    def add(self, discrepancy: Discrepancy) -> None:
        """Count a discrepancy, and keep it if there is room."""
        self.kinds[discrepancy.kind] = self.kinds.get(discrepancy.kind, 0) + 1
        if len(self.kept) < KEPT_MAX:
            self.kept.append(discrepancy)


def gap(after: int, found: int) -> Discrepancy:
    """Name the first position that is missing: positions must be 1, 2, 3 and so on."""
    return Discrepancy(
        kind=DiscrepancyKind.POSITION_GAP,
        position=after + 1,
        expected=str(after + 1),
        actual=str(found),
        explanation=f"The log has no event at position {after + 1}; the next one is at {found}.",
    )


def behind(kind: DiscrepancyKind, checkpoint: int, head: int, since: datetime) -> Discrepancy:
    """Name a late reader of the log; the first event that it has not read was recorded `since`."""
    done = "applied to the read models" if kind is DiscrepancyKind.PROJECTION_LAG else "published"
    return Discrepancy(
        kind=kind,
        position=checkpoint + 1,
        expected=str(head),
        actual=str(checkpoint),
        explanation=f"What was recorded at {since} (position {checkpoint + 1}) is not yet {done}.",
    )


def ahead(checkpoint: int, head: int) -> Discrepancy:
    """Name published events that are no longer in the log."""
    return Discrepancy(
        kind=DiscrepancyKind.PUBLISHED_GAP,
        position=head + 1,
        expected=str(head),
        actual=str(checkpoint),
        explanation=f"Events up to position {checkpoint} were published; the log ends at {head}.",
    )


def of_row(
    kind: DiscrepancyKind,
    *,
    view: str,
    title: str,
    position: int,
    ledger: str | None,
    expected: Mapping[str, object] | None,
    actual: Mapping[str, object] | None,
) -> Discrepancy:
    """Name a row that differs, and show the columns in which it does.

    `title` describes the row, with its columns in braces. None is a row that is not there.
    """
    columns = expected or actual
    assert columns is not None
    identity = {name: columns.get(name) for name in IDENTITY}
    return Discrepancy(
        kind=kind,
        position=position,
        expected=_shown(expected, actual),
        actual=_shown(actual, expected),
        explanation=SENTENCES[kind].format(row=title.format_map(columns)),
        view=view,
        **identity | {"ledger": ledger},  # type: ignore[arg-type]  # Each is of its column's type.
    )


def differing(expected: Mapping[str, object], actual: Mapping[str, object]) -> list[str]:
    """Return the names of the columns whose values differ."""
    return [name for name in expected if actual[name] != expected[name]]


def _shown(row: Mapping[str, object] | None, other: Mapping[str, object] | None) -> str:
    """Return the columns that differ from `other`, or all of them if there is no other row."""
    if row is None:
        return "nothing"
    if other is not None:
        names = differing(row, other)
    else:
        names = [name for name in row if name not in IDENTITY and row[name] is not None]
    return ", ".join(f"{name} {row[name]}" for name in names)
