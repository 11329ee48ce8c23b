"""`daybook reconcile`, `four-way`, `repair`, `rebuild`: compare views with the log."""

import sys
from typing import Any
from uuid import UUID

import click

from daybook.cli.invocation import as_json, run, say

FORMATS = ("text", "json", "csv")


@click.command()
@click.option("--ledger", help="Reconcile only this ledger; required with --account.")
@click.option("--account", help="Reconcile only this account.")
@click.option("--start", help="With --account: compare its entries from this date or time on.")
@click.option("--end", help="With --account: ... up to this date (included) or time (excluded).")
@click.option(
    "--resume", type=click.UUID, metavar="ID", help="Continue a reconciliation that was stopped."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="The form of the report; csv lists its discrepancies.",
)
@as_json
def reconcile(
    ledger: str | None,
    account: str | None,
    start: str | None,
    end: str | None,
    resume: UUID | None,
    form: str,
    as_json: bool,
) -> None:
    """Replay the log and compare every view with it.

    Exit code 1: something differs.
    """
    from daybook.cli.actions import reconcile as action  # noqa: PLC0415

    options = action.ReconcileOptions(ledger, account, start, end, resume)
    report = run(lambda settings: action.reconcile(settings, options))
    click.echo(action.report_as(report, "json" if as_json else form))
    sys.exit(0 if report.clean else 1)


@click.command("four-way")
@click.option("--ledger", required=True, help="The ledger.")
@as_json
def four_way(ledger: str, as_json: bool) -> None:
    """Compare log, views, queue and bank statements.

    Exit code 1: something differs.
    """
    from daybook.cli.actions import four_way as action  # noqa: PLC0415

    report = run(lambda settings: action.report(settings, ledger))
    say(as_json, report, action.as_text(report))
    sys.exit(0 if report.status == "CLEAN" else 1)


@click.command()
@click.option("--ledger", help="Repair only this ledger's rows; required with --account.")
@click.option("--account", help="Repair only this account's rows.")
@click.option("--reconciliation", type=click.UUID, help="Repair what this reconciliation compared.")
@click.option("--kind", help="Only discrepancies of this kind.")
@click.option("--position", type=int, help="Only discrepancies first shown by this event.")
@click.option("--transaction", type=click.UUID, help="Only discrepancies of this transaction.")
@click.option("--apply", "applied", is_flag=True, help="Apply the plan instead of printing it.")
@click.option("--plan", help="With --apply: the fingerprint of the plan that you read.")
@click.option("--reason", help="With --apply: why you repair; it is kept for ever.")
@click.option("--by", help="With --apply: who repairs; the default is the system user.")
@as_json
def repair(as_json: bool, **options: Any) -> None:  # noqa: ANN401 - the options above
    """Correct wrong rows of the views from the log.

    Exit code 1: rows differ (still).
    """
    from daybook.cli.actions import repair as action  # noqa: PLC0415

    answer = run(lambda settings: action.repair(settings, action.RepairOptions(**options)))
    say(as_json, action.as_document(answer), action.as_text(answer))
    sys.exit(0 if action.is_clean(answer) else 1)


@click.command()
@click.option("--compare-only", is_flag=True, help="Build and compare; do not swap.")
@click.option("--keep-old", is_flag=True, help="Keep the old tables, in the schema read_replaced.")
@click.option("--drop-old", is_flag=True, help="Only drop the tables that a rebuild kept.")
@click.option("--by", help="Who rebuilds; the default is the system user.")
@as_json
def rebuild(
    compare_only: bool, keep_old: bool, drop_old: bool, by: str | None, as_json: bool
) -> None:
    """Build all read models anew, and swap them in.

    Exit code 1: rows differed.
    """
    from daybook.cli.actions import rebuild as action  # noqa: PLC0415
    from runtime import loop  # noqa: PLC0415

    if drop_old:
        run(action.drop_old)
        say(as_json, {"dropped": True}, "dropped the tables that a rebuild kept, if there were any")
        return
    loop.collect_garbage_rarely()
    built = run(lambda settings: action.rebuild(settings, by, compare_only, keep_old))
    say(as_json, built, action.as_text(built))
    sys.exit(1 if built.differing else 0)


COMMANDS = (reconcile, four_way, repair, rebuild)
