"""The auditor's work from the command line: reconcile everything or one account."""

from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events.period import moment
from projections.auditing.compare import Scope
from projections.auditing.reconcile import ROLE, Report, reconcile_account, reconcile_all, record
from runtime import database
from runtime.problems import Invalid, NotFound
from runtime.settings import Settings

SHOWN_MAX = 20


async def reconcile(
    settings: Settings, ledger: str | None, account: str | None, start: str | None, end: str | None
) -> Report:
    """Reconcile, and keep what was found. Raises Invalid, NotFound, Unavailable."""
    if account is None and (ledger or start or end):
        raise Invalid("account_missing", "--ledger, --start and --end go with --account.")
    if account is not None and ledger is None:
        raise Invalid("ledger_missing", "--account needs --ledger, the ledger it is in.")
    connection = await database.connect(settings.database_url, ROLE)
    try:
        if account is None:
            report = await _everything(connection)
        else:
            scope = Scope(
                ledger=ledger,
                account_id=account,
                start=moment(start, "--start", whole_day=False),
                end=moment(end, "--end", whole_day=True),
            )
            if scope.start is not None and scope.end is not None and scope.start >= scope.end:
                raise Invalid("period_invalid", "--start must be before --end.")
            found = await reconcile_account(connection, uuid4(), scope)
            if found is None:
                raise NotFound(
                    "account_not_found", f"The log has no account {account!r} in ledger {ledger!r}."
                )
            report = found
        await record(connection, report)
    finally:
        await connection.close()
    return report


def as_text(report: Report) -> str:
    """Return the report for people."""
    lines = [
        f"{report.events_read:,} events up to position {report.position:,}",
        f"{report.entries_compared:,} entries and {report.balances_compared:,} balances compared",
    ]
    lines += [
        f"  {found.kind}: {found.explanation}\n"
        f"      expected {found.expected}; found {found.actual}; first at position {found.position}"
        for found in report.discrepancies[:SHOWN_MAX]
    ]
    if report.discrepancy_count > SHOWN_MAX:
        lines.append(f"  … and {report.discrepancy_count - SHOWN_MAX:,} more (--json shows them)")
    lines.append("clean" if report.clean else f"{report.discrepancy_count:,} discrepancies")
    return "\n".join(lines)


async def _everything(connection: database.Connection) -> Report:
    columns = (TextColumn("reconciling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("events")
        return await reconcile_all(
            connection, uuid4(), lambda done, total: bar.update(task, completed=done, total=total)
        )
