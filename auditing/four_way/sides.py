"""One ledger seen from four sides: the log, the read models, what was published, and statements.

    log, replayed by the auditor ──┬── read models: balances and entries, at the same position
                                   ├── published: how far the relay is
                                   └── bank statements: matched or not, closing balances

Most of the log is replayed before the snapshot in which the sides are compared, by the same walk as
in a reconciliation. Memory is bounded by the ledger's replayed state. The view counts the accounts
that differ, and shows those that differ most. `daybook reconcile` names the rows.
"""

import heapq
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from auditing.difference_walker import DifferenceWalker
from auditing.differences import Difference, Gap, Scope
from auditing.expected_rows import ExpectedAccount, ExpectedEntry
from auditing.pages import Progress
from auditing.view_catalog import COUNTERS, counters
from bank_statements import store, summary
from bank_statements.store import MirrorAccount
from bank_statements.summary import Lines, Sums
from events import checkpoints, log
from events.types import Side as Normal
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("auditing")
PAGE_ACCOUNTS_MAX = 1_000
# All accounts that differ or have statements are counted; the worst of them are listed.
ACCOUNTS_MAX = 100
POSTED = "posted"

Period = tuple[date, date]


class EntrySums(msgspec.Struct):
    """How many entries were posted, and their sums in minor units."""

    count: int = 0
    debits: int = 0
    credits: int = 0

    def add(self, side: str, count: int, amount: int) -> None:
        """Add entries of one side."""
        self.count += count
        if side == "debit":
            self.debits += amount
        else:
            self.credits += amount


class AccountSums(msgspec.Struct):
    """An account on one side: its four counters, and the sums of its posted entries."""

    currency: str
    counters: dict[str, int]
    entries: EntrySums


class StatementSide(msgspec.Struct, frozen=True):
    """An account's statements: what is matched, and how the last one closed.

    `ledger_closing` is the balance that the log has at the end of that day (UTC, by the effective
    times of entries). Both balances are signed as money in the account. `days` are the periods
    (first, last) that statements cover, without overlap. `entries` sums up the entries of these
    days that are in no match.
    """

    lines: Lines
    entries: Sums
    days: list[Period]
    closing: int | None
    ledger_closing: int

    @property
    def starts_on(self) -> date:
        """Return the first covered day."""
        return self.days[0][0]

    @property
    def ends_on(self) -> date:
        """Return the last covered day."""
        return self.days[-1][1]

    @property
    def uncovered(self) -> int:
        """Return how many days in between no statement covers."""
        covered = sum((last - first).days + 1 for first, last in self.days)
        return (self.ends_on - self.starts_on).days + 1 - covered

    @property
    def agrees(self) -> bool:
        """Return whether nothing is left to match or to review, and the last balances are equal."""
        left = self.lines.unmatched.count + self.lines.proposed.count + self.entries.count
        return not left and self.closing in (None, self.ledger_closing)

    @property
    def off(self) -> int:
        """Return by how much the last balances differ, in minor units."""
        return 0 if self.closing is None else abs(self.closing - self.ledger_closing)


class ComparedAccount(msgspec.Struct, frozen=True):
    """An account on all sides; None is a side that does not have it."""

    account_id: str
    log: AccountSums | None
    read_models: AccountSums | None
    external: StatementSide | None

    @property
    def projected(self) -> bool:
        """Return whether the read models show what the log says."""
        return self.log == self.read_models

    @property
    def order(self) -> tuple[int, int, str]:
        """Return the sort key: wrong views first, then statements; the largest difference first.

        Minor units of different currencies are compared as they are: it is an order, not a sum.
        """
        if not self.projected:
            sums = zip(_sums(self.log), _sums(self.read_models), strict=True)
            return 0, -max(abs(one - other) for one, other in sums), self.account_id
        assert self.external is not None, "the account has nothing to say"
        return 2 if self.external.agrees else 1, -self.external.off, self.account_id


class Published(msgspec.Struct, frozen=True):
    """The relay's position; `waiting` events of the ledger, from `since`, are not published."""

    position: int
    waiting: int
    since: datetime | None
    late: bool


class Comparison(msgspec.Struct, frozen=True):
    """A ledger as of `position`, in the log and in the read models; the log ends at `head`.

    `missing` is the first position that the log lacks. Totals are by currency. The read models of
    `differing` accounts are not as the log says. `stated` accounts have statements, and `unsettled`
    of these do not agree. `accounts` are the worst, and `left_out` counts the others.
    """

    ledger: str
    position: int
    head: int
    at: datetime
    missing: int | None
    account_count: int
    differing: int
    stated: int
    unsettled: int
    log: dict[str, EntrySums]
    read_models: dict[str, EntrySums]
    published: Published
    accounts: list[ComparedAccount]
    left_out: int


class _LogSide:
    """The log of a ledger so far, and the balances of accounts at the end of their statements."""

    def __init__(self, ledger: str, statements: Mapping[str, Row]) -> None:
        self.ledger = ledger
        self.walker = DifferenceWalker(Scope(ledger=ledger), as_text=False)
        self.missing: int | None = None
        self.entries: dict[str, EntrySums] = {}
        self.closings = dict.fromkeys(statements, 0)
        self._ends = {
            account_id: store.bounds(row["ends_on"], row["ends_on"])[1]
            for account_id, row in statements.items()
        }

    async def fold(self, connection: Executor, until: int, progress: Progress) -> None:
        """Replay the log from where this stands, up to `until`."""
        walker = self.walker
        async for page in log.pages(connection, walker.position, until):
            made, gaps = walker.fold(page)
            self._note(gaps)
            for entry in made.entries:
                self._add(entry)
            del made  # Its rows are freed before the next page is folded.
            progress(walker.position, until)
        self._note(walker.end_log(until))

    def _note(self, gaps: Sequence[Difference]) -> None:
        for gap in gaps:
            if self.missing is None and isinstance(gap, Gap):
                self.missing = gap.after + 1

    def _add(self, entry: ExpectedEntry) -> None:
        if entry.kind != POSTED:
            return
        self.entries.setdefault(entry.account_id, EntrySums()).add(entry.side, 1, entry.amount)
        end = self._ends.get(entry.account_id)
        if end is not None and (entry.effective_at or entry.recorded_at) < end:
            amount = entry.amount if entry.side == "debit" else -entry.amount
            self.closings[entry.account_id] += amount

    def sums(self, account_id: str) -> AccountSums | None:
        """Return an account as the log has it."""
        account = self.account(account_id)
        if account is None:
            return None
        entries = self.entries.get(account_id, EntrySums())
        return AccountSums(account.currency, counters(account), entries)

    def account(self, account_id: str) -> ExpectedAccount | None:
        """Return what the log says of an account."""
        return self.walker.state.accounts.get((self.ledger, account_id))


async def compare(
    connection: Executor, ledger: str, lag_s_max: float, progress: Progress
) -> Comparison:
    """Compare the four sides of a ledger in one snapshot. The role is the auditor's."""
    # All statements are read at once; what is imported during the replay is for the next view.
    statements, covered = await _statements(connection, ledger)
    log_side = _LogSide(ledger, statements)
    while (until := await log_side.walker.stretch(connection)) is not None:
        await log_side.fold(connection, until, progress)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        head = (await log.head(connection)).position
        await log_side.fold(connection, checkpoint, progress)
        read_models = await _read_models(connection, ledger)
        external = await _external(connection, log_side, statements, covered)
        published = await _published(connection, ledger, head, lag_s_max)
    accounts = _accounts(log_side, read_models, external)
    listed = [each for each in accounts if each.external is not None or not each.projected]
    worst = heapq.nsmallest(ACCOUNTS_MAX, listed, key=lambda each: each.order)
    return Comparison(
        ledger=ledger,
        position=checkpoint,
        head=head,
        at=datetime.now(UTC),
        missing=log_side.missing,
        account_count=len(accounts),
        differing=sum(not each.projected for each in listed),
        stated=len(external),
        unsettled=sum(not each.agrees for each in external.values()),
        log=_totals([each.log for each in accounts]),
        read_models=_totals([each.read_models for each in accounts]),
        published=published,
        accounts=worst,
        left_out=len(listed) - len(worst),
    )


def _accounts(
    log_side: _LogSide,
    read_models: Mapping[str, AccountSums],
    external: Mapping[str, StatementSide],
) -> list[ComparedAccount]:
    """Return every account of the log, the read models or the statements."""
    of_log = {account_id for _, account_id in log_side.walker.state.accounts}
    return [
        ComparedAccount(
            account_id,
            log_side.sums(account_id),
            read_models.get(account_id),
            external.get(account_id),
        )
        for account_id in sorted(of_log | read_models.keys() | external.keys())
    ]


def _sums(side: AccountSums | None) -> list[int]:
    """Return an account's sums on one side; zeros if that side does not have it."""
    if side is None:
        return [0] * (len(COUNTERS) + 2)
    return [*side.counters.values(), side.entries.debits, side.entries.credits]


def _totals(sides: Sequence[AccountSums | None]) -> dict[str, EntrySums]:
    totals: dict[str, EntrySums] = {}
    for side in sides:
        if side is not None:
            sums = totals.setdefault(side.currency, EntrySums())
            sums.count += side.entries.count
            sums.debits += side.entries.debits
            sums.credits += side.entries.credits
    return totals


async def _statements(
    connection: Executor, ledger: str
) -> tuple[dict[str, Row], dict[str, list[Period]]]:
    """Return each account's last statement, and the days that its statements cover."""
    days: dict[str, list[Period]] = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        last = await connection.fetch(SQL["last_statements"], ledger)
        for row in await connection.fetch(SQL["covered_days"], ledger):
            days.setdefault(row["account_id"], []).append((row["starts_on"], row["ends_on"]))
    return {row["account_id"]: row for row in last}, days


async def _read_models(connection: Executor, ledger: str) -> dict[str, AccountSums]:
    """Return each account's balance row beside the sums of its entries."""
    shown: dict[str, AccountSums] = {}
    after: str | None = ""
    while after is not None:
        rows = await connection.fetch(SQL["balances_of_ledger"], ledger, after, PAGE_ACCOUNTS_MAX)
        for row in rows:
            own = {name: row[name] for name in COUNTERS}
            shown[row["account_id"]] = AccountSums(row["currency"] or "", own, EntrySums())
        # After the last page there may still be entries of accounts whose balance is missing.
        last = rows[-1]["account_id"] if len(rows) == PAGE_ACCOUNTS_MAX else None
        for row in await connection.fetch(SQL["entries_of_accounts_summed"], ledger, after, last):
            none = AccountSums(row["currency"], dict.fromkeys(COUNTERS, 0), EntrySums())
            side = shown.setdefault(row["account_id"], none)
            side.entries.add(row["side"], row["movements"], row["amount"])
        after = last
    return shown


async def _external(
    connection: Executor,
    log_side: _LogSide,
    statements: Mapping[str, Row],
    covered: Mapping[str, list[Period]],
) -> dict[str, StatementSide]:
    found = {}
    lines = await summary.of_ledger(connection, log_side.ledger)
    for account_id, row in statements.items():
        # If the log lacks the account, there is no balance to be signed.
        account = log_side.account(account_id) or ExpectedAccount(row["currency"])
        of = MirrorAccount(
            log_side.ledger, account_id, account.currency, Normal(account.normal_side)
        )
        days = covered[account_id]
        net = log_side.closings[account_id]
        found[account_id] = StatementSide(
            lines=lines.get(account_id, Lines(row["currency"])),
            entries=await summary.unmatched_entries(connection, of, days),
            days=days,
            closing=row["closing"],
            ledger_closing=net if account.normal_side == "debit" else -net,
        )
    return found


async def _published(connection: Executor, ledger: str, head: int, lag_s_max: float) -> Published:
    """Count the events of the ledger that the relay has not published yet."""
    position = await checkpoints.read(connection, checkpoints.RELAY)
    waiting, since = 0, None
    async for page in log.pages(connection, position, head):
        mine = [recorded.event for recorded in page if recorded.event.ledger == ledger]
        waiting += len(mine)
        if mine and since is None:
            since = mine[0].recorded_at
    late = since is not None and since < datetime.now(UTC) - timedelta(seconds=lag_s_max)
    return Published(position, waiting, since, late or position > head)
