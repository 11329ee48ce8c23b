"""The plan of a repair: which rows change, and what forbids to change any. Pure.

A plan is shown before it is applied, and must still fit when it is applied: the rows that are found
then must differ from the log in the same way.

    obstacle             what it means                             what helps
    position_gap         an event is missing from the log          restore the log from a backup
    event_unreadable     bytes of the log are damaged              restore the log from a backup
    event_misplaced      an event is in a stream that isn't its    restore the log from a backup
    time_reversed        events are not in the order of time       restore the log from a backup
    seal_broken          an event is not what was sealed, or the   prove the log; then restore the
                         seal itself is not what was signed        one of the two that was changed
    log_contradicted     both sides agree against the log          prove the log; then rebuild

The log is the only truth, so what is wrong with the log itself is never written into a view.
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec

from auditing.discrepancies import DiscrepancyKind

ROWS_MAX = 10_000
COUNTERS = {"debits_posted", "credits_posted", "debits_pending", "credits_pending"}
# Columns of money travel as text: integers of minor units, exact for every client.
AMOUNTS = COUNTERS | {"amount", "overdraft_limit", "used"}
COMMAND_ACCOUNTS = "command.accounts"
# What the two sides say of an account.
ACCOUNT_ROWS = {COMMAND_ACCOUNTS, "read.balances", "read.accounts"}

Row = Mapping[str, Any]


class Action(StrEnum):
    """How a row changes."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class RowSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to repair: all, a ledger's or an account's; of those, the rows of one difference.

    `position` is that of the first event that shows the difference.
    """

    ledger: str | None = None
    account_id: str | None = None
    kind: DiscrepancyKind | None = None
    position: int | None = None
    transaction_id: UUID | None = None

    def includes(self, change: "Change") -> bool:
        """Return whether `change` is selected."""
        return (
            (self.kind is None or change.kind is self.kind)
            and (self.position is None or change.position == self.position)
            and (
                self.transaction_id is None
                or change.row.get("transaction_id") == self.transaction_id
            )
        )


class RepairedRow(msgspec.Struct, frozen=True):
    """A whole row of a view, before and after. Amounts are text of integer minor units."""

    action: Action
    table: str
    kind: DiscrepancyKind
    position: Annotated[int, msgspec.Meta(ge=0, description="A position in the log.")]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One whole row of `table`, before and after; None is a row that is not there.

    A row of a journal is `exact`: it must still be there just as it was planned.
    """

    table: str
    kind: DiscrepancyKind
    position: int
    key: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    exact: bool

    @property
    def action(self) -> Action:
        """Return how the row changes."""
        if self.before is None:
            return Action.INSERT
        return Action.DELETE if self.after is None else Action.UPDATE

    @property
    def row(self) -> Row:
        """Return the row as it will be, or as it was."""
        row = self.after or self.before
        assert row is not None
        return row

    @property
    def columns(self) -> list[str]:
        """Return the columns that change; all of them if the row is inserted or deleted."""
        if self.before is None or self.after is None:
            return list(self.row)
        return [name for name in self.after if self.after[name] != self.before[name]]

    @property
    def shown(self) -> RepairedRow:
        """Return the change as it is stored and shown."""
        return RepairedRow(
            self.action,
            self.table,
            self.kind,
            self.position,
            shown(self.before),
            shown(self.after),
        )

    def same_as(self, other: "Change") -> bool:
        """Return whether both repair the same row in the same way.

        An account's counters move on while a plan is read. So the same columns must be wrong, and
        their values may be others: what is written is what the log says by then.
        """
        return self.form == other.form

    @property
    def form(self) -> tuple[object, ...]:
        """Return what two equal changes have in common."""
        form = (self.table, self.key, self.action, self.columns)
        return (*form, self.before, self.after) if self.exact else form


class Obstacle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The log itself is wrong, or seems to be; no view may be changed until it is right."""

    code: str
    explanation: str
    position: int | None = None
    ledger: str | None = None
    account_id: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from the log, in one snapshot.

    The read side is as of `checkpoint`, the command side as of `head`. If more than ROWS_MAX rows
    differ, only the first are kept, and the plan cannot be applied.
    """

    selection: RowSelection
    checkpoint: int
    head: int
    row_count: int
    changes: list[Change]
    obstacles: list[Obstacle]

    @property
    def fingerprint(self) -> str:
        """Return the plan's name; plans that repair the same rows in the same way share it."""
        forms = [change.form for change in self.changes]
        text = msgspec.json.encode((self.row_count, forms), enc_hook=str, order="deterministic")
        return hashlib.sha256(text).hexdigest()[:16]


def contradictions(changes: Sequence[Change]) -> list[Obstacle]:
    """Return the accounts of which both sides say the same, and the log something else.

    The read side and the command side are written by different code, in different transactions, as
    different roles. If a counter of both is off by the same amount, or both have the same policy
    and the log another one, it is the log that was changed.
    """
    off: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}
    for change in changes:
        if change.table in ACCOUNT_ROWS:
            sides = off.setdefault((change.key["ledger"], change.key["account_id"]), ({}, {}))
            sides[change.table == COMMAND_ACCOUNTS].update(_off(change))
    return [
        Obstacle(
            code="log_contradicted",
            ledger=ledger,
            account_id=account_id,
            explanation=f"Both sides agree on account {account_id}, and the log contradicts both:"
            " it is the log that was changed, until `daybook verify` or a backup proves it whole."
            " If it is, rebuild the read models, then repair.",
        )
        for (ledger, account_id), (read, command) in sorted(off.items())
        if read.items() & command.items()
    ]


def gap(after: int, found: int) -> Obstacle:
    """Return the obstacle that events are missing."""
    return Obstacle(
        code="position_gap",
        position=after + 1,
        explanation=f"The log has no event at position {after + 1}; the next one is at {found}."
        " Restore the log from a backup: no view can tell what happened there.",
    )


def unreadable(problem: str) -> Obstacle:
    """Return the obstacle that an event cannot be read."""
    return Obstacle(
        code="event_unreadable",
        explanation=f"The log cannot be read: {problem}. Restore it from a backup, or upgrade"
        " Daybook if a newer one wrote it.",
    )


def misplaced(position: int, ledger: str) -> Obstacle:
    """Return the obstacle that an event is not in the stream that its ledger and key name."""
    return Obstacle(
        code="event_misplaced",
        position=position,
        ledger=ledger,
        explanation=f"The event at position {position} is not in the stream that its ledger and"
        " key name: it was edited. Restore the log from a backup.",
    )


def time_reversed(position: int, ledger: str) -> Obstacle:
    """Return the obstacle that an event was recorded before the preceding one."""
    return Obstacle(
        code="time_reversed",
        position=position,
        ledger=ledger,
        explanation=f"The event at position {position} says that it was recorded before the one in"
        " front of it: events were moved. Restore the log from a backup.",
    )


def unsealed(position: int) -> Obstacle:
    """Return the obstacle that an event is not the one sealed at its position, or is gone."""
    return Obstacle(
        code="seal_broken",
        position=position,
        explanation=f"The event at position {position} is not what was sealed there: the log was"
        " changed since, or its seal. `daybook verify` tells which; restore it from a backup.",
    )


def unprovable(problem: str) -> Obstacle:
    """Return the obstacle that the log cannot be compared with its seal."""
    return Obstacle(
        code="seal_broken",
        explanation=f"The log cannot be compared with its seal: {problem}. `daybook verify` says"
        " what was changed; restore it from a backup.",
    )


def shown(row: Row | None) -> dict[str, Any] | None:
    """Return a row as people and clients see it."""
    if row is None:
        return None
    return {name: _text(value) if name in AMOUNTS else value for name, value in row.items()}


def _text(value: Any) -> Any:  # noqa: ANN401 - an amount, several, or none
    if isinstance(value, list):
        return [str(amount) for amount in value]
    return None if value is None else str(value)


def _off(change: Change) -> dict[str, Any]:
    """Return by how much each wrong counter is off, and the other wrong columns."""
    before, after = change.before or {}, change.after or {}
    off: dict[str, Any] = {}
    if change.before is not None and change.after is not None:
        off = {name: before[name] for name in change.columns}
    for name in COUNTERS & (before.keys() | after.keys()):
        off.pop(name, None)
        if amount := before.get(name, 0) - after.get(name, 0):
            off[name] = amount
    return off
