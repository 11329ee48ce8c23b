"""`daybook replay` and `daybook explain`: ask the auditor, and write what it says."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from auditing.explain.replayed_log import Point, Progress, Replay, open_log
from daybook.cli import replay_sheets
from daybook.cli.progress import progress
from daybook.cli.replay_sheets import ARGUMENTS, View
from daybook.cli.sheet_options import Written
from daybook.cli.sheets import Sheet, write
from daybook.settings import Settings
from query_side.statements import parameters
from runtime.problems import Invalid


async def replay(
    settings: Settings,
    view: View,
    arguments: Sequence[str],
    ledger: str | None,
    until: str | None,
    written: Written,
) -> bool:
    """Write a view of the log; return whether debits equal credits, where that is asked.

    Raises Invalid, NotFound, Unavailable.
    """
    if len(arguments) != len(ARGUMENTS[view].split()):
        usage = f"daybook replay {view} {ARGUMENTS[view]}".rstrip()
        raise Invalid("arguments_invalid", f"This is asked as `{usage}`.")
    if view is View.DIFF and until is not None:
        raise Invalid("arguments_invalid", "`diff A B` says itself how far to go: no --until.")
    end, balanced = place(until, "--until"), True
    async with _opened(settings) as (log, shown):
        sheet: Sheet
        match view:
            case View.TRIAL_BALANCE:
                found = await log.trial_balance(end, ledger=ledger, progress=shown)
                sheet, balanced = (
                    replay_sheets.trial_balance(found, log.schema.decimals),
                    found.balanced,
                )
            case View.ACCOUNT:
                sheet = await _story(log, _named(ledger), arguments[0], end, shown)
            case View.DIFF:
                first, second = place(arguments[0], "A"), place(arguments[1], "B")
                differing = await log.difference(first, second, ledger=ledger, progress=shown)
                sheet = replay_sheets.difference(differing, log.schema.decimals)
        await _write(sheet, written)
    return balanced


async def explain(
    settings: Settings,
    account_id: str,
    ledger: str | None,
    at: str | None,
    kept_max: int,
    written: Written,
    *,
    newest_first: bool,
) -> None:
    """Write which events made an account's balance. Raises Invalid, NotFound, Unavailable."""
    point = place(at, "--at")
    async with _opened(settings) as (log, shown):
        found = await log.explain(
            _named(ledger),
            account_id,
            at=point,
            newest_first=newest_first,
            kept_max=kept_max,
            progress=shown,
        )
        sheet = replay_sheets.explanation(found, log.schema.decimals(found.currency))
        await _write(sheet, written)


def place(text: str | None, name: str) -> Point:
    """Return the place that an argument names: a position, or else a time or a date.

    A time includes what was recorded just then, a date its whole day. Raises Invalid.
    """
    if text is None:
        return None
    if text.isdecimal():
        return parameters.point({name: text}, position=name).position
    return parameters.point({name: text}, at=name).recorded_before


async def _story(log: Replay, ledger: str, account_id: str, end: Point, shown: Progress) -> Sheet:
    currency = await log.currency(ledger, account_id)
    steps = log.story(ledger, account_id, until=end, progress=shown)
    return replay_sheets.story(steps, currency, log.schema.decimals(currency))


def _named(ledger: str | None) -> str:
    if ledger is None:
        raise Invalid("ledger_missing", "An account is in a ledger: name it with --ledger.")
    return ledger


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Replay, Progress]]:
    async with open_log(settings.database_url, settings.schema_file) as log:
        with progress("replaying") as shown:
            yield log, shown


async def _write(sheet: Sheet, written: Written) -> None:
    """Write to standard output, or to a file that is there only when it is whole."""
    output = written.output
    if output is None:
        await write(sheet, written.form, sys.stdout)
        return
    begun = output.with_name(f".{output.name}.part")
    try:
        with begun.open("w", encoding="utf-8", newline="") as file:
            await write(sheet, written.form, file)
        begun.replace(output)
    finally:
        begun.unlink(missing_ok=True)
