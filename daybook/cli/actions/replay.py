"""`daybook replay` and `daybook explain`: fold the log, and write the answer."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from auditing.explain.replayed_log import Point, Progress, Replay, open_log
from daybook.cli.actions import replay_sheets
from daybook.cli.actions.progress import progress
from daybook.cli.output_options import Output
from daybook.cli.replay_views import ARGUMENTS, View
from daybook.cli.sheets import Sheet, write
from daybook.settings import Settings
from runtime.problems import Invalid
from web import times

# The digits of PostgreSQL's greatest bigint.
POSITION_DIGITS_MAX = 19


async def replay(
    settings: Settings,
    view: View,
    arguments: Sequence[str],
    ledger: str | None,
    until: str | None,
    output: Output,
) -> bool:
    """Write a view of the log; return False if its trial balance does not balance.

    Raises Invalid, NotFound, Unavailable.
    """
    if len(arguments) != len(ARGUMENTS[view].split()):
        usage = f"daybook replay {view} {ARGUMENTS[view]}".rstrip()
        raise Invalid("arguments_invalid", f"The command is `{usage}`.")
    if view is View.DIFF and until is not None:
        raise Invalid("arguments_invalid", "`diff A B` takes no --until: B is the end.")
    end, balanced = point(until, "--until"), True
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
                first, second = point(arguments[0], "A"), point(arguments[1], "B")
                differing = await log.difference(first, second, ledger=ledger, progress=shown)
                sheet = replay_sheets.difference(differing, log.schema.decimals)
        await _write(sheet, output)
    return balanced


async def explain(
    settings: Settings,
    account_id: str,
    ledger: str | None,
    at: str | None,
    kept_max: int,
    output: Output,
    *,
    newest_first: bool,
) -> None:
    """Write which events made an account's balance. Raises Invalid, NotFound, Unavailable."""
    until = point(at, "--at")
    async with _opened(settings) as (log, shown):
        found = await log.explain(
            _named(ledger),
            account_id,
            at=until,
            newest_first=newest_first,
            kept_max=kept_max,
            progress=shown,
        )
        sheet = replay_sheets.explanation(found, log.schema.decimals(found.currency))
        await _write(sheet, output)


def point(text: str | None, name: str) -> Point:
    """Return the point that an argument names: a position, or else a day or a moment.

    A moment includes the events recorded at it, a day is a whole day. Raises Invalid.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= POSITION_DIGITS_MAX:
        return int(text)
    return times.through(text, name)


async def _story(log: Replay, ledger: str, account_id: str, end: Point, shown: Progress) -> Sheet:
    currency = await log.currency(ledger, account_id)
    steps = log.story(ledger, account_id, until=end, progress=shown)
    return replay_sheets.story(steps, currency, log.schema.decimals(currency))


def _named(ledger: str | None) -> str:
    if ledger is None:
        raise Invalid("ledger_missing", "Name the ledger of the account with --ledger.")
    return ledger


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Replay, Progress]]:
    async with open_log(settings.database_url, settings.schema_file) as log:
        with progress("replaying") as shown:
            yield log, shown


async def _write(sheet: Sheet, output: Output) -> None:
    """Write to standard output, or to a file that appears when it is complete."""
    if output.file is None:
        await write(sheet, output.format, sys.stdout)
        return
    begun = output.file.with_name(f".{output.file.name}.part")
    try:
        with begun.open("w", encoding="utf-8", newline="") as file:
            await write(sheet, output.format, file)
        begun.replace(output.file)
    finally:
        begun.unlink(missing_ok=True)
