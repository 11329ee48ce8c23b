"""The auditor's work from the command line: reconcile everything or one account; replay the log."""

import asyncio
from collections import defaultdict
from uuid import UUID

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events import log, money
from events import schema as schemas
from events.period import moment
from events.replay import Books
from projections.auditing.compare import Scope
from projections.auditing.reconcile import ROLE, Means, Report
from projections.auditing.runs import kept, views
from runtime import database
from runtime.problems import Invalid, Unavailable
from runtime.settings import Settings

SHOWN_MAX = 20
COLUMNS = (TextColumn("reconciling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


class TrialBalance(msgspec.Struct):
    """Every account's totals in minor units, up to `position`; per currency they are equal."""

    position: int
    accounts: list[dict[str, str]]
    totals: dict[str, dict[str, str]]


class Asked(msgspec.Struct, frozen=True):
    """What to reconcile, as the command line says it; or the id of one to go on with."""

    ledger: str | None = None
    account: str | None = None
    start: str | None = None
    end: str | None = None
    resume: UUID | None = None


async def reconcile(settings: Settings, asked: Asked) -> Report:
    """Reconcile, and keep what was found. Raises Invalid, NotFound, Conflict, Unavailable."""
    scope = _scope(asked)
    connection = await database.connect(settings.database_url, ROLE)
    # While one reads the log, the other has the views' pages put together.
    beside = await database.connect(settings.database_url, ROLE)
    console = Console(stderr=True)
    try:
        run_id = asked.resume or await kept.ask(connection, scope, kept.CALLER)
        columns = (
            TextColumn("reconciling"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("events")
            means = Means(
                connection,
                beside,
                lambda done, total: bar.update(task, completed=done, total=total),
                lag_s_max=settings.lag_s_max,
            )
            try:
                return await kept.work(means, run_id)
            except (KeyboardInterrupt, asyncio.CancelledError, Unavailable):
                console.print(f"Go on with it: daybook reconcile --resume {run_id}")
                raise
            except database.CONNECTION_ERRORS as error:
                console.print(f"Go on with it: daybook reconcile --resume {run_id}")
                raise database.unavailable(error) from error
    finally:
        connection.terminate()
        beside.terminate()


def _scope(asked: Asked) -> Scope:
    if asked.resume is not None:
        if asked.ledger or asked.account or asked.start or asked.end:
            raise Invalid("resume_alone", "--resume goes on with what was asked for then.")
        return Scope()
    if asked.account is None and (asked.start or asked.end):
        raise Invalid("account_missing", "--start and --end go with --account.")
    if asked.account is not None and asked.ledger is None:
        raise Invalid("ledger_missing", "--account needs --ledger, the ledger it is in.")
    scope = Scope(
        ledger=asked.ledger,
        account_id=asked.account,
        start=moment(asked.start, "--start", whole_day=False),
        end=moment(asked.end, "--end", whole_day=True),
    )
    if scope.start is not None and scope.end is not None and scope.start >= scope.end:
        raise Invalid("period_invalid", "--start must be before --end.")
    return scope


def shown(report: Report, form: str) -> str:
    """Return the report as `text`, `json` (one object) or `csv` (its discrepancies)."""
    if form == "json":
        return msgspec.json.encode(report, enc_hook=str).decode()
    if form == "csv":
        rows = [msgspec.structs.asdict(found) for found in report.discrepancies]
        return views.as_csv(rows, views.COLUMNS[1:-1]).rstrip("\r\n")
    return as_text(report)


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


async def trial_balance(settings: Settings, ledger: str | None, until: int | None) -> TrialBalance:
    """Fold the log up to `until`. Raises Unavailable."""
    decimals = schemas.load(settings.schema_file).decimals
    books = Books()
    connection = await database.connect(settings.database_url, ROLE)
    try:
        head = (await log.head(connection)).position
        last = head if until is None else min(until, head)
        async for page in log.pages(connection, 0, last):
            for recorded in page:
                books.take(recorded)
    finally:
        await connection.close()
    accounts, totals = [], defaultdict[str, dict[str, int]](lambda: {"debit": 0, "credit": 0})
    for (account_ledger, account_id), tally in sorted(books.accounts.items()):
        if ledger is not None and account_ledger != ledger:
            continue
        for side, amount in (("debit", tally.debits_posted), ("credit", tally.credits_posted)):
            totals[tally.currency][side] += amount
        accounts.append(
            {
                "ledger": account_ledger,
                "account_id": account_id,
                "currency": tally.currency,
                "debits": money.to_text(tally.debits_posted, decimals(tally.currency)),
                "credits": money.to_text(tally.credits_posted, decimals(tally.currency)),
                "balance": money.to_text(tally.balance, decimals(tally.currency)),
            }
        )
    summed = {
        currency: {side: money.to_text(amount, decimals(currency)) for side, amount in both.items()}
        for currency, both in totals.items()
    }
    return TrialBalance(last, accounts, summed)


def trial_balance_as_text(balance: TrialBalance) -> str:
    """Return a trial balance as a table."""
    rows = [
        f"{a['ledger']:<12} {a['account_id']:<28} {a['currency']:<5}"
        f"{a['debits']:>18} {a['credits']:>18} {a['balance']:>18}"
        for a in balance.accounts
    ]
    sums = [
        f"{'':<12} {'total':<28} {currency:<5}{both['debit']:>18} {both['credit']:>18}"
        for currency, both in balance.totals.items()
    ]
    head = f"{'ledger':<12} {'account':<28} {'':<5}{'debits':>18} {'credits':>18} {'balance':>18}"
    return "\n".join([head, *rows, *sums, f"as of position {balance.position:,}"])
