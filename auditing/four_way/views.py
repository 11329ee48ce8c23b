"""The four-way view as it is shown: a verdict for each side, and the worst accounts. Pure.

Amounts go out in units and in minor units.
"""

from datetime import datetime
from typing import Any

import msgspec

from auditing.four_way.sides import (
    AccountSums,
    ComparedAccount,
    EntrySums,
    FourWayReport,
    StatementSide,
)
from auditing.reconcile.job_views import progress
from bank_statements.summary import Sums
from bank_statements.views import amount
from events.schema import Schema
from runtime.sql import Row

Shown = dict[str, Any]
LINE_STATES = ("accepted", "proposed", "unmatched")
# So many accounts are named in a sentence.
NAMED_MAX = 5


def asked(row: Row, now: datetime) -> Shown:
    """Return how the view that was asked for stands, with the last report that there is."""
    return {
        "status": row["status"].upper(),
        "progress": progress(row, now),
        "failure": row["failure"],
        "askedAt": row["asked_at"],
        "startedAt": row["started_at"],
        "updatedAt": row["updated_at"],
        "finishedAt": row["finished_at"],
        "report": None if row["report"] is None else msgspec.Raw(row["report"].encode()),
    }


def shown(found: FourWayReport, schema: Schema) -> Shown:
    """Return a report with its verdicts. Raises Invalid for a currency that the schema lacks."""
    verdicts = {
        "log": _of_log(found),
        "read_models": _of_read_models(found),
        "published": _of_published(found),
        "external": _of_external(found),
    }
    return {
        "ledger": found.ledger,
        "status": "CLEAN" if all(fine for fine, _ in verdicts.values()) else "DISCREPANCIES",
        "position": found.position,
        "head": found.head,
        "timestamp": found.at,
        "verdicts": {
            side: {"agrees": fine, "explanation": said} for side, (fine, said) in verdicts.items()
        },
        "log": _totals(found.log, schema),
        "read_models": _totals(found.read_models, schema),
        "published": {
            "position": found.published.position,
            "waiting": found.published.waiting,
            "since": found.published.since,
        },
        "accountCount": found.account_count,
        "differingCount": found.differing,
        "statedCount": found.stated,
        "unsettledCount": found.unsettled,
        "accounts": [_account(account, schema) for account in found.accounts],
        "leftOut": found.left_out,
    }


def _of_log(found: FourWayReport) -> tuple[bool, str]:
    if found.missing is not None:
        return False, f"The log has no event at position {found.missing}: restore it."
    uneven = [currency for currency, sums in found.log.items() if sums.debits != sums.credits]
    if uneven:
        return False, f"Debits and credits of the log differ in {', '.join(uneven)}."
    return True, "No position is missing, and debits equal credits in every currency."


def _of_read_models(found: FourWayReport) -> tuple[bool, str]:
    if not found.differing:
        return True, f"All {found.account_count:,} accounts show what the log says."
    return False, (
        f"{found.differing:,} of {found.account_count:,} accounts do not show what the log says; "
        "a reconciliation of the ledger names each row."
    )


def _of_published(found: FourWayReport) -> tuple[bool, str]:
    published = found.published
    if published.position > found.head:
        return False, (
            f"Events up to position {published.position} were published; the log ends at "
            f"{found.head}."
        )
    if not published.waiting:
        return True, "Every event of the ledger is published."
    return not published.late, (
        f"{published.waiting:,} events are not published yet, the first was recorded at "
        f"{published.since}."
    )


def _of_external(found: FourWayReport) -> tuple[bool, str]:
    if not found.stated:
        return True, "No statement was imported."
    if not found.unsettled:
        return True, f"The statements of {found.stated:,} accounts agree with the ledger."
    named = [
        f"{each.account_id} ({_left(each.external)})"
        for each in found.accounts
        if each.external is not None and not each.external.agrees
    ][:NAMED_MAX]
    if others := found.unsettled - len(named):
        named.append(f"{others:,} accounts more" if named else f"{others:,} accounts")
    return False, f"Statements do not agree yet: {'; '.join(named)}."


def _left(external: StatementSide) -> str:
    """Return what keeps an account's statements from agreeing, in words."""
    counts = (
        (external.lines.unmatched.count, "lines that the ledger does not have"),
        (external.entries.count, "entries that no statement has"),
        (external.lines.proposed.count, "lines whose match waits for a person"),
    )
    said = [f"{what}: {count:,}" for count, what in counts if count]
    if external.closing not in (None, external.ledger_closing):
        said.append(f"the balance on {external.ends_on} is another")
    return ", ".join(said)


def _account(account: ComparedAccount, schema: Schema) -> Shown:
    external = account.external
    return {
        "account_id": account.account_id,
        "agrees": account.projected,
        "log": _side(account.log, schema),
        "read_models": _side(account.read_models, schema),
        "external": None if external is None else _external(external, schema),
    }


def _side(side: AccountSums | None, schema: Schema) -> Shown | None:
    """Return an account on one side; None if that side has no such account."""
    if side is None:
        return None
    decimals = _decimals(side.currency, schema)
    told: Shown = {"currency": side.currency}
    for name, minor in side.counters.items():
        told |= amount(name, minor, decimals)
    return told | {"entries": _entries(side.entries, decimals)}


def _external(external: StatementSide, schema: Schema) -> Shown:
    decimals = schema.decimals(external.lines.currency)
    return {
        "currency": external.lines.currency,
        "agrees": external.agrees,
        "starts_on": external.starts_on,
        "ends_on": external.ends_on,
        "days_not_covered": external.uncovered,
        **amount("closing_balance", external.closing, decimals),
        **amount("ledger_balance", external.ledger_closing, decimals),
        "lines": {state: _sums(getattr(external.lines, state), decimals) for state in LINE_STATES},
        "unmatched_entries": _sums(external.entries, decimals),
    }


def _sums(sums: Sums, decimals: int) -> Shown:
    return {
        "count": sums.count,
        **amount("incoming", sums.incoming, decimals),
        **amount("outgoing", sums.outgoing, decimals),
    }


def _entries(entries: EntrySums, decimals: int) -> Shown:
    return {
        "count": entries.count,
        **amount("debits", entries.debits, decimals),
        **amount("credits", entries.credits, decimals),
    }


def _totals(totals: dict[str, EntrySums], schema: Schema) -> Shown:
    return {
        currency: _entries(sums, _decimals(currency, schema))
        for currency, sums in sorted(totals.items())
    }


def _decimals(currency: str, schema: Schema) -> int:
    """Return a currency's decimals; of a row that has lost its currency, minor units are shown."""
    return schema.decimals(currency) if currency else 0
