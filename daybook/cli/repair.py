"""`daybook repair`: a plan as a table of rows before and after; applied, what was done."""

import getpass
from typing import Any
from uuid import UUID

import msgspec

from auditing.discrepancies import Kind
from auditing.repair import repair as repairs
from auditing.repair.plan import ROWS_MAX, Change, Plan, Wanted, shown
from auditing.repair.repair import Repair, described
from daybook.cli.progress import progress
from daybook.settings import Settings
from runtime import database
from runtime.problems import Invalid

SHOWN_MAX = 50
NOBODY = "somebody"


class Asked(msgspec.Struct, kw_only=True):
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


async def repair(settings: Settings, asked: Asked) -> Plan | Repair:
    """Plan a repair, or apply it; nothing to do is an empty plan.

    Raises Invalid, NotFound, Rejected, Conflict, Unavailable.
    """
    _check(asked)
    connection = await database.connect(settings.database_url, repairs.ROLE)
    try:
        wanted = Wanted(ledger=asked.ledger, account_id=asked.account)
        if asked.reconciliation is not None:
            wanted = await repairs.scope_of(connection, asked.reconciliation, asked.ledger)
        wanted = msgspec.structs.replace(
            wanted,
            kind=None if asked.kind is None else Kind(asked.kind),
            position=asked.position,
            transaction_id=asked.transaction,
        )
        with progress("comparing") as shown_progress:
            if asked.applied:
                done = await repairs.apply(
                    connection,
                    wanted,
                    applied_by=asked.by or user(),
                    reason=(asked.reason or "").strip(),
                    fingerprint=asked.plan,
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
    """Return who runs this program, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return NOBODY


def is_clean(answer: Plan | Repair) -> bool:
    """Return whether nothing differs (any more)."""
    if isinstance(answer, Repair):
        return answer.check is not None and answer.check.remaining == 0
    return answer.row_count == 0 and not answer.obstacles


def as_document(answer: Plan | Repair) -> dict[str, Any]:
    """Return a plan or a repair for programs: amounts as text of minor units."""
    document = msgspec.structs.asdict(answer)
    document["changes"] = [described(change) for change in answer.changes]
    if isinstance(answer, Plan):
        document["fingerprint"] = answer.fingerprint
    return document


def as_text(answer: Plan | Repair) -> str:
    """Return a plan or a repair for people."""
    count = len(answer.changes) if isinstance(answer, Repair) else answer.row_count
    lines = [line for change in answer.changes[:SHOWN_MAX] for line in _lines(change)]
    if count > SHOWN_MAX:
        lines.append(f"… and {count - SHOWN_MAX:,} more rows (--json shows those that are kept)")
    if isinstance(answer, Repair):
        remaining = "not compared again" if answer.check is None else f"{answer.check.remaining:,}"
        lines += [
            f"{count:,} rows mended by {answer.applied_by}: {answer.reason}",
            f"repair {answer.repair_id}, kept for ever; rows that still differ: {remaining}",
        ]
        return "\n".join(lines)
    lines += [f"cannot be repaired: {obstacle.explanation}" for obstacle in answer.obstacles]
    if is_clean(answer):
        lines.append("clean: nothing to repair")
    elif answer.obstacles:
        lines.append(f"{count:,} rows differ; nothing is mended while the log is not sound")
    elif count > ROWS_MAX:
        lines.append(f"{count:,} rows differ: too many for one repair, see `daybook rebuild`")
    else:
        lines.append(
            f"{count:,} rows to mend. Nothing was changed; to do it:"
            f" --apply --plan {answer.fingerprint} --reason '…'"
        )
    return "\n".join(lines)


def _lines(change: Change) -> list[str]:
    """Return a change: which row, and every column that changes, before and after."""
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


def _check(asked: Asked) -> None:
    if asked.account is not None and asked.ledger is None:
        raise Invalid("ledger_missing", "--account needs --ledger, the ledger it is in.")
    if asked.reconciliation is not None and asked.account is not None:
        raise Invalid("repair_ambiguous", "--reconciliation says the account already.")
    if asked.applied and not (asked.reason or "").strip():
        raise Invalid("reason_missing", "--apply needs --reason: why it is done is kept.")
    if asked.kind is not None and asked.kind not in list(Kind):
        raise Invalid("kind_unknown", f"--kind must be one of {', '.join(Kind)}.")
