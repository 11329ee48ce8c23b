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

from auditing.explain.replayed_log import CONTRIBUTIONS_MAX
from daybook import __version__, settings
from daybook.cli.replay_sheets import View
from daybook.cli.sheet_options import Written, written
from daybook.migrations.migrate import MigrationError
from daybook.processes.side import Side
from daybook.settings import Settings
from events.schema import SchemaError
from runtime import loop, telemetry
from runtime.problems import Invalid, Problem
from runtime.settings import SettingsError
from sealing.export import ExportError
from sealing.findings import Verdict
from sealing.receipts import ReceiptError
from sealing.signed_notes import NoteError

COULD_NOT_RUN = 2
SCOPES = ("read", "write", "reconcile")
FORMATS = ("text", "json", "csv")
EXPECTED = (
    *(SettingsError, SchemaError, MigrationError, Problem),
    *(NoteError, ReceiptError, ExportError),
)

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
    from daybook.embedded import up as embedded  # noqa: PLC0415 - its servers are no part of a container

    sys.exit(uvloop.run(embedded.up(data, port, ephemeral=ephemeral)))


@cli.command()
@as_json
def demo(as_json: bool) -> None:
    """Walk one transfer through everything, on throw-away servers, and check each step."""
    from daybook.embedded.demo import demo as walk  # noqa: PLC0415

    sys.exit(uvloop.run(walk(as_json=as_json)))


@cli.command()
@click.option(
    "--transfers",
    type=click.IntRange(min=200),
    default=300,
    show_default=True,
    help="How many transfers to load before anything is damaged.",
)
@as_json
def drill(transfers: int, as_json: bool) -> None:
    """Damage a throw-away Daybook in every way we know: is it found, and put right?

    Exit code 1: something was not found, or not as what and where it was.
    """
    from daybook.drill.drill import drill as damage  # noqa: PLC0415

    sys.exit(uvloop.run(damage(transfers=transfers, as_json=as_json)))


@cli.command()
@click.argument("side", type=click.Choice([side.value for side in Side]), default="all")
def serve(side: str) -> None:
    """Serve the command API, the query API, or both."""
    from daybook.processes.serve import serve as serve_side  # noqa: PLC0415 - most commands need no HTTP

    _run_process(lambda given: serve_side(given, Side(side)))


@cli.command()
def relay() -> None:
    """Publish the log to SQS."""
    from daybook.processes import relay as worker  # noqa: PLC0415 - a process imports what it does

    _run_process(worker.run)


@cli.command()
def project() -> None:
    """Apply the log to the read models."""
    from daybook.processes import project as worker  # noqa: PLC0415

    _run_process(worker.run)


@cli.command()
def audit() -> None:
    """Verify behind the projector, for ever, and do the reconciliations asked for over HTTP."""
    from daybook.processes import audit as worker  # noqa: PLC0415

    _run_process(worker.run)


@cli.command()
@as_json
def migrate(as_json: bool) -> None:
    """Bring the database's schema up to date, and create the queue."""
    from daybook.cli import admin  # noqa: PLC0415

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
    from daybook.cli import admin  # noqa: PLC0415

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
    from daybook.cli import reconcile  # noqa: PLC0415

    asked = reconcile.Asked(ledger, account, start, end, resume)
    report = _run(lambda given: reconcile.reconcile(given, asked))
    click.echo(reconcile.shown(report, "json" if as_json else form))
    sys.exit(0 if report.clean else 1)


@cli.command("four-way")
@click.option("--ledger", required=True, help="The ledger.")
@as_json
def four_way(ledger: str, as_json: bool) -> None:
    """Compare log, read models, published events and statements. Exit code 1: they differ."""
    from daybook.cli import four_way  # noqa: PLC0415

    shown = _run(lambda given: four_way.report(given, ledger))
    _say(as_json, shown, four_way.as_text(shown))
    sys.exit(0 if shown["status"] == "CLEAN" else 1)


@cli.command()
@click.argument("view", type=click.Choice([view.value for view in View]), default="trial-balance")
@click.argument("arguments", nargs=-1)
@click.option("--ledger", help="Only this ledger; the one that the account is in.")
@click.option("--until", help="Up to this position or time; without it, the whole log.")
@written
def replay(
    view: str, arguments: tuple[str, ...], ledger: str | None, until: str | None, written: Written
) -> None:
    """Fold the log: a `trial-balance`, the story of `account ID`, or `diff A B` of two places.

    A place is a position, a time or a date (its end). Exit code 1: debits and credits differ.
    """
    from daybook.cli import replay  # noqa: PLC0415

    balanced = _run(
        lambda given: replay.replay(given, View(view), arguments, ledger, until, written)
    )
    sys.exit(0 if balanced else 1)


@cli.command()
@click.argument("account")
@click.option("--ledger", help="The ledger that the account is in.")
@click.option("--at", help="At this position, time or date (its end); without it, now.")
@click.option("--oldest-first", is_flag=True, help="The first events instead of the last ones.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=CONTRIBUTIONS_MAX,
    show_default=True,
    help="How many events one by one; the others are summed up.",
)
@written
def explain(
    account: str,
    ledger: str | None,
    at: str | None,
    oldest_first: bool,
    limit: int,
    written: Written,
) -> None:
    """Show which events made the balance of ACCOUNT; their amounts add up to it."""
    from daybook.cli import replay  # noqa: PLC0415

    _run(
        lambda given: replay.explain(
            given, account, ledger, at, limit, written, newest_first=not oldest_first
        )
    )


@cli.command()
@click.option("--ledger", help="Only this ledger's rows.")
@click.option("--account", help="With --ledger: only this account's.")
@click.option("--reconciliation", type=click.UUID, help="What this reconciliation compared.")
@click.option("--kind", help="Of those rows, only differences of this kind.")
@click.option("--position", type=int, help="… first shown by the event at this position.")
@click.option("--transaction", type=click.UUID, help="… of this transaction.")
@click.option("--apply", "applied", is_flag=True, help="Do it; without it, only show the plan.")
@click.option("--plan", help="With --apply: only if the plan is still this one.")
@click.option("--reason", help="With --apply: why; it is kept.")
@click.option("--by", help="With --apply: who; without it, the user who runs this.")
@as_json
def repair(as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - the options above
    """Put wrong rows of the views right, from the log. Exit code 1: rows (still) differ."""
    from daybook.cli import repair as repairing  # noqa: PLC0415

    answer = _run(lambda given: repairing.repair(given, repairing.Asked(**asked)))
    _say(as_json, repairing.as_document(answer), repairing.as_text(answer))
    sys.exit(0 if repairing.is_clean(answer) else 1)


@cli.command()
@click.option("--compare-only", is_flag=True, help="Build and compare; swap nothing.")
@click.option("--keep-old", is_flag=True, help="Keep the old tables, in the schema read_replaced.")
@click.option("--drop-old", is_flag=True, help="Only drop the tables that were kept.")
@click.option("--by", help="Who rebuilds; without it, the user who runs this.")
@as_json
def rebuild(
    compare_only: bool, keep_old: bool, drop_old: bool, by: str | None, as_json: bool
) -> None:
    """Build all read models anew beside the live ones, and swap. Exit code 1: they differed."""
    from daybook.cli import rebuild as rebuilding  # noqa: PLC0415

    if drop_old:
        _run(rebuilding.drop_old)
        _say(as_json, {"dropped": True}, "dropped what a rebuild kept, if anything")
        return
    loop.collect_garbage_rarely()
    built = _run(lambda given: rebuilding.rebuild(given, by, compare_only, keep_old))
    _say(as_json, built, rebuilding.as_text(built))
    sys.exit(1 if built.differing else 0)


@cli.command()
def seal() -> None:
    """Seal the log: keep its Merkle tree, and sign a checkpoint of it again and again."""
    from daybook.processes import seal as worker  # noqa: PLC0415

    _run_process(worker.run)


@cli.command("seal-key")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="The log's name (its origin); without it, a random one.")
@as_json
def seal_key(file: Path, name: str | None, as_json: bool) -> None:
    """Make a key in FILE to sign checkpoints with, if it is not there, and print its public half.

    The public half is what others verify with: give it to them, and keep a copy elsewhere.
    """
    from daybook.cli import seal  # noqa: PLC0415

    public = str(seal.key(file, name))
    _say(as_json, {"key": public, "file": str(file)}, public)


@cli.command()
@click.option("--receipt", type=click.Path(path_type=Path), help="Check this receipt, offline.")
@click.option(
    "--key", "keys", multiple=True, help="A public key that you trust, or a file of some."
)
@click.option(
    "--checkpoints", multiple=True, help="A folder, or s3://bucket/prefix, of checkpoints."
)
@as_json
def verify(
    receipt: Path | None, keys: tuple[str, ...], checkpoints: tuple[str, ...], as_json: bool
) -> None:
    """Prove that history is intact: of one receipt, or of the whole log. Exit code 1: it is not.

    Without --key it trusts the key of DAYBOOK_SEAL_KEY_FILE; without --checkpoints it compares with
    those of DAYBOOK_SEAL_CHECKPOINTS.
    """
    from daybook.cli import seal  # noqa: PLC0415

    found: seal.CheckedReceipt | Verdict
    if receipt is not None:
        trusted = seal.trusted(keys, os.environ.get("DAYBOOK_SEAL_KEY_FILE"))
        found = seal.check_receipt(receipt, trusted)
        text = seal.receipt_as_text(found)
    else:
        given = _settings()
        trusted = seal.trusted(keys, given.seal_key_file)
        found = uvloop.run(seal.verify(given, trusted, checkpoints))
        text = seal.verdict_as_text(found)
    _say(as_json, msgspec.to_builtins(found) | {"intact": found.intact}, text)
    sys.exit(0 if found.intact else 1)


@cli.command("seal-export")
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
def seal_export(folder: Path, as_json: bool) -> None:
    """Write the sealed log to FOLDER as C2SP tlog-tiles: every ledger's events are in it."""
    from daybook.cli import seal  # noqa: PLC0415

    done = _run(lambda given: seal.export_to(given, folder))
    _say(as_json, done, f"{done.size:,} events in {done.files:,} files below {done.folder}")


@cli.group()
def statements() -> None:
    """Match files of banks and processors with the ledger."""


@statements.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--ledger", required=True, help="The ledger.")
@click.option("--account", required=True, help="The account that mirrors the one at the bank.")
@click.option("--format", "form", required=True, help="What the file is: csv, mt940 or camt.053.")
@click.option("--map", "columns", multiple=True, metavar="NAME=VALUE", help="Of CSV: a column.")
@click.option("--term", "terms", multiple=True, metavar="NAME=VALUE", help="Such as days=5.")
@as_json
def statements_import(
    file: Path,
    ledger: str,
    account: str,
    form: str,
    columns: tuple[str, ...],
    terms: tuple[str, ...],
    as_json: bool,
) -> None:
    """Import FILE and match it; the same again changes nothing. Exit code 1: something differs."""
    from daybook.cli import bank_statements as external  # noqa: PLC0415

    asked = external.asked(form, columns, terms)
    shown = _run(
        lambda given: external.import_file(
            given, external.contents(file, given), ledger, account, asked
        )
    )
    _say(as_json, shown, external.as_text(shown))
    sys.exit(0 if shown.clean else 1)


@statements.command("show")
@click.argument("statement")
@click.option("--ledger", required=True, help="The ledger.")
@as_json
def statements_show(statement: str, ledger: str, as_json: bool) -> None:
    """Show how much of STATEMENT (its id) agrees by now. Exit code 1: something differs."""
    from daybook.cli import bank_statements as external  # noqa: PLC0415

    shown = _run(lambda given: external.show(given, ledger, statement))
    _say(as_json, shown, external.as_text(shown))
    sys.exit(0 if shown.clean else 1)


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
