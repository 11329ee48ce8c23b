"""One ledger seen from four sides: the log, the read models, what was published, and statements.

    log, folded by the auditor ──┬── read models: balances and entries, at the same position
                                 ├── published: how far the relay is
                                 └── statements of others: matched or not, closing balances

Most of the log is folded before the snapshot in which the sides are compared, as a reconciliation
does it. Memory is bounded by the auditor's books of the ledger. It says how many accounts differ,
and which are off the most; `daybook reconcile` names the rows.
"""

import heapq
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from auditing.expected_rows import Line, Tally
from auditing.reconcile.reconcile import Progress
from auditing.replay import Books
from auditing.view_catalog import COUNTERS
from bank_statements import store, summary
from bank_statements.store import Account
from bank_statements.summary import Lines, Sums
from events import checkpoints, log
from events.types import Side as Normal
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("auditing")
PAGE_ACCOUNTS_MAX = 1_000
# Of those that have something to say, the worst are listed, and all are counted.
ACCOUNTS_MAX = 100
POSTED = "posted"

Period = tuple[date, date]


class Entries(msgspec.Struct):
    """What was posted: how many entries, and their sums in minor units."""

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


class Side(msgspec.Struct):
    """An account on one side: its four counters, and the entries that make what is posted."""

    currency: str
    counters: dict[str, int]
    entries: Entries


class External(msgspec.Struct, frozen=True):
    """An account's statements: what is matched, and how the last one closed.

    `ledger_closing` is what the log says of the end of that day (UTC, by when entries took effect);
    both are signed as money in the account. `days` are the periods (first, last) that statements
    cover, without overlap; `entries` are those of these days that are in no match.
    """

    lines: Lines
    entries: Sums
    days: list[Period]
    closing: int | None
    ledger_closing: int

    @property
    def starts_on(self) -> date:
        """Return the first day that is covered."""
        return self.days[0][0]

    @property
    def ends_on(self) -> date:
        """Return the last one."""
        return self.days[-1][1]

    @property
    def uncovered(self) -> int:
        """Return how many days in between no statement covers: what happened then is not stated."""
        covered = sum((last - first).days + 1 for first, last in self.days)
        return (self.ends_on - self.starts_on).days + 1 - covered

    @property
    def agrees(self) -> bool:
        """Return whether nothing is left to match or to decide, and the last balance is ours."""
        left = self.lines.unmatched.count + self.lines.proposed.count + self.entries.count
        return not left and self.closing in (None, self.ledger_closing)

    @property
    def off(self) -> int:
        """Return by how much the last balances differ, in minor units."""
        return 0 if self.closing is None else abs(self.closing - self.ledger_closing)


class OfAccount(msgspec.Struct, frozen=True):
    """An account that has statements, or that differs."""

    account_id: str
    log: Side | None
    read_models: Side | None
    external: External | None

    @property
    def projected(self) -> bool:
        """Return whether the read models show what the log says."""
        return self.log == self.read_models

    @property
    def order(self) -> tuple[int, int, str]:
        """Return the place in the list: wrong views first, then statements; the most off first.

        Minor units of different currencies are compared as they are: it is an order, not a sum.
        """
        if not self.projected:
            sums = zip(_sums(self.log), _sums(self.read_models), strict=True)
            return 0, -max(abs(one - other) for one, other in sums), self.account_id
        assert self.external is not None, "the account has nothing to say"
        return 2 if self.external.agrees else 1, -self.external.off, self.account_id


class Published(msgspec.Struct, frozen=True):
    """How far the relay is; `waiting` events of the ledger are not published, `since` then."""

    position: int
    waiting: int
    since: datetime | None
    late: bool


class FourWay(msgspec.Struct, frozen=True):
    """A ledger at `position`, which the log and the read models are both at; `head` ends the log.

    `missing` is the first position that the log has not. Totals are by currency. `differing` of all
    accounts are not shown as the log has them; `stated` have statements, of which `unsettled` do
    not agree. `accounts` are the worst of them, `left_out` the others.
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
    log: dict[str, Entries]
    read_models: dict[str, Entries]
    published: Published
    accounts: list[OfAccount]
    left_out: int


class _Folded:
    """The log of a ledger so far, and what the accounts with statements had on a day's end."""

    def __init__(self, ledger: str, statements: Mapping[str, Row]) -> None:
        self.ledger = ledger
        self.books = Books()
        self.position = 0
        self.missing: int | None = None
        self.entries: dict[str, Entries] = {}
        self.closings = dict.fromkeys(statements, 0)
        self._ends = {
            account_id: store.bounds(row["ends_on"], row["ends_on"])[1]
            for account_id, row in statements.items()
        }

    async def to(self, connection: Executor, until: int, progress: Progress, target: int) -> None:
        """Fold on, up to `until`."""
        async for page in log.pages(connection, self.position, until):
            for recorded in page:
                if recorded.position != self.position + 1 and self.missing is None:
                    self.missing = self.position + 1
                self.position = recorded.position
                if recorded.event.ledger == self.ledger:
                    for line in self.books.take(recorded)[0]:
                        self._add(line)
            progress(self.position, target)
        if self.position < until:
            self.missing = self.missing or self.position + 1
            self.position = until

    def _add(self, line: Line) -> None:
        if line.kind != POSTED:
            return
        self.entries.setdefault(line.account_id, Entries()).add(line.side, 1, line.amount)
        end = self._ends.get(line.account_id)
        if end is not None and (line.effective_at or line.recorded_at) < end:
            amount = line.amount if line.side == "debit" else -line.amount
            self.closings[line.account_id] += amount

    def side(self, account_id: str) -> Side | None:
        """Return an account as the log has it."""
        tally = self.tally(account_id)
        if tally is None:
            return None
        entries = self.entries.get(account_id, Entries())
        return Side(tally.currency, {name: getattr(tally, name) for name in COUNTERS}, entries)

    def tally(self, account_id: str) -> Tally | None:
        """Return what the auditor knows of an account."""
        return self.books.accounts.get((self.ledger, account_id))


async def view(connection: Executor, ledger: str, lag_s_max: float, progress: Progress) -> FourWay:
    """Compare the four sides of a ledger, as of one snapshot. The role is the auditor's."""
    # Of one moment: what is imported while the log is folded is for the next view.
    statements, covered = await _statements(connection, ledger)
    folded = _Folded(ledger, statements)
    while True:
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        if checkpoint - folded.position <= log.PAGE_EVENTS_MAX:
            break
        await folded.to(connection, checkpoint, progress, checkpoint)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        head = (await log.head(connection)).position
        await folded.to(connection, checkpoint, progress, checkpoint)
        shown = await _read_models(connection, ledger)
        external = await _external(connection, folded, statements, covered)
        published = await _published(connection, ledger, head, lag_s_max)
    sides = _sides(folded, shown, external)
    telling = [each for each in sides if each.external is not None or not each.projected]
    worst = heapq.nsmallest(ACCOUNTS_MAX, telling, key=lambda each: each.order)
    return FourWay(
        ledger=ledger,
        position=checkpoint,
        head=head,
        at=datetime.now(UTC),
        missing=folded.missing,
        account_count=len(sides),
        differing=sum(not each.projected for each in telling),
        stated=len(external),
        unsettled=sum(not each.agrees for each in external.values()),
        log=_totals([each.log for each in sides]),
        read_models=_totals([each.read_models for each in sides]),
        published=published,
        accounts=worst,
        left_out=len(telling) - len(worst),
    )


def _sides(
    folded: _Folded, shown: Mapping[str, Side], external: Mapping[str, External]
) -> list[OfAccount]:
    """Return every account of the log or the read models, with what each side has of it."""
    of_log = {account_id for _, account_id in folded.books.accounts}
    return [
        OfAccount(
            account_id, folded.side(account_id), shown.get(account_id), external.get(account_id)
        )
        for account_id in sorted(of_log | shown.keys() | external.keys())
    ]


def _sums(side: Side | None) -> list[int]:
    """Return an account's sums on one side; zeros if that side has no such account."""
    if side is None:
        return [0] * (len(COUNTERS) + 2)
    return [*side.counters.values(), side.entries.debits, side.entries.credits]


def _totals(sides: Sequence[Side | None]) -> dict[str, Entries]:
    totals: dict[str, Entries] = {}
    for side in sides:
        if side is not None:
            sums = totals.setdefault(side.currency, Entries())
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


async def _read_models(connection: Executor, ledger: str) -> dict[str, Side]:
    """Return each account's balance row beside the sums of its entries."""
    shown: dict[str, Side] = {}
    after: str | None = ""
    while after is not None:
        rows = await connection.fetch(SQL["balances_of_ledger"], ledger, after, PAGE_ACCOUNTS_MAX)
        for row in rows:
            own = {name: row[name] for name in COUNTERS}
            shown[row["account_id"]] = Side(row["currency"] or "", own, Entries())
        # After the last page there may still be entries of accounts whose balance is missing.
        last = rows[-1]["account_id"] if len(rows) == PAGE_ACCOUNTS_MAX else None
        for row in await connection.fetch(SQL["entries_of_accounts_summed"], ledger, after, last):
            none = Side(row["currency"], dict.fromkeys(COUNTERS, 0), Entries())
            side = shown.setdefault(row["account_id"], none)
            side.entries.add(row["side"], row["movements"], row["amount"])
        after = last
    return shown


async def _external(
    connection: Executor,
    folded: _Folded,
    statements: Mapping[str, Row],
    covered: Mapping[str, list[Period]],
) -> dict[str, External]:
    found = {}
    lines = await summary.of_ledger(connection, folded.ledger)
    for account_id, row in statements.items():
        # Of a log that has lost the account, nothing of it is left to be signed.
        tally = folded.tally(account_id) or Tally(row["currency"])
        of = Account(folded.ledger, account_id, tally.currency, Normal(tally.normal_side))
        days = covered[account_id]
        net = folded.closings[account_id]
        found[account_id] = External(
            lines=lines.get(account_id, Lines(row["currency"])),
            entries=await summary.unmatched_entries(connection, of, days),
            days=days,
            closing=row["closing"],
            ledger_closing=net if tally.normal_side == "debit" else -net,
        )
    return found


async def _published(connection: Executor, ledger: str, head: int, lag_s_max: float) -> Published:
    """Count what the relay has still to publish of the ledger."""
    position = await checkpoints.read(connection, checkpoints.RELAY)
    waiting, since = 0, None
    async for page in log.pages(connection, position, head):
        mine = [recorded.event for recorded in page if recorded.event.ledger == ledger]
        waiting += len(mine)
        if mine and since is None:
            since = mine[0].recorded_at
    late = since is not None and since < datetime.now(UTC) - timedelta(seconds=lag_s_max)
    return Published(position, waiting, since, late or position > head)
