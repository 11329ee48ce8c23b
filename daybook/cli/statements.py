"""`daybook statements import` and `show`: files of banks and processors."""

import sys
from pathlib import Path

import click

from daybook.cli.invocation import as_json, run, say


@click.group()
def statements() -> None:
    """Match files of banks and processors with the ledger."""


@statements.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--ledger", required=True, help="The ledger.")
@click.option("--account", required=True, help="The account that mirrors the bank's account.")
@click.option("--format", "form", required=True, help="The file's format: csv, mt940 or camt.053.")
@click.option(
    "--map", "columns", multiple=True, metavar="NAME=VALUE", help="CSV: the column of a field."
)
@click.option(
    "--term", "terms", multiple=True, metavar="NAME=VALUE", help="How to match, such as days=5."
)
@as_json
def import_file(
    file: Path,
    ledger: str,
    account: str,
    form: str,
    columns: tuple[str, ...],
    terms: tuple[str, ...],
    as_json: bool,
) -> None:
    """Import FILE and match its lines with entries.

    Exit code 1: something differs. Importing the same file again changes nothing.
    """
    from daybook.cli.actions import bank_statements as action  # noqa: PLC0415

    how, matching_terms = action.reader(form, columns), action.terms(terms)
    report = run(
        lambda settings: action.import_file(settings, file, ledger, account, how, matching_terms)
    )
    say(as_json, report, action.as_text(report))
    sys.exit(0 if report.clean else 1)


@statements.command()
@click.argument("statement")
@click.option("--ledger", required=True, help="The ledger.")
@as_json
def show(statement: str, ledger: str, as_json: bool) -> None:
    """Show how much of a statement agrees now.

    STATEMENT is its id. Exit code 1: something differs.
    """
    from daybook.cli.actions import bank_statements as action  # noqa: PLC0415

    report = run(lambda settings: action.show(settings, ledger, statement))
    say(as_json, report, action.as_text(report))
    sys.exit(0 if report.clean else 1)


COMMANDS = (statements,)
