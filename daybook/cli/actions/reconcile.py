"""`daybook reconcile`: reconcile every view, one ledger, or one account."""

import asyncio
from datetime import timedelta
from uuid import UUID

import msgspec
from rich.console import Console

from auditing.differences import Scope
from auditing.reconcile import jobs
from auditing.reconcile.csv_export import COLUMNS, as_csv
from auditing.reconcile.reconcile import Report, RunContext
from auditing.roles import AUDITOR
from daybook.cli.actions.progress import progress
from daybook.settings import Settings
from runtime import database
from runtime.problems import Invalid, Unavailable
from web import times

SHOWN_MAX = 20


class ReconcileOptions(msgspec.Struct, frozen=True):
    """The options of the command; `resume` is the id of a reconciliation that was stopped."""

    ledger: str | None = None
    account: str | None = None
    start: str | None = None
    end: str | None = None
    resume: UUID | None = None


async def reconcile(settings: Settings, options: ReconcileOptions) -> Report:
    """Reconcile, and keep the discrepancies. Raises Invalid, NotFound, Conflict, Unavailable."""
    scope = _scope(options)
    connection = await database.connect(settings.database_url, AUDITOR)
    # One connection reads the log while the other reads the views.
    beside = await database.connect(settings.database_url, AUDITOR)
    console = Console(stderr=True)
    try:
        run_id = options.resume or await jobs.request(connection, scope, jobs.CALLER)
        with progress("reconciling") as shown:
            context = RunContext(
                connection,
                beside,
                shown,
                lag_max=timedelta(seconds=settings.lag_s_max),
            )
            try:
                return await jobs.work(context, run_id)
            except (KeyboardInterrupt, asyncio.CancelledError, Unavailable):
                console.print(f"Continue it with: daybook reconcile --resume {run_id}")
                raise
            except database.CONNECTION_ERRORS as error:
                console.print(f"Continue it with: daybook reconcile --resume {run_id}")
                raise database.unavailable(error) from error
    finally:
        connection.terminate()
        beside.terminate()


def _scope(options: ReconcileOptions) -> Scope:
    if options.resume is not None:
        if options.ledger or options.account or options.start or options.end:
            raise Invalid(
                "resume_alone",
                "--resume continues with the options of the first run; give no others.",
            )
        return Scope()
    if options.account is None and (options.start or options.end):
        raise Invalid("account_missing", "--start and --end need --account.")
    if options.account is not None and options.ledger is None:
        raise Invalid("ledger_missing", "--account needs --ledger, the ledger of the account.")
    scope = Scope(
        ledger=options.ledger,
        account_id=options.account,
        start=None if options.start is None else times.start(options.start, "--start"),
        end=None if options.end is None else times.end(options.end, "--end"),
    )
    if scope.start is not None and scope.end is not None and scope.start >= scope.end:
        raise Invalid("period_invalid", "--start must be before --end.")
    return scope


def report_as(report: Report, form: str) -> str:
    """Return the report as `text`, `json` (one object) or `csv` (its discrepancies)."""
    if form == "json":
        return msgspec.json.encode(report, enc_hook=str).decode()
    if form == "csv":
        rows = [msgspec.structs.asdict(found) for found in report.discrepancies]
        return as_csv(rows, COLUMNS[1:-1]).rstrip("\r\n")
    return as_text(report)


def as_text(report: Report) -> str:
    """Return the report as text."""
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
