"""`daybook`, the one command. Commands with a result have `--json`; long work shows progress.

Exit codes: 0 done (and nothing differs), 1 done and something differs, 2 could not run.
"""

import sys

import click

from daybook import __version__
from daybook.cli import admin, audits, embedded, processes, replays, seals, statements

COULD_NOT_RUN = 2
FAMILIES = (admin, audits, embedded, processes, replays, seals, statements)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="daybook")
def cli() -> None:
    """Daybook: an event-sourced, double-entry ledger for payments."""


for family in FAMILIES:
    for command in family.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run the command line; an expected failure is one line on standard error, no traceback."""
    try:
        cli(prog_name="daybook")
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        click.echo(f"daybook: {error}", err=True)
        sys.exit(COULD_NOT_RUN)


def _expected() -> tuple[type[Exception], ...]:
    """Return the failures that the operator can do something about."""
    from daybook.migrations.migrate import MigrationError  # noqa: PLC0415 - only after a failure
    from events.schema import SchemaError  # noqa: PLC0415
    from runtime.problems import Problem  # noqa: PLC0415
    from runtime.settings import SettingsError  # noqa: PLC0415
    from sealing.export import ExportError  # noqa: PLC0415
    from sealing.receipts import ReceiptError  # noqa: PLC0415
    from sealing.signed_notes import NoteError  # noqa: PLC0415

    return (
        *(SettingsError, SchemaError, MigrationError, Problem),
        *(NoteError, ReceiptError, ExportError),
    )
