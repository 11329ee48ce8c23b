"""A named difference between the log and a view of it, with a sentence a bookkeeper understands."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from uuid import UUID

import msgspec

from events.replay import AccountKey, Line, Outcome

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
    TRANSACTION_MISMATCH = "transaction_mismatch"
    REFUNDED_DRIFT = "refunded_drift"
    POLICY_MISMATCH = "account_policy_mismatch"
    BALANCE_DRIFT = "balance_drift"
    COMMAND_DRIFT = "command_account_drift"


ROWS = {
    Kind.BALANCE_DRIFT: "balance",
    Kind.POLICY_MISMATCH: "policy",
    Kind.COMMAND_DRIFT: "command side's row",
}


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


def of_transaction(expected: Outcome | None, actual: Outcome | None) -> Discrepancy | None:
    """Compare a transaction with what the log says; None if they are the same."""
    if expected == actual:
        return None
    either = expected or actual
    assert either is not None
    which = f"transaction {either.transaction_id}"
    if actual is None:
        kind, text = Kind.MISSING_TRANSACTION, f"The log says there is a {which}; it is missing."
    elif expected is None:
        kind, text = Kind.UNEXPECTED_TRANSACTION, f"No event of the log made {which}."
    elif (expected.status, expected.position) != (actual.status, actual.position):
        kind, text = Kind.STATUS_MISMATCH, f"The {which} did not end as it is shown."
    else:
        kind, text = Kind.TRANSACTION_MISMATCH, f"The {which} is not shown as it was submitted."
    return Discrepancy(
        kind=kind,
        position=either.position,
        expected=_show_transaction(expected, actual),
        actual=_show_transaction(actual, expected),
        explanation=text,
        ledger=either.ledger,
        transaction_id=either.transaction_id,
    )


def of_account(
    kind: Kind,
    key: AccountKey,
    position: int,
    expected: Mapping[str, object],
    actual: Mapping[str, object] | None,
) -> Discrepancy:
    """Name an account's row that is not what its events make, with the columns that differ."""
    names = [name for name in expected if actual is None or actual[name] != expected[name]]
    shown = "nothing" if actual is None else _show_columns(actual, names)
    return Discrepancy(
        kind=kind,
        position=position,
        expected=_show_columns(expected, names),
        actual=shown,
        explanation=f"The {ROWS[kind]} of account {key[1]} is not what its events make.",
        ledger=key[0],
        account_id=key[1],
    )


def of_unknown_account(kind: Kind, key: AccountKey, position: int) -> Discrepancy:
    """Name a row of an account that the log never opened."""
    return Discrepancy(
        kind=kind,
        position=position,
        expected="no such account",
        actual="a row",
        explanation=f"There is a {ROWS[kind]} of account {key[1]}, which the log never opened.",
        ledger=key[0],
        account_id=key[1],
    )


def of_refunded(transaction_id: UUID, position: int, expected: int, actual: int) -> Discrepancy:
    """Name a refunded total that is not the sum of the transaction's refunds."""
    return Discrepancy(
        kind=Kind.REFUNDED_DRIFT,
        position=position,
        expected=str(expected),
        actual=str(actual),
        explanation=f"What was refunded of {transaction_id} is not the sum of its refunds.",
        transaction_id=transaction_id,
    )


def _show_columns(columns: Mapping[str, object], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {columns[name]}" for name in names)


def _show_transaction(outcome: Outcome | None, other: Outcome | None) -> str:
    if outcome is None:
        return "nothing"
    shown = f"{outcome.status} at position {outcome.position}"
    if other is None:
        return shown
    differing = [
        f"{name} {getattr(outcome, name)}"
        for name in Outcome.__struct_fields__
        if name not in ("status", "position") and getattr(outcome, name) != getattr(other, name)
    ]
    return ", ".join([shown, *differing])


def _entry_itself(line: Line) -> tuple[object, ...]:
    return (line.transaction_id, line.side, line.amount, line.currency, line.recorded_at)


def _show(line: Line | None) -> str:
    if line is None:
        return "nothing"
    return f"{line.side} {line.amount} {line.currency}, balance {line.balance}"
