"""`daybook repair`: plan which rows to correct, and apply the plan."""

import getpass
from typing import Any
from uuid import UUID

import msgspec

from auditing.discrepancies import DiscrepancyKind
from auditing.repair import repair as repairs
from auditing.repair.plan import ROWS_MAX, Change, Plan, RowSelection, shown
from auditing.repair.repair import Repair
from auditing.roles import REPAIRER
from daybook.cli.actions.progress import progress
from daybook.settings import Settings
from runtime import database
from runtime.problems import Invalid

SHOWN_MAX = 50
NOBODY = "somebody"


class RepairOptions(msgspec.Struct, kw_only=True):
    """The options of the command."""

    ledger: str | None = None
    account: str | None = None
    reconciliation: UUID | None = None
    kind: str | None = None
    position: int | None = None
    transaction: UUID | None = None
    applied: bool = False
    plan: str | None = None
    reason: str | None = None
    by: str | None = None


async def repair(settings: Settings, options: RepairOptions) -> Plan | Repair:
    """Plan a repair, or apply it; an empty plan means that nothing differs.

    Raises Invalid, NotFound, Rejected, Conflict, Unavailable.
    """
    _check(options)
    connection = await database.connect(settings.database_url, REPAIRER)
    try:
        wanted = RowSelection(ledger=options.ledger, account_id=options.account)
        if options.reconciliation is not None:
            wanted = await repairs.scope_of(connection, options.reconciliation, options.ledger)
        wanted = msgspec.structs.replace(
            wanted,
            kind=None if options.kind is None else DiscrepancyKind(options.kind),
            position=options.position,
            transaction_id=options.transaction,
        )
        with progress("comparing") as shown_progress:
            if options.applied:
                done = await repairs.apply(
                    connection,
                    wanted,
                    applied_by=options.by or user(),
                    reason=(options.reason or "").strip(),
                    fingerprint=options.plan,
                    progress=shown_progress,
                )
                if done is not None:
                    return done
            return await repairs.plan(connection, wanted, shown_progress)
    except database.CONNECTION_ERRORS as error:
        raise database.unavailable(error) from error
    finally:
        await connection.close()


def user() -> str:
    """Return the name of the system user who runs this program."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return NOBODY


def is_clean(answer: Plan | Repair) -> bool:
    """Return whether nothing differs, before or after the repair."""
    if isinstance(answer, Repair):
        return answer.check is not None and answer.check.remaining == 0
    return answer.row_count == 0 and not answer.obstacles


def as_document(answer: Plan | Repair) -> dict[str, Any]:
    """Return a plan or a repair for JSON: amounts are text of minor units."""
    document = msgspec.structs.asdict(answer)
    document["changes"] = [change.shown for change in answer.changes]
    if isinstance(answer, Plan):
        document["fingerprint"] = answer.fingerprint
        document["wanted"] = document.pop("selection")
    return document


def as_text(answer: Plan | Repair) -> str:
    """Return a plan or a repair as text."""
    count = len(answer.changes) if isinstance(answer, Repair) else answer.row_count
    lines = [line for change in answer.changes[:SHOWN_MAX] for line in _lines(change)]
    if count > SHOWN_MAX:
        lines.append(f"… and {count - SHOWN_MAX:,} more rows (--json shows those that are kept)")
    if isinstance(answer, Repair):
        remaining = "not compared again" if answer.check is None else f"{answer.check.remaining:,}"
        lines += [
            f"{count:,} rows corrected by {answer.applied_by}: {answer.reason}",
            f"repair {answer.repair_id}, kept for ever; rows that still differ: {remaining}",
        ]
        return "\n".join(lines)
    lines += [f"cannot be repaired: {obstacle.explanation}" for obstacle in answer.obstacles]
    if is_clean(answer):
        lines.append("clean: nothing to repair")
    elif answer.obstacles:
        lines.append(f"{count:,} rows differ; nothing is corrected while the log is unsound")
    elif count > ROWS_MAX:
        lines.append(f"{count:,} rows differ: too many for one repair, see `daybook rebuild`")
    else:
        lines.append(
            f"{count:,} rows to correct. Nothing was changed. To correct them:"
            f" --apply --plan {answer.fingerprint} --reason '…'"
        )
    return "\n".join(lines)


def _lines(change: Change) -> list[str]:
    """Return the row that a change is about, and its changed columns before and after."""
    before, after = shown(change.before) or {}, shown(change.after) or {}
    key = ", ".join(str(value) for value in change.key.values())
    lines = [f"{change.action.upper()} {change.table} ({key}): {change.kind}"]
    for name in change.columns:
        if name in change.key or before.get(name) == after.get(name):
            continue
        lines.append(f"    {name:<24}{_cell(before, name):>28}  →  {_cell(after, name)}")
    return lines


def _cell(row: dict[str, Any], name: str) -> str:
    if not row:
        return "(no row)"
    return "–" if row[name] is None else str(row[name])


def _check(options: RepairOptions) -> None:
    if options.account is not None and options.ledger is None:
        raise Invalid("ledger_missing", "--account needs --ledger, the ledger of the account.")
    if options.reconciliation is not None and options.account is not None:
        raise Invalid(
            "repair_ambiguous", "--reconciliation already names the account: leave --account out."
        )
    if options.applied and not (options.reason or "").strip():
        raise Invalid("reason_missing", "--apply needs --reason, which is kept with the repair.")
    if options.kind is not None and options.kind not in list(DiscrepancyKind):
        raise Invalid("kind_unknown", f"--kind must be one of {', '.join(DiscrepancyKind)}.")
