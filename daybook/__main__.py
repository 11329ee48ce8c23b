"""`daybook`, the one command. What answers has `--json`; long work shows how far it is.

Exit codes: 0 done (and clean), 1 done and something differs, 2 could not run.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import msgspec
import uvloop

from daybook import __version__
from daybook.serve import Side
from daybook.serve import serve as serve_side
from events.schema import SchemaError
from runtime import loop, settings, telemetry
from runtime.migrate import MigrationError
from runtime.problems import Invalid, Problem
from runtime.settings import Settings, SettingsError

COULD_NOT_RUN = 2
SCOPES = ("read", "write", "reconcile")
FORMATS = ("text", "json", "csv")
EXPECTED = (SettingsError, SchemaError, MigrationError, Problem)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="daybook")
def cli() -> None:
    """Daybook: an event-sourced, double-entry ledger for payments."""


@cli.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=".daybook",
    show_default=True,
    help="Where the data is kept, and found again.",
)
@click.option("--port", default=3000, show_default=True, help="Of the API, on loopback; 0: any.")
@click.option("--ephemeral", is_flag=True, help="Throw-away data, removed at the end.")
def up(data: Path, port: int, ephemeral: bool) -> None:
    """Run everything on this machine: PostgreSQL, Valkey, an SQS API, and Daybook."""
    from daybook import up as embedded  # noqa: PLC0415 - its servers are no part of a container

    sys.exit(uvloop.run(embedded.up(data, port, ephemeral=ephemeral)))


@cli.command()
@as_json
def demo(as_json: bool) -> None:
    """Walk one transfer through everything, on throw-away servers, and check each step."""
    from daybook.demo import demo as walk  # noqa: PLC0415

    sys.exit(uvloop.run(walk(as_json=as_json)))


@cli.command()
@click.argument("side", type=click.Choice([side.value for side in Side]), default="all")
def serve(side: str) -> None:
    """Serve the command API, the query API, or both."""
    _run_process(lambda given: serve_side(given, Side(side)))


@cli.command()
def relay() -> None:
    """Publish the log to SQS."""
    from daybook import work  # noqa: PLC0415 - an API process doesn't need the workers

    _run_process(work.relay)


@cli.command()
def project() -> None:
    """Apply the log to the read models."""
    from daybook import work  # noqa: PLC0415

    _run_process(work.project)


@cli.command()
def audit() -> None:
    """Verify behind the projector, for ever, and do the reconciliations asked for over HTTP."""
    from daybook import work  # noqa: PLC0415

    _run_process(work.audit)


@cli.command()
@as_json
def migrate(as_json: bool) -> None:
    """Bring the database's schema up to date, and create the queue."""
    from daybook import admin  # noqa: PLC0415

    applied = _run(admin.migrate)
    _say(as_json, {"applied": applied}, f"applied: {', '.join(applied) or 'nothing was missing'}")


@cli.command()
@click.argument("ledger", required=False)
@click.option("--ledger", "more", multiple=True, help="Another ledger that the token is for.")
@click.option("--scope", "scopes", multiple=True, default=SCOPES, show_default=True)
@click.option("--label", default="", help="Whose token it is.")
@click.option("--revoke", metavar="TOKEN", help="Revoke TOKEN instead of making one.")
@as_json
def token(
    ledger: str | None,
    more: tuple[str, ...],
    scopes: tuple[str, ...],
    label: str,
    revoke: str | None,
    as_json: bool,
) -> None:
    """Make a bearer token for LEDGER; it is shown this once, and only its digest is kept."""
    from daybook import admin  # noqa: PLC0415

    ledgers = list(dict.fromkeys((ledger, *more) if ledger else more))
    if revoke is None:
        made = _run(lambda given: admin.token(given, ledgers, scopes, label))
        _say(as_json, {"token": made, "ledgers": ledgers, "scopes": list(scopes)}, made)
        return
    if ledgers:
        raise Invalid("ledger_unexpected", "--revoke takes no ledger: the token loses them all.")
    label = _run(lambda given: admin.revoke(given, revoke))
    _say(as_json, {"revoked": True, "label": label}, f"revoked: {label}")


@cli.command()
@click.option("--ledger", help="Only this ledger; with --account, the one that it is in.")
@click.option("--account", help="Only this account; without it, all of them.")
@click.option("--start", help="Compare the account's entries from this date or time on.")
@click.option("--end", help="… and before this one.")
@click.option("--resume", type=click.UUID, metavar="ID", help="Go on with one that was stopped.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
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
    """Replay the log independently and compare every view with it. Exit code 1: they differ."""
    from daybook import audit  # noqa: PLC0415

    asked = audit.Asked(ledger, account, start, end, resume)
    report = _run(lambda given: audit.reconcile(given, asked))
    click.echo(audit.shown(report, "json" if as_json else form))
    sys.exit(0 if report.clean else 1)


@cli.command()
@click.option("--ledger", help="Only this ledger.")
@click.option("--until", type=int, help="Up to this position; without it, the whole log.")
@as_json
def replay(ledger: str | None, until: int | None, as_json: bool) -> None:
    """Fold the log and print its trial balance."""
    from daybook import audit  # noqa: PLC0415

    balance = _run(lambda given: audit.trial_balance(given, ledger, until))
    _say(as_json, balance, audit.trial_balance_as_text(balance))


def main() -> None:
    """Run the command line; expected failures are one line, never a traceback."""
    try:
        cli()
    except EXPECTED as error:
        click.echo(f"daybook: {error}", err=True)
        sys.exit(COULD_NOT_RUN)


def _settings() -> Settings:
    given = settings.load(os.environ)
    telemetry.log_to_stderr(given.log_level)
    return given


def _run(work: Callable[[Settings], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401
    return uvloop.run(work(_settings()))


def _run_process(work: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    loop.collect_garbage_rarely()
    try:
        _run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped", err=True)


def _say(as_json: bool, value: object, text: str) -> None:
    click.echo(msgspec.json.encode(value, enc_hook=str).decode() if as_json else text)


if __name__ == "__main__":
    main()
