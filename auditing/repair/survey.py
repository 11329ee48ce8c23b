"""Find every row that is not as the log says: the auditor's books beside each view, one snapshot.

The same views as a reconciliation's (`auditing/view_catalog.py`), but whole rows instead of
sentences, and what is needed to go on from here once the views are locked. Every event is compared
with what was sealed of it before it is folded (`proof.py`).

    #   read                              compared with
    1   log after 0, to the checkpoint    the journals: page by page
    2                                     the read side's registers
    3   log from there to the head
    4   log that accounts are behind      the command side's registers
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from auditing import unflushed_accounts, view_catalog
from auditing.discrepancies import OF_ENTRIES, differing
from auditing.expected_rows import Line, Mention, Moment, Outcome
from auditing.repair import plan as plans
from auditing.repair.plan import ROWS_MAX, Change, Obstacle, Plan, Wanted
from auditing.repair.proof import Proof
from auditing.replay import Books, mentions, moments
from auditing.view_catalog import ENTRIES, MENTIONS, MOMENTS, TRANSACTIONS, Journal, Register
from events import checkpoints, log
from events.codec import UnreadableEventError
from events.types import (
    AccountChanged,
    AccountOpened,
    BooksClosed,
    Recorded,
    TransferRejected,
    account_stream_id,
    books_stream_id,
    transaction_id,
)
from runtime.database import Executor

REGISTER_ROWS_MAX = 5_000
OBSTACLES_MAX = 100
View = Journal | Register
VIEWS: Mapping[str, View] = {
    view.table: view
    for view in (*view_catalog.JOURNALS, *view_catalog.READ_SIDE, *view_catalog.COMMAND_SIDE)
}
JOURNALS = {view.table for view in view_catalog.JOURNALS}
COMMAND_SIDE = {view.table for view in view_catalog.COMMAND_SIDE}

Progress = Callable[[int, int], None]
Made = Line | Outcome | Mention | Moment


class Survey:
    """What was found, and the books to go on with: of the read side, of the command side."""

    def __init__(self, connection: Executor, wanted: Wanted) -> None:
        self.connection = connection
        self.wanted = wanted
        self.only = None if wanted.account_id is None else (wanted.ledger or "", wanted.account_id)
        self.books = Books(only=self.only)
        self.read_books = Books(only=self.only)
        self.checkpoint = self.head = self.row_count = 0
        self._changes: list[Change] = []
        self._obstacles: list[Obstacle] = []
        self._first_entries: dict[tuple[str, str], int] = {}
        self._ledgers: dict[UUID, str] = {}
        self._half: dict[tuple[Any, ...], Change] = {}
        self._last_at = datetime.min.replace(tzinfo=UTC)
        self.proof = Proof(connection, self._in_the_way)

    @property
    def plan(self) -> Plan:
        """What differs, and what is in the way."""
        obstacles = self._obstacles + plans.contradictions(self._changes)
        chosen = [change for change in self._changes if self.wanted.includes(change)]
        whole = self.row_count <= ROWS_MAX
        return Plan(
            wanted=self.wanted,
            checkpoint=self.checkpoint,
            head=self.head,
            row_count=len(chosen) if whole else self.row_count,
            changes=chosen,
            obstacles=obstacles[:OBSTACLES_MAX],
        )

    @property
    def differing(self) -> set[int]:
        """The positions of what differs, as far as it is kept."""
        return {change.position for change in self._changes}

    def fold(self, page: list[Recorded]) -> tuple[list[Line], list[Outcome], list[Mention]]:
        """Book a page; note what the log itself tells of its own damage."""
        lines: list[Line] = []
        outcomes: list[Outcome] = []
        named: list[Mention] = []
        for recorded in page:
            if recorded.originator_id != _stream(recorded):
                self._in_the_way(plans.misplaced(recorded.position, recorded.event.ledger))
            if recorded.event.recorded_at < self._last_at:
                self._in_the_way(plans.time_reversed(recorded.position, recorded.event.ledger))
            self._last_at = recorded.event.recorded_at
            if not self._of_ledger(recorded.event.ledger):
                continue
            made, outcome = self.books.take(recorded)
            lines += made
            outcomes += [] if outcome is None else [outcome]
            named += mentions(recorded)
            self._place(recorded)
        if self.only is not None:
            named = [mention for mention in named if mention.account_id == self.only[1]]
        return lines, outcomes, named

    def positions(self, page: list[Recorded], before: int) -> None:
        """Note the gaps of a page that is not filtered."""
        for recorded in page:
            if recorded.position != before + 1:
                self._in_the_way(plans.gap(before, recorded.position))
            before = recorded.position

    def stops(self, last: int, until: int) -> None:
        """Note that the log ends too early."""
        if last < until:
            self._in_the_way(plans.gap(last, until + 1))

    def unreadable(self, problem: str) -> None:
        """Note that the log cannot be read any further."""
        self._in_the_way(plans.unreadable(problem))

    async def journal(self, view: Journal, after: int, until: int, made: Iterable[Made]) -> None:
        """Compare a journal's rows at positions in (after, until] with those that were made."""
        if self.only is None:
            rows = await self.connection.fetch(view.query, after, until)
        else:
            period = (None, None) if view.dated else ()
            rows = await self.connection.fetch(
                view.account_query, after, until, *self.only, *period
            )
        actual = {view.key(shown): shown for shown in (view.row(*row) for row in rows)}
        for right in made:
            found = actual.pop(view.key(right), None)
            if found != right:
                self._row(view, right, found)
        for wrong in actual.values():
            if self._of_ledger(getattr(wrong, "ledger", None)):
                self._row(view, None, wrong)

    async def register(self, view: Register, position: int) -> None:
        """Compare a whole register, as of `position`, key by key."""
        booked = view.booked(self.books)
        unseen = {key for key, entry in booked.items() if view.columns(entry) is not None}
        after = view.start
        while rows := await self.connection.fetch(view.query, *after, REGISTER_ROWS_MAX):
            for row in rows:
                after = tuple(row[name] for name in view.key)
                key = after if len(after) > 1 else after[0]
                unseen.discard(key)
                self.registered(view, key, view.shown(row), position)
        for key in sorted(unseen):
            self.registered(view, key, None, position)

    def registered(self, view: Register, key: Any, actual: dict[str, Any] | None, at: int) -> None:  # noqa: ANN401 - a ledger, an account's key, a transaction's id
        """Compare one row of a register."""
        if not self._of_ledger(key if isinstance(key, str) else self._ledger_of(key)):
            return
        change = registered(view, self.books, key, actual, at)
        if change is None:
            return
        if view.of_entries and (first := self._first_entries.get(key)):
            change = msgspec.structs.replace(change, position=first)
        self._add(change)

    def hold(self) -> None:
        """Keep the read side's books of what differs: the others go on to the head."""
        for change in self._changes:
            view = VIEWS[change.table]
            if not isinstance(view, Register):
                continue
            key = key_of(change)
            booked = view.booked(self.books)
            if key in booked:
                held: Any = view.booked(self.read_books)
                held[key] = copy.deepcopy(booked[key])

    def _row(self, view: Journal, right: Made | None, found: Made | None) -> None:
        """Plan a row of a journal. One that stands at another position is met twice, under one key.

        There it was unexpected, here it is missing: together they are one row that differs.
        """
        made: Any = right or found
        names = {name: getattr(made, name) for name in KEYS[view.table]}
        after = None if right is None else msgspec.structs.asdict(right)
        before = None if found is None else msgspec.structs.asdict(found)
        position = made.position
        earlier = self._half.pop((view.table, *names.values()), None)
        if earlier is not None:
            self._changes.remove(earlier)
            self.row_count -= 1
            before, after = before or earlier.before, after or earlier.after
            assert after is not None
            position = after["position"]
        change = _of_row(view, names, position, before, after)
        if change.kind in OF_ENTRIES:
            self._first_entries.setdefault((made.ledger, made.account_id), position)
        if self._add(change) and (before is None or after is None):
            self._half[view.table, *names.values()] = change

    def _add(self, change: Change) -> bool:
        """Count it, and keep it if there is room; return whether there was."""
        self.row_count += 1
        if len(self._changes) >= ROWS_MAX:
            return False
        self._changes.append(change)
        return True

    def _in_the_way(self, obstacle: Obstacle) -> None:
        if len(self._obstacles) < OBSTACLES_MAX and self._of_ledger(obstacle.ledger):
            self._obstacles.append(obstacle)

    def _of_ledger(self, ledger: str | None) -> bool:
        return self.wanted.ledger is None or ledger is None or ledger == self.wanted.ledger

    def _ledger_of(self, key: Any) -> str:  # noqa: ANN401 - as above
        # What no event of this ledger began is not this ledger's.
        return self._ledgers.get(key, "") if isinstance(key, UUID) else key[0]

    def _place(self, recorded: Recorded) -> None:
        """Remember whose a transaction is: rows of standings do not say it."""
        event = recorded.event
        about = None if isinstance(event, TransferRejected) else getattr(event, "about", None)
        for key in (recorded.originator_id, about):
            if key in self.books.standings:
                self._ledgers.setdefault(key, event.ledger)


KEYS: Mapping[str, tuple[str, ...]] = {
    ENTRIES.table: ("ledger", "account_id", "position", "line"),
    TRANSACTIONS.table: ("transaction_id",),
    MENTIONS.table: ("ledger", "account_id", "position"),
    MOMENTS.table: ("recorded_at",),
}


def journalled(view: Journal, right: Made, found: Made | None) -> Change:
    """Return what becomes of a journal's row that is not as it was made."""
    names = {name: getattr(right, name) for name in KEYS[view.table]}
    before = None if found is None else msgspec.structs.asdict(found)
    return _of_row(view, names, right.position, before, msgspec.structs.asdict(right))


def _of_row(
    view: Journal,
    key: dict[str, Any],
    position: int,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> Change:
    if before is None:
        kind = view.missing
    elif after is None:
        kind = view.unexpected
    else:
        kind = view.differs(set(differing(after, before)))
    return Change(
        table=view.table,
        kind=kind,
        position=position,
        key=key,
        before=before,
        after=after,
        exact=True,
    )


def key_of(change: Change) -> Any:  # noqa: ANN401 - as a register's books have it
    """Return the key of a register's row."""
    key = tuple(change.key.values())
    return key if len(key) > 1 else key[0]


def registered(
    view: Register,
    books: Books,
    key: Any,  # noqa: ANN401 - as above
    actual: dict[str, Any] | None,
    at: int,
) -> Change | None:
    """Return what becomes of a register's row: None if it is right; found at `at` if unexpected."""
    names = dict(zip(view.key, key if isinstance(key, tuple) else (key,), strict=True))
    entry = view.booked(books).get(key)
    columns = None if entry is None else view.columns(entry)
    right = None if columns is None else names | columns
    if right == actual:
        return None
    return Change(
        table=view.table,
        kind=view.kind,
        position=at if right is None else view.position(entry),
        key=names,
        before=actual,
        after=right,
        exact=False,
    )


async def survey(connection: Executor, wanted: Wanted, progress: Progress | None = None) -> Survey:
    """Compare what is `wanted` with the log, in one snapshot; nothing is locked."""
    found = Survey(connection, wanted)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found.checkpoint = await checkpoints.read(connection, checkpoints.PROJECTOR)
        head = await log.head(connection)
        found.head = head.position
        await found.proof.begin(found.head)
        try:
            if found.only is None:
                await _everything(found, head, progress)
            else:
                await _account(found, head, found.only)
        except UnreadableEventError as error:
            found.unreadable(str(error))
    return found


async def _everything(found: Survey, head: log.Head, progress: Progress | None) -> None:
    await _journals(found, lambda done: progress and progress(done, found.head))
    for view in view_catalog.READ_SIDE:
        await found.register(view, found.checkpoint)
    found.hold()
    last = found.checkpoint
    async for page in found.proof.pages(found.checkpoint, found.head):
        found.positions(page, last)
        found.fold(page)
        last = page[-1].position
        if progress is not None:
            progress(last, found.head)
    found.stops(last, found.head)
    accounts = await unflushed_accounts.command_accounts(found.connection, head)
    for view in (accounts, view_catalog.COMMAND_STANDINGS, view_catalog.COMMAND_BOOKS):
        await found.register(view, found.head)


async def _journals(found: Survey, progress: Callable[[int], object]) -> None:
    """Go through the log up to the checkpoint. A page's last time may go on in the next one."""
    # Recorded times are everybody's: what happened then in other ledgers is nobody else's to see.
    timed = found.wanted.ledger is None
    last = settled = 0
    going_on: list[Moment] = []
    async for page in found.proof.pages(0, found.checkpoint):
        found.positions(page, last)
        first, last = last, page[-1].position
        lines, outcomes, named = found.fold(page)
        await found.journal(ENTRIES, first, last, lines)
        await found.journal(TRANSACTIONS, first, last, outcomes)
        await found.journal(MENTIONS, first, last, named)
        if timed:
            times = moments(page)
            if going_on and going_on[0].recorded_at != times[0].recorded_at:
                times = going_on + times
            *ended, latest = times
            if ended:
                await found.journal(MOMENTS, settled, ended[-1].position, ended)
                settled = ended[-1].position
            going_on = [latest]
        progress(last)
    found.stops(last, found.checkpoint)
    for view in (ENTRIES, TRANSACTIONS, MENTIONS):
        await found.journal(view, last, log.NO_END, ())
    if timed:
        await found.journal(MOMENTS, settled, log.NO_END, going_on)


async def _account(found: Survey, head: log.Head, key: tuple[str, str]) -> None:
    """Go through one account's events: entries, mentions, policy and counters, on both sides."""
    after = 0
    async for page in found.proof.pages(0, found.checkpoint, key[1]):
        lines, _, named = found.fold(page)
        last = page[-1].position
        await found.journal(ENTRIES, after, last, lines)
        await found.journal(MENTIONS, after, last, named)
        after = last
    await found.journal(ENTRIES, after, log.NO_END, ())
    await found.journal(MENTIONS, after, log.NO_END, ())
    for view in (view_catalog.ACCOUNTS, view_catalog.BALANCES):
        await _account_row(found, view, key, found.checkpoint)
    found.hold()
    async for page in found.proof.pages(found.checkpoint, found.head, key[1]):
        found.fold(page)
    accounts = await unflushed_accounts.command_accounts(found.connection, head, only=key)
    await _account_row(found, accounts, key, found.head)
    await found.proof.look_at(found.differing)


async def _account_row(found: Survey, view: Register, key: tuple[str, str], at: int) -> None:
    row = await found.connection.fetchrow(view.account_query, *key)
    found.registered(view, key, None if row is None else view.shown(row), at)


def _stream(recorded: Recorded) -> UUID:
    """Return the id of the stream that an event's own words give it."""
    event = recorded.event
    match event:
        case AccountOpened() | AccountChanged():
            return account_stream_id(event.ledger, event.account_id)
        case BooksClosed():
            return books_stream_id(event.ledger)
        case _:
            return transaction_id(event.ledger, event.key)
