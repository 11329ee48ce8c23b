"""`daybook statements`: import a file of a bank, and list what differs."""

import getpass
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from bank_statements import findings, importer, parameters, store, views
from bank_statements.findings import Finding, Place, Statement
from bank_statements.importer import ROLE, Upload
from daybook.settings import Settings
from events import schema as schemas
from runtime import database
from runtime.database import Connection
from runtime.problems import NotFound, TooLarge

SHOWN_MAX = 20
Result = TypeVar("Result")


class StatementReport(msgspec.Struct):
    """A statement, how much of it agrees, and the first differences."""

    statement: dict[str, Any]
    differences: list[Finding]
    clean: bool


def contents(path: Path, settings: Settings) -> bytes:
    """Return a file's bytes. Raises TooLarge."""
    if path.stat().st_size > settings.statement_bytes_max:
        detail = f"{path} has more than {settings.statement_bytes_max} bytes."
        raise TooLarge("body_too_large", detail)
    return path.read_bytes()


async def import_file(
    settings: Settings, data: bytes, ledger: str, account: str, request: dict[str, str]
) -> StatementReport:
    """Import a file and propose matches. Raises Invalid, NotFound, TooLarge, Unavailable."""
    account_id, terms = parameters.account(account), parameters.terms(request)
    how = parameters.how_to_read(request, "")
    upload = Upload(data, how, terms, f"{getpass.getuser()} by command line")
    schema = schemas.load(settings.schema_file)

    async def work(connection: Connection) -> StatementReport:
        done = await importer.import_file(connection, ledger, account_id, upload, schema)
        return await _report(connection, settings, ledger, done.statement_id)

    return await _connected(settings, work)


async def show(settings: Settings, ledger: str, statement_id: str) -> StatementReport:
    """Return a statement. Raises NotFound, Unavailable."""
    try:
        known_as = UUID(statement_id)
    except ValueError as error:
        raise NotFound("statement_not_found", f"There is no statement {statement_id}.") from error
    return await _connected(
        settings, lambda connection: _report(connection, settings, ledger, known_as)
    )


def requested(form: str, columns: tuple[str, ...], terms: tuple[str, ...]) -> dict[str, str]:
    """Return the options, with NAME=VALUE taken apart, as parameters. Raises Invalid."""
    mapped = [f"{parameters.MAP}{column}" for column in columns]
    pairs = [each.partition("=")[::2] for each in (f"format={form}", *mapped, *terms)]
    return parameters.parameters(pairs, ("format", parameters.MAP, *parameters.TERMS))


def as_text(report: StatementReport) -> str:
    """Return a statement as lines of text."""
    told = report.statement
    lines = told["lines"]
    said = [
        f"statement {told['statement_id']} of {told['account_id']} in {told['currency']}",
        f"from {told['starts_on']} to {told['ends_on']}",
        *(
            f"{name:<10} {lines[name]['count']:>8} lines  in {_plain(lines[name]['incoming'])}"
            f"  out {_plain(lines[name]['outgoing'])}"
            for name in ("accepted", "proposed", "unmatched")
        ),
        *(f"{finding.kind}: {finding.explanation}" for finding in report.differences),
    ]
    left = sum(told["discrepancies"].values()) - len(report.differences)
    if left:
        said.append(f"… and {left:,} more")
    return "\n".join([*said, "clean" if report.clean else "discrepancies"])


async def _connected(
    settings: Settings, work: Callable[[Connection], Coroutine[Any, Any, Result]]
) -> Result:
    connection = await database.connect(settings.database_url, ROLE)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def _report(
    connection: Connection, settings: Settings, ledger: str, statement_id: UUID
) -> StatementReport:
    row = await store.statement(connection, ledger, statement_id)
    account = await store.account(connection, ledger, row["account_id"])
    decimals = schemas.load(settings.schema_file).decimals(row["currency"])
    of = Statement(row, account, decimals)
    totals = await findings.totals(connection, of)
    differing, _ = await findings.page(connection, of, Place(), SHOWN_MAX)
    return StatementReport(
        views.summary(of, totals), differing, not any(totals.discrepancies.values())
    )


def _plain(amount: msgspec.Raw) -> str:
    return bytes(amount).decode()
