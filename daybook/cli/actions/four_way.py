"""`daybook four-way`: log, read models, queue and bank statements of a ledger, compared."""

from typing import Any

from auditing.four_way import answers, sides
from auditing.four_way.answers import AccountSide, FourWayReport, StatedAccount
from auditing.roles import AUDITOR
from daybook.cli.actions.progress import progress
from daybook.settings import Settings
from events import schema as schemas
from runtime import database
from runtime.problems import NotFound


async def report(settings: Settings, ledger: str) -> FourWayReport:
    """Return the four-way report of a ledger. Raises NotFound, Invalid, Unavailable."""
    schema = schemas.load(settings.schema_file)
    connection = await database.connect(settings.database_url, AUDITOR)
    try:
        with progress("folding") as bar:
            found = await sides.compare(connection, ledger, settings.lag_s_max, bar)
    except database.CONNECTION_ERRORS as error:
        raise database.unavailable(error) from error
    finally:
        connection.terminate()
    if not found.account_count:
        raise NotFound("ledger_not_found", f"The log has no ledger {ledger!r}.")
    return answers.report(found, schema)


def as_text(report: FourWayReport) -> str:
    """Return a report as text: the totals, the accounts that differ most, the verdicts."""
    lines = [
        (
            f"ledger {report.ledger} at position {report.position:,} of {report.head:,}, "
            f"{report.accountCount:,} accounts"
        ),
        *_table(report),
    ]
    for account in report.accounts:
        lines.append(f"{account.account_id}:")
        lines += [
            f"  {name:<12} {_counters(side)}"
            for name, side in (("log", account.log), ("read_models", account.read_models))
            if not account.agrees
        ]
        if account.external is not None:
            lines += _statements(account.external)
    if report.leftOut:
        lines.append(f"… and {report.leftOut:,} more accounts, which differ by less")
    lines += [
        f"{'ok ' if verdict.agrees else '!! '}{side:<12} {verdict.explanation}"
        for side, verdict in report.verdicts.by_side.items()
    ]
    return "\n".join([*lines, "clean" if report.status == "CLEAN" else "discrepancies"])


def _table(report: FourWayReport) -> list[str]:
    return [
        f"{side:<12} {currency or '?':<4} {sums.count:>12,} entries  "
        f"debits {_plain(sums.debits)}  credits {_plain(sums.credits)}"
        for side, totals in (("log", report.log), ("read_models", report.read_models))
        for currency, sums in totals.items()
    ]


def _counters(side: AccountSide | None) -> str:
    if side is None:
        return "no such account"
    return (
        f"{side.entries.count:,} entries, posted {_plain(side.debits_posted)} / "
        f"{_plain(side.credits_posted)}, pending {_plain(side.debits_pending)} / "
        f"{_plain(side.credits_pending)} (debits / credits)"
    )


def _statements(external: StatedAccount) -> list[str]:
    lines = external.lines
    sums = {
        "accepted": lines.accepted,
        "proposed": lines.proposed,
        "unmatched": lines.unmatched,
        "not stated": external.unmatched_entries,
    }
    closing = external.closing_balance
    return [
        (
            f"  statements   {external.starts_on} to {external.ends_on}{_gap(external)} in "
            f"{external.currency}, closing {'unknown' if closing is None else _plain(closing)}, "
            f"ledger {_plain(external.ledger_balance)}"
        ),
        *(
            f"  {name:<12} {each.count:>6,}  in {_plain(each.incoming)}"
            f"  out {_plain(each.outgoing)}"
            for name, each in sums.items()
        ),
    ]


def _gap(external: StatedAccount) -> str:
    days = external.days_not_covered
    return f" but for {days:,} days" if days else ""


def _plain(raw: Any) -> str:  # noqa: ANN401 - an exact JSON number
    return bytes(raw).decode()
