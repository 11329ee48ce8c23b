"""Mend rows of the views from the log: in one transaction, under the locks of the views' owners.

    #   round trip            why
    1   survey                what differs, in a snapshot: nothing is locked while the log is read
    2   BEGIN
    3   lock events.head      if rows of the command side are wrong: no writer decides meanwhile
    4   lock the checkpoint   if rows of the read side are wrong: no projector folds meanwhile
    5   read the log          from where the survey ended to what is locked: a moment's events, and
                              the entries that were made of them on top of a wrong balance; and
                              what accounts of the command side are behind
    6   take the rows out     they come back as they were found
    7   put them in           as the log says by now
    8   record                who, when, why, and every row before and after
    9   COMMIT
    10  survey                the same again; what is left is recorded, too

Between 6 and 7 each row is compared: if it no longer differs as it was planned, nothing is written.
The values of the plan are never written; those that the auditor's books have under the locks are.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from auditing import unflushed_accounts, view_catalog
from auditing.expected_rows import Line
from auditing.repair import survey as surveys
from auditing.repair.plan import ROWS_MAX, Change, Plan, Wanted, shown
from auditing.repair.survey import COMMAND_SIDE, KEYS, VIEWS, Progress, Survey, View
from auditing.replay import Books
from auditing.view_catalog import ENTRIES, Register
from events import checkpoints, log
from runtime.database import Executor
from runtime.problems import Conflict, NotFound, Rejected
from runtime.sql import as_rows, queries

SQL = queries("auditing")
ROLE = "daybook_repairer"
WHO_MAX = 200
REASON_MAX = 1_000

# Each view's rows are taken out and put in by its own two queries, in this order.
QUERIES = {
    "command.accounts": ("remove_command_accounts", "restore_command_accounts"),
    "command.standings": ("remove_command_standings", "restore_command_standings"),
    "command.books": ("remove_command_books", "restore_command_books"),
    "read.accounts": ("remove_accounts", "restore_accounts"),
    "read.balances": ("remove_balances", "restore_balances"),
    "read.standings": ("remove_standings", "restore_standings"),
    "read.books": ("remove_books", "restore_books"),
    "read.moments": ("remove_moments", "restore_moments"),
    "read.entries": ("remove_entries", "restore_entries"),
    "read.transactions": ("remove_transactions", "restore_transactions"),
    "read.mentions": ("remove_mentions", "restore_mentions"),
}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The same was compared again: so many rows are `remaining` that still differ."""

    checked_at: datetime
    remaining: int


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What was mended, by whom and why. `check` is None if it ended before it could look again."""

    repair_id: UUID
    account_id: str | None
    fingerprint: str
    checkpoint: int
    head: int
    applied_by: str
    reason: str
    applied_at: datetime
    changes: list[Change]
    check: Check | None = None


async def scope_of(
    connection: Executor, reconciliation_id: UUID, ledger: str | None = None
) -> Wanted:
    """Return what a reconciliation compared, of `ledger` if it is given. Raises NotFound."""
    row = await connection.fetchrow(SQL["reconciliation_scope"], reconciliation_id, ledger)
    if row is None:
        detail = f"There is no reconciliation {reconciliation_id}."
        raise NotFound("reconciliation_not_found", detail)
    return Wanted(ledger=row["ledger"], account_id=row["account_id"])


async def plan(connection: Executor, wanted: Wanted, progress: Progress | None = None) -> Plan:
    """Return what a repair would do; change nothing."""
    return (await surveys.survey(connection, wanted, progress)).plan


async def apply(
    connection: Executor,
    wanted: Wanted,
    *,
    applied_by: str,
    reason: str,
    fingerprint: str | None = None,
    progress: Progress | None = None,
) -> Repair | None:
    """Mend what differs, record it, look again; return None if nothing differs.

    With `fingerprint`, only the plan of that name. Raises Rejected if the log itself is not sound
    or too many rows differ, Conflict if the plan does not fit (any more).
    """
    found = await surveys.survey(connection, wanted, progress)
    planned = found.plan
    if planned.obstacles:
        raise Rejected("log_unsound", planned.obstacles[0].explanation)
    if planned.row_count > ROWS_MAX:
        detail = (
            f"{planned.row_count:,} rows differ, more than the {ROWS_MAX:,} that one repair mends."
            " Rebuild the read models (`daybook rebuild`)."
        )
        raise Rejected("repair_too_large", detail)
    if fingerprint is not None and fingerprint != planned.fingerprint:
        raise _stale("another plan is needed by now")
    if not planned.changes:
        return None
    async with connection.transaction():
        changes = await _mend(found, planned)
        repair = Repair(
            repair_id=uuid4(),
            account_id=wanted.account_id,
            fingerprint=planned.fingerprint,
            checkpoint=found.checkpoint,
            head=found.head,
            applied_by=applied_by[:WHO_MAX],
            reason=reason[:REASON_MAX],
            applied_at=datetime.now(UTC),
            changes=changes,
        )
        await _record(connection, repair, wanted)
    return await _checked(connection, repair, wanted)


async def _mend(found: Survey, planned: Plan) -> list[Change]:
    """Lock, go on to what is locked, and replace every row; return what was done."""
    connection = found.connection
    changes = list(planned.changes)
    tables = {change.table for change in changes}
    views = VIEWS
    if tables & COMMAND_SIDE:
        head = await log.lock_head(connection)
        await _go_on(found, found.books, found.head, head.position)
        found.head = head.position
        if view_catalog.COMMAND_ACCOUNTS.table in tables:
            accounts = await unflushed_accounts.command_accounts(connection, head, found.only)
            views = {**views, accounts.table: accounts}
        await connection.execute(SQL["touch_head"])
    if tables - COMMAND_SIDE:
        checkpoint = (await checkpoints.lock(connection, checkpoints.PROJECTOR)).position
        if checkpoint < found.checkpoint or any(
            found.checkpoint < change.position <= checkpoint
            for change in planned.changes
            if change.table in KEYS
        ):
            raise _stale("the projector's checkpoint moved over rows of the plan")
        since = found.checkpoint
        lines = await _go_on(found, found.read_books, since, checkpoint)
        found.checkpoint = checkpoint
        await connection.execute(SQL["touch_checkpoint"])
        changes += await _entries_since(found, planned, lines, since)
    done: list[Change] = []
    for table in QUERIES:
        group = [change for change in changes if change.table == table]
        if group:
            done += await _replace(found, views[table], group)
    return done


async def _go_on(found: Survey, books: Books, after: int, until: int) -> list[Line]:
    """Book what happened since the survey, and return the entries of it."""
    mentioning = None if found.only is None else found.only[1]
    lines: list[Line] = []
    async for page in log.pages(found.connection, after, until, mentioning=mentioning):
        for recorded in page:
            lines += books.take(recorded)[0]
    return lines


async def _entries_since(
    found: Survey, planned: Plan, lines: list[Line], since: int
) -> list[Change]:
    """Return the entries that were made on top of a wrong balance since it was planned."""
    table = view_catalog.BALANCES.table
    wrong = {surveys.key_of(change) for change in planned.changes if change.table == table}
    if not wrong or not lines:
        return []
    rows = await found.connection.fetch(ENTRIES.query, since, found.checkpoint)
    actual = {ENTRIES.key(entry): entry for entry in (Line(*row) for row in rows)}
    return [
        surveys.journalled(ENTRIES, line, actual.get(ENTRIES.key(line)))
        for line in lines
        if (line.ledger, line.account_id) in wrong and actual.get(ENTRIES.key(line)) != line
    ]


async def _replace(found: Survey, view: View, group: list[Change]) -> list[Change]:
    """Take the rows out as they are, see that they fit the plan, put in what the log says."""
    remove, restore = QUERIES[view.table]
    keys = as_rows([change.key for change in group])
    rows = [dict(row) for row in await found.connection.fetch(SQL[remove], keys)]
    names = tuple(group[0].key)
    standing = {tuple(row[name] for name in names): row for row in rows}
    done = []
    for change in group:
        actual = standing.get(tuple(change.key.values()))
        now = _now(found, view, change, actual)
        if now is None or not now.same_as(change):
            raise _stale(f"a row of {view.table} is not as it was")
        done.append(msgspec.structs.replace(now, position=change.position, before=actual))
    after = [change.after for change in done if change.after is not None]
    if after:
        await found.connection.execute(SQL[restore], as_rows(after))
    return done


def _now(found: Survey, view: View, change: Change, actual: dict[str, Any] | None) -> Change | None:
    """Return what becomes of the row as of the locks; None if it is right by now."""
    if not isinstance(view, Register):
        now = msgspec.structs.replace(change, before=actual)
        return None if now.before == now.after else now
    books = found.books if change.table in COMMAND_SIDE else found.read_books
    compared = None if actual is None else view.shown(actual)
    return surveys.registered(view, books, surveys.key_of(change), compared, change.position)


async def _record(connection: Executor, repair: Repair, wanted: Wanted) -> None:
    await connection.execute(
        SQL["record_repair"],
        repair.repair_id,
        wanted.ledger,
        wanted.account_id,
        msgspec.json.encode(wanted).decode(),
        repair.applied_by,
        repair.reason,
        repair.fingerprint,
        repair.checkpoint,
        repair.head,
        len(repair.changes),
        msgspec.json.encode([described(change) for change in repair.changes]).decode(),
        repair.applied_at,
    )


async def _checked(connection: Executor, repair: Repair, wanted: Wanted) -> Repair:
    again = (await surveys.survey(connection, wanted)).plan
    check = Check(checked_at=datetime.now(UTC), remaining=again.row_count + len(again.obstacles))
    await connection.execute(
        SQL["record_repair_check"],
        repair.repair_id,
        check.checked_at,
        again.checkpoint,
        again.head,
        check.remaining,
    )
    return msgspec.structs.replace(repair, check=check)


def described(change: Change) -> dict[str, Any]:
    """Return a change as it is kept and shown: amounts as text of minor units."""
    return {
        "action": change.action,
        "table": change.table,
        "kind": change.kind,
        "position": change.position,
        "before": shown(change.before),
        "after": shown(change.after),
    }


def _stale(what: str) -> Conflict:
    return Conflict(
        "plan_stale",
        f"The plan does not fit: {what}. Nothing was written; look at a new plan, then apply that.",
    )
