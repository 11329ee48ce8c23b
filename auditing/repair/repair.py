"""Repair rows of the views from the log, in one transaction, under the locks of the views' owners.

    #   round trip            why
    1   survey                find what differs, in a snapshot; nothing is locked meanwhile
    2   BEGIN
    3   lock events.head      if rows of the command side are wrong, no writer may decide meanwhile
    4   lock the checkpoint   if rows of the read side are wrong, no projector may fold meanwhile
    5   read the log          replay the few events since the survey, find the entries that they
                              made on top of a wrong balance, and add what is not yet flushed to
                              accounts of the command side
    6   delete the rows       PostgreSQL returns them as they were
    7   insert the rows       as the log says by now
    8   record                who, when, why, and every row before and after
    9   COMMIT
    10  survey                compare again, and record how many rows still differ

Between 6 and 7 each row is compared: if it no longer differs as planned, nothing is written. The
values written are those of the state replayed under the locks, never those of the plan.
"""

from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

import msgspec

from auditing import unflushed_accounts, view_catalog
from auditing.differences import journal_difference, register_difference
from auditing.expected_rows import ExpectedEntry
from auditing.pages import Progress
from auditing.repair import survey as surveys
from auditing.repair.plan import ROWS_MAX, Change, Plan, RowSelection
from auditing.repair.survey import COMMAND_SIDE, JOURNALS, VIEWS, Survey, change_of
from auditing.replay import ReplayedState
from auditing.view_catalog import ENTRIES, Journal, Register
from events import checkpoints, log
from runtime.database import Executor
from runtime.problems import Conflict, NotFound, Rejected
from runtime.sql import as_rows, queries

SQL = queries("auditing")
WHO_MAX = 200
REASON_MAX = 1_000

# The two queries that delete and insert the rows of each table, in the order of the repair.
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
    """The comparison after a repair: how many rows still differ."""

    checked_at: datetime
    remaining: int


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What was repaired, by whom and why; `check` is None if the process ended before it."""

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
) -> RowSelection:
    """Return the rows that a reconciliation compared, one of `ledger` if given. Raises NotFound."""
    row = await connection.fetchrow(SQL["reconciliation_scope"], reconciliation_id, ledger)
    if row is None:
        detail = f"There is no reconciliation {reconciliation_id}."
        raise NotFound("reconciliation_not_found", detail)
    return RowSelection(ledger=row["ledger"], account_id=row["account_id"])


async def plan(
    connection: Executor, selection: RowSelection, progress: Progress | None = None
) -> Plan:
    """Return what a repair would do, and change nothing."""
    return (await surveys.survey(connection, selection, progress)).plan


async def apply(
    connection: Executor,
    selection: RowSelection,
    *,
    applied_by: str,
    reason: str,
    fingerprint: str | None = None,
    progress: Progress | None = None,
) -> Repair | None:
    """Repair what differs, record it, and compare again; return None if nothing differs.

    With `fingerprint`, apply only the plan of that name. Raises Rejected if the log itself is wrong
    or too many rows differ, and Conflict if the plan does not fit any more.
    """
    found = await surveys.survey(connection, selection, progress)
    planned = found.plan
    if planned.obstacles:
        raise Rejected("log_unsound", planned.obstacles[0].explanation)
    if planned.row_count > ROWS_MAX:
        detail = (
            f"{planned.row_count:,} rows differ, more than the {ROWS_MAX:,} that one repair"
            " changes. Rebuild the read models (`daybook rebuild`)."
        )
        raise Rejected("repair_too_large", detail)
    if fingerprint is not None and fingerprint != planned.fingerprint:
        raise _stale("the rows that differ are not those of the plan")
    if not planned.changes:
        return None
    async with connection.transaction():
        changes = await _repair(found, planned)
        repair = Repair(
            repair_id=uuid4(),
            account_id=selection.account_id,
            fingerprint=planned.fingerprint,
            checkpoint=found.checkpoint,
            head=found.head,
            applied_by=applied_by[:WHO_MAX],
            reason=reason[:REASON_MAX],
            applied_at=datetime.now(UTC),
            changes=changes,
        )
        await _record(connection, repair, selection)
    return await _checked(connection, repair, selection)


async def _repair(found: Survey, planned: Plan) -> list[Change]:
    """Lock, replay up to what is locked, and replace every row; return what was done."""
    connection = found.connection
    account = found.walker.scope.account
    changes = list(planned.changes)
    tables = {change.table for change in changes}
    views = dict(VIEWS)
    if tables & COMMAND_SIDE:
        head = await log.lock_head(connection)
        await _replay_on(found, found.walker.state, found.head, head.position)
        found.head = head.position
        if view_catalog.COMMAND_ACCOUNTS.table in tables:
            accounts = await unflushed_accounts.command_accounts(connection, head, account)
            views[accounts.table] = accounts
        await connection.execute(SQL["touch_head"])
    if tables - COMMAND_SIDE:
        checkpoint = (await checkpoints.lock(connection, checkpoints.PROJECTOR)).position
        if checkpoint < found.checkpoint or any(
            found.checkpoint < change.position <= checkpoint
            for change in planned.changes
            if change.table in JOURNALS
        ):
            raise _stale("the projector's checkpoint moved over rows of the plan")
        since = found.checkpoint
        entries = await _replay_on(found, found.read_state, since, checkpoint)
        found.checkpoint = checkpoint
        await connection.execute(SQL["touch_checkpoint"])
        changes += await _entries_since(found, planned, entries, since)
    done: list[Change] = []
    for table in QUERIES:
        group = [change for change in changes if change.table == table]
        if group:
            done += await _replace(found, views[table], group)
    return done


async def _replay_on(
    found: Survey, state: ReplayedState, after: int, until: int
) -> list[ExpectedEntry]:
    """Fold the events recorded since the survey, and return their entries."""
    entries: list[ExpectedEntry] = []
    mentioning = found.selection.account_id
    async for page in log.pages(found.connection, after, until, mentioning=mentioning):
        for recorded in page:
            entries += state.fold(recorded)[0]
    return entries


async def _entries_since(
    found: Survey, planned: Plan, entries: list[ExpectedEntry], since: int
) -> list[Change]:
    """Return the entries that were made on top of a wrong balance since it was planned."""
    table = view_catalog.BALANCES.table
    wrong = {_key(change) for change in planned.changes if change.table == table}
    if not wrong or not entries:
        return []
    rows = await found.connection.fetch(ENTRIES.query, since, found.checkpoint)
    key = attrgetter(*ENTRIES.key)
    actual = {key(entry): entry for entry in (ExpectedEntry(*row) for row in rows)}
    return [
        change_of(journal_difference(ENTRIES, entry, actual.get(key(entry))))
        for entry in entries
        if (entry.ledger, entry.account_id) in wrong and actual.get(key(entry)) != entry
    ]


async def _replace(found: Survey, view: Journal | Register, group: list[Change]) -> list[Change]:
    """Delete the rows as they are, check that they fit the plan, insert what the log says.

    All rows are deleted before any is inserted, so that no wrong row holds a unique key.
    """
    remove, restore = QUERIES[view.table]
    keys = as_rows([change.key for change in group])
    rows = [dict(row) for row in await found.connection.fetch(SQL[remove], keys)]
    names = tuple(group[0].key)
    removed = {tuple(row[name] for name in names): row for row in rows}
    done = []
    for change in group:
        actual = removed.get(tuple(change.key.values()))
        now = _now(found, view, change, actual)
        if now is None or not now.same_as(change):
            raise _stale(f"a row of {view.table} is not as it was")
        done.append(msgspec.structs.replace(now, position=change.position, before=actual))
    after = [change.after for change in done if change.after is not None]
    if after:
        await found.connection.execute(SQL[restore], as_rows(after))
    return done


def _now(
    found: Survey, view: Journal | Register, change: Change, actual: dict[str, Any] | None
) -> Change | None:
    """Return how the row changes as of the locks; None if it is right by now."""
    if isinstance(view, Journal):
        now = msgspec.structs.replace(change, before=actual)
        return None if now.before == now.after else now
    state = found.walker.state if change.table in COMMAND_SIDE else found.read_state
    compared = None if actual is None else view.shown(actual)
    difference = register_difference(view, state, _key(change), compared, change.position)
    return None if difference is None else change_of(difference)


def _key(change: Change) -> Any:  # noqa: ANN401 - the key of a register
    key = tuple(change.key.values())
    return key if len(key) > 1 else key[0]


async def _record(connection: Executor, repair: Repair, selection: RowSelection) -> None:
    await connection.execute(
        SQL["record_repair"],
        repair.repair_id,
        selection.ledger,
        selection.account_id,
        msgspec.json.encode(selection).decode(),
        repair.applied_by,
        repair.reason,
        repair.fingerprint,
        repair.checkpoint,
        repair.head,
        len(repair.changes),
        msgspec.json.encode([change.shown for change in repair.changes]).decode(),
        repair.applied_at,
    )


async def _checked(connection: Executor, repair: Repair, selection: RowSelection) -> Repair:
    again = (await surveys.survey(connection, selection)).plan
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


def _stale(what: str) -> Conflict:
    return Conflict(
        "plan_stale",
        f"The plan does not fit: {what}. Nothing was written. Look at a new plan, then apply that.",
    )
