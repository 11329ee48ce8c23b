"""What is compared, and what may differ: a gap in the log, or a row of a view. Pure."""

from datetime import datetime
from typing import Any

import msgspec

from auditing.discrepancies import DiscrepancyKind
from auditing.expected_rows import ExpectedTime, ExpectedTransactionState
from auditing.replay import AccountKey, ReplayedState
from auditing.view_catalog import Columns, Journal, JournalRow, Register


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: everything, one ledger, or one account of it.

    Of an account, the entries recorded in [start, end) are compared.
    """

    ledger: str | None = None
    account_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    @property
    def account(self) -> AccountKey | None:
        """Return the key of the account, if it is one that is compared."""
        return None if self.account_id is None else (self.ledger or "", self.account_id)

    def covers(self, at: datetime) -> bool:
        """Return whether `at` lies in the period."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)

    def includes(self, ledger: str | None) -> bool:
        """Return whether rows of `ledger` are compared. Rows of None belong to no ledger."""
        return self.ledger in (None, ledger)


class Gap(msgspec.Struct, frozen=True):
    """The log has no event between two positions. The missing events may be of any ledger."""

    after: int
    found: int


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a view that is not as the log says; None is a row that is not there.

    `key` is a ledger, an account's key or a transaction's id in a register, and the values of
    `view.key` in a journal. `position` is the first event that shows the difference.
    """

    view: Journal | Register
    key: Any
    expected: Columns | None
    actual: Columns | None
    position: int
    ledger: str | None

    @property
    def kind(self) -> DiscrepancyKind:
        """Return what differs."""
        return self.view.kind_of(self.expected, self.actual)


Difference = Gap | RowDifference


def journal_difference(
    view: Journal, expected: JournalRow | None, actual: JournalRow | None
) -> RowDifference:
    """Return how a row of a journal differs from the one that was made."""
    row = expected or actual
    assert row is not None
    return RowDifference(
        view=view,
        key=tuple(getattr(row, name) for name in view.key),
        expected=None if expected is None else msgspec.structs.asdict(expected),
        actual=None if actual is None else msgspec.structs.asdict(actual),
        position=row.position,
        ledger=None if isinstance(row, ExpectedTime) else row.ledger,
    )


def register_difference(
    view: Register,
    state: ReplayedState,
    key: Any,  # noqa: ANN401 - a ledger, an account's key, a transaction's id
    actual: Columns | None,
    at: int,
) -> RowDifference | None:
    """Return how a row of a register differs; None if it is right. An unexpected row is of `at`."""
    entry = view.replayed(state).get(key)
    expected = view.expected(key, entry)
    if expected == actual:
        return None
    return RowDifference(
        view=view,
        key=key,
        expected=expected,
        actual=actual,
        position=at if expected is None else view.position(entry),
        ledger=ledger_of(key, entry),
    )


def ledger_of(key: Any, entry: Any) -> str | None:  # noqa: ANN401 - one of `Register.replayed`
    """Return whose a row is; only the log says which ledger a transaction belongs to."""
    if isinstance(entry, ExpectedTransactionState):
        return entry.ledger
    if isinstance(key, tuple):
        return str(key[0])
    return key if isinstance(key, str) else None
