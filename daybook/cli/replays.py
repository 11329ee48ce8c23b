"""`daybook replay` and `explain`: questions about the past, answered from the log alone."""

import sys

import click

from daybook.cli.invocation import run
from daybook.cli.output_options import Output, output_options
from daybook.cli.replay_views import View

CONTRIBUTIONS_LISTED = 1_000


@click.command()
@click.argument("view", type=click.Choice([view.value for view in View]), default="trial-balance")
@click.argument("arguments", nargs=-1)
@click.option("--ledger", help="Only this ledger; required for `account`.")
@click.option("--until", help="Stop at this position, time or date; the default is the last event.")
@output_options
def replay(
    view: str, arguments: tuple[str, ...], ledger: str | None, until: str | None, output: Output
) -> None:
    """Fold the log up to any point.

    The argument is `trial-balance`, `account ID` (its story) or `diff A B`. A and B are
    points: a position, a time, or a date (its whole day included).

    Exit code 1: debits and credits of the trial balance differ.
    """
    from daybook.cli.actions import replay as action  # noqa: PLC0415

    balanced = run(
        lambda settings: action.replay(settings, View(view), arguments, ledger, until, output)
    )
    sys.exit(0 if balanced else 1)


@click.command()
@click.argument("account")
@click.option("--ledger", help="The ledger that the account is in.")
@click.option("--at", help="The balance at this position, time or date; the default is now.")
@click.option("--oldest-first", is_flag=True, help="List the first events instead of the last.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=CONTRIBUTIONS_LISTED,
    show_default=True,
    help="How many events to list; the others are summed up.",
)
@output_options
def explain(
    account: str,
    ledger: str | None,
    at: str | None,
    oldest_first: bool,
    limit: int,
    output: Output,
) -> None:
    """List the events that made a balance.

    Their amounts add up to the balance of ACCOUNT.
    """
    from daybook.cli.actions import replay as action  # noqa: PLC0415

    run(
        lambda settings: action.explain(
            settings, account, ledger, at, limit, output, newest_first=not oldest_first
        )
    )


COMMANDS = (replay, explain)
