"""What the four-way view is answered with: a verdict for each side, and the worst accounts. Pure.

Attribute names are the API's own spelling.
"""

# ruff: noqa: N815

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal, cast

from msgspec import Struct

from auditing.four_way import sides
from auditing.four_way.sides import ComparedAccount, Comparison, StatementSide
from auditing.reconcile.answers import (
    PostedAndPending,
    Progress,
    Status,
    as_stored,
    progress,
)
from bank_statements.answers import Tally, tally
from events import money
from events.answers import Position
from events.money import Minor, Units
from events.schema import Schema
from runtime.sql import Row

# A sentence names at most so many accounts.
NAMED_MAX = 5


class SideTotal(Struct, kw_only=True):
    """The number of posted entries, and their sums."""

    count: int
    debits: Units
    debits_minor: Minor
    credits: Units
    credits_minor: Minor


class AccountSide(PostedAndPending, kw_only=True):
    """An account on one side: its counters, and the sums of its posted entries."""

    currency: str
    entries: SideTotal


class StatedLines(Struct):
    """Lines of an account's statements, by what became of them."""

    accepted: Tally
    proposed: Tally
    unmatched: Tally


class StatedAccount(Struct, kw_only=True):
    """An account's statements. Both balances are as of the end of the last statement.

    `unmatched_entries` are entries of the ledger on days that a statement covers.
    `days_not_covered` are between the first and the last statement.
    """

    currency: str
    agrees: bool
    starts_on: date
    ends_on: date
    days_not_covered: int
    closing_balance: Units | None
    closing_balance_minor: Minor | None
    ledger_balance: Units
    ledger_balance_minor: Minor
    lines: StatedLines
    unmatched_entries: Tally


class FourWayAccount(Struct):
    """An account that differs between the log and the read models, or that has statements."""

    account_id: str
    agrees: bool
    log: AccountSide | None
    read_models: AccountSide | None
    external: StatedAccount | None


class Verdict(Struct):
    """Whether a side agrees, and a sentence that says why."""

    agrees: bool
    explanation: str


class Verdicts(Struct):
    """The verdict on each side."""

    log: Verdict
    read_models: Verdict
    published: Verdict
    external: Verdict

    @property
    def by_side(self) -> dict[str, Verdict]:
        """Return the verdicts by the names of the sides."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class PublishedSide(Struct):
    """The relay's position, how many events of the ledger wait, and when the first was recorded."""

    position: Position
    waiting: int
    since: datetime | None


class FourWayReport(Struct, kw_only=True):
    """A ledger at `position`, of a log that ends at `head`; totals are by currency.

    The worst 100 accounts are listed. First come those whose read models are not as the log says
    (`differingCount`), then those whose statements do not agree (`unsettledCount`, of
    `statedCount`), then the others with statements. `leftOut` more would follow.
    """

    ledger: str
    status: Literal["CLEAN", "DISCREPANCIES"]
    position: Position
    head: Position
    timestamp: datetime
    verdicts: Verdicts
    log: dict[str, SideTotal]
    read_models: dict[str, SideTotal]
    published: PublishedSide
    accountCount: int
    differingCount: int
    statedCount: int
    unsettledCount: int
    accounts: list[FourWayAccount]
    leftOut: int


class FourWay(Struct, kw_only=True):
    """The ledger's view and its status. `report` is the last one, until there is a newer one."""

    status: Status
    progress: Progress
    failure: str | None
    askedAt: datetime
    startedAt: datetime | None
    updatedAt: datetime
    finishedAt: datetime | None
    report: FourWayReport | None


def four_way(row: Row, now: datetime) -> FourWay:
    """Return a stored view and its status."""
    return FourWay(
        status=cast("Status", row["status"].upper()),
        progress=progress(row, now),
        failure=row["failure"],
        askedAt=row["asked_at"],
        startedAt=row["started_at"],
        updatedAt=row["updated_at"],
        finishedAt=row["finished_at"],
        report=None if row["report"] is None else as_stored(row["report"]),
    )


def report(found: Comparison, schema: Schema) -> FourWayReport:
    """Return a report with its verdicts. Raises Invalid for a currency that the schema lacks."""
    verdicts = Verdicts(
        log=_of_log(found),
        read_models=_of_read_models(found),
        published=_of_published(found),
        external=_of_external(found),
    )
    clean = all(verdict.agrees for verdict in verdicts.by_side.values())
    published = found.published
    return FourWayReport(
        ledger=found.ledger,
        status="CLEAN" if clean else "DISCREPANCIES",
        position=found.position,
        head=found.head,
        timestamp=found.at,
        verdicts=verdicts,
        log=_totals(found.log, schema),
        read_models=_totals(found.read_models, schema),
        published=PublishedSide(published.position, published.waiting, published.since),
        accountCount=found.account_count,
        differingCount=found.differing,
        statedCount=found.stated,
        unsettledCount=found.unsettled,
        accounts=[_account(account, schema) for account in found.accounts],
        leftOut=found.left_out,
    )


def _of_log(found: Comparison) -> Verdict:
    if found.missing is not None:
        return Verdict(
            agrees=False,
            explanation=f"The log has no event at position {found.missing}: restore it.",
        )
    uneven = [currency for currency, sums in found.log.items() if sums.debits != sums.credits]
    if uneven:
        return Verdict(
            agrees=False,
            explanation=f"Debits and credits of the log differ in {', '.join(uneven)}.",
        )
    return Verdict(
        agrees=True,
        explanation="No position is missing, and debits equal credits in every currency.",
    )


def _of_read_models(found: Comparison) -> Verdict:
    if not found.differing:
        return Verdict(
            agrees=True, explanation=f"All {found.account_count:,} accounts show what the log says."
        )
    said = (
        f"{found.differing:,} of {found.account_count:,} accounts do not show what the log says; "
        "a reconciliation of the ledger names each row."
    )
    return Verdict(agrees=False, explanation=said)


def _of_published(found: Comparison) -> Verdict:
    published = found.published
    if published.position > found.head:
        said = (
            f"Events up to position {published.position} were published; the log ends at "
            f"{found.head}."
        )
        return Verdict(agrees=False, explanation=said)
    if not published.waiting:
        return Verdict(agrees=True, explanation="Every event of the ledger is published.")
    said = (
        f"{published.waiting:,} events are not published yet, the first was recorded at "
        f"{published.since}."
    )
    return Verdict(agrees=not published.late, explanation=said)


def _of_external(found: Comparison) -> Verdict:
    if not found.stated:
        return Verdict(agrees=True, explanation="No statement was imported.")
    if not found.unsettled:
        return Verdict(
            agrees=True,
            explanation=f"The statements of {found.stated:,} accounts agree with the ledger.",
        )
    named = [
        f"{each.account_id} ({_left(each.external)})"
        for each in found.accounts
        if each.external is not None and not each.external.agrees
    ][:NAMED_MAX]
    if others := found.unsettled - len(named):
        named.append(f"{others:,} accounts more" if named else f"{others:,} accounts")
    return Verdict(agrees=False, explanation=f"Statements do not agree yet: {'; '.join(named)}.")


def _left(external: StatementSide) -> str:
    """Return in words what keeps an account's statements from agreeing."""
    counts = (
        (external.lines.unmatched.count, "lines that the ledger does not have"),
        (external.entries.count, "entries that no statement has"),
        (external.lines.proposed.count, "lines whose match waits for a person"),
    )
    said = [f"{what}: {count:,}" for count, what in counts if count]
    if external.closing not in (None, external.ledger_closing):
        said.append(f"the balance on {external.ends_on} is another")
    return ", ".join(said)


def _account(account: ComparedAccount, schema: Schema) -> FourWayAccount:
    external = account.external
    return FourWayAccount(
        account.account_id,
        account.projected,
        _side(account.log, schema),
        _side(account.read_models, schema),
        None if external is None else _external(external, schema),
    )


def _side(side: sides.AccountSums | None, schema: Schema) -> AccountSide | None:
    """Return an account on one side; None if that side does not have it."""
    if side is None:
        return None
    decimals = _decimals(side.currency, schema)
    return AccountSide(
        currency=side.currency,
        entries=_entries(side.entries, decimals),
        **money.fields(decimals, **side.counters),
    )


def _external(external: StatementSide, schema: Schema) -> StatedAccount:
    decimals = schema.decimals(external.lines.currency)
    lines = external.lines
    return StatedAccount(
        currency=lines.currency,
        agrees=external.agrees,
        starts_on=external.starts_on,
        ends_on=external.ends_on,
        days_not_covered=external.uncovered,
        lines=StatedLines(
            tally(lines.accepted, decimals),
            tally(lines.proposed, decimals),
            tally(lines.unmatched, decimals),
        ),
        unmatched_entries=tally(external.entries, decimals),
        **money.fields(
            decimals, closing_balance=external.closing, ledger_balance=external.ledger_closing
        ),
    )


def _entries(entries: sides.EntrySums, decimals: int) -> SideTotal:
    sums = money.fields(decimals, debits=entries.debits, credits=entries.credits)
    return SideTotal(count=entries.count, **sums)


def _totals(totals: Mapping[str, sides.EntrySums], schema: Schema) -> dict[str, SideTotal]:
    return {
        currency: _entries(sums, _decimals(currency, schema))
        for currency, sums in sorted(totals.items())
    }


def _decimals(currency: str, schema: Schema) -> int:
    """Return a currency's decimals. A row that has lost its currency is shown in minor units."""
    return schema.decimals(currency) if currency else 0
