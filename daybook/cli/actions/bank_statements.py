"""`daybook statements`: import a file of a bank, and list what differs."""

import getpass
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from bank_statements import answers, findings, importer, parameters, store
from bank_statements.answers import MatchedStatement
from bank_statements.differences import StatementDifference
from bank_statements.findings import DifferencePlace, StatementOfAccount
from bank_statements.formats import reading
from bank_statements.formats.reading import Format, Reader
from bank_statements.importer import ROLE, Upload
from bank_statements.matching.types import MatchingTerms
from daybook.settings import Settings
from events import schema as schemas
from runtime import database
from runtime.database import Connection
from runtime.problems import Invalid, NotFound, TooLarge

SHOWN_MAX = 20
Result = TypeVar("Result")


class StatementReport(msgspec.Struct):
    """A statement, how much of it agrees, and the first differences."""

    statement: MatchedStatement
    differences: list[StatementDifference]
    clean: bool


async def import_file(
    settings: Settings, path: Path, ledger: str, account: str, how: Reader, terms: MatchingTerms
) -> StatementReport:
    """Import a file and propose matches. Raises Invalid, NotFound, TooLarge, Unavailable."""
    account_id = parameters.account(account)
    upload = Upload(_contents(path, settings), how, terms, f"{getpass.getuser()} by command line")
    schema = schemas.load(settings.schema_file)

    async def work(connection: Connection) -> StatementReport:
        done = await importer.import_file(connection, ledger, account_id, upload, schema)
        return await _report(connection, settings, ledger, done.statement_id)

    return await _connected(settings, work)


async def show(settings: Settings, ledger: str, statement_id: str) -> StatementReport:
    """Return a statement. Raises NotFound, Unavailable."""
    try:
        identity = UUID(statement_id)
    except ValueError as error:
        raise NotFound("statement_not_found", f"There is no statement {statement_id}.") from error
    return await _connected(
        settings, lambda connection: _report(connection, settings, ledger, identity)
    )


def reader(form: str, columns: Sequence[str]) -> Reader:
    """Return how to read a file of a format, with `columns` as NAME=VALUE. Raises Invalid."""
    if form not in list(Format):
        raise Invalid("format_invalid", f"--format must be one of {', '.join(Format)}.")
    return reading.reader(Format(form), _named_values("--map", columns))


def terms(texts: Sequence[str]) -> MatchingTerms:
    """Return the terms to match on, given as NAME=VALUE. Raises Invalid."""
    named = _named_values("--term", texts)
    known = [field.name for field in msgspec.structs.fields(MatchingTerms)]
    if unknown := named.keys() - set(known):
        detail = f"--term has no {min(unknown)!r}, but {', '.join(known)}."
        raise Invalid("parameter_unknown", detail)
    return parameters.terms(named.items())


def as_text(report: StatementReport) -> str:
    """Return a statement as lines of text."""
    statement = report.statement
    counted = msgspec.structs.asdict(statement.lines)
    lines = [
        (f"statement {statement.statement_id} of {statement.account_id} in {statement.currency}"),
        f"from {statement.starts_on} to {statement.ends_on}",
        *(
            f"{name:<10} {counted[name].count:>8} lines  in {_plain(counted[name].incoming)}"
            f"  out {_plain(counted[name].outgoing)}"
            for name in ("accepted", "proposed", "unmatched")
        ),
        *(f"{finding.kind}: {finding.explanation}" for finding in report.differences),
    ]
    left = sum(statement.discrepancies.values()) - len(report.differences)
    if left:
        lines.append(f"… and {left:,} more")
    return "\n".join([*lines, "clean" if report.clean else "discrepancies"])


def _named_values(option: str, texts: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise Invalid("option_invalid", f"{option} takes NAME=VALUE, and not {text!r}.")
        if name in named:
            raise Invalid("parameter_repeated", f"{option} {name}=… is given twice.")
        named[name] = value
    return named


def _contents(path: Path, settings: Settings) -> bytes:
    if path.stat().st_size > settings.statement_bytes_max:
        detail = f"{path} has more than {settings.statement_bytes_max} bytes."
        raise TooLarge("body_too_large", detail)
    return path.read_bytes()


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
    of = StatementOfAccount(row, account, decimals)
    totals = await findings.totals(connection, of)
    differing, _ = await findings.page(connection, of, DifferencePlace(), SHOWN_MAX)
    return StatementReport(
        answers.summary(of, totals), differing, not any(totals.discrepancies.values())
    )


def _plain(amount: msgspec.Raw) -> str:
    return bytes(amount).decode()
