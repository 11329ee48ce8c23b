"""The auditor's work from the command line: reconcile everything or one account; replay the log."""

from collections import defaultdict
from uuid import uuid4

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events import log, money
from events import schema as schemas
from events.period import moment
from events.replay import Books
from projections.auditing.compare import Scope
from projections.auditing.reconcile import ROLE, Report, reconcile_account, reconcile_all, record
from runtime import database
from runtime.problems import Invalid, NotFound
from runtime.settings import Settings

SHOWN_MAX = 20


class TrialBalance(msgspec.Struct):
    """Every account's totals in minor units, up to `position`; per currency they are equal."""

    position: int
    accounts: list[dict[str, str]]
    totals: dict[str, dict[str, str]]


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


async def _everything(connection: database.Connection) -> Report:
    columns = (TextColumn("reconciling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("events")
        return await reconcile_all(
            connection, uuid4(), lambda done, total: bar.update(task, completed=done, total=total)
        )
