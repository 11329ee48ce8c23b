"""The accounts as of the head of the log, in the memory of this process. Rows are stored late.

    batch after batch ─▶ accounts in memory        as of the head
                              │
                              │ those that have waited the longest
                              ▼
                         command.accounts          each row as of its own `position`
                         events.head               no row is behind `accounts_stored`

An account that many batches move is written once for all of them, in the transaction of one of
them. What the rows lack is in the log, so nothing is lost with the memory: a process that starts,
or that finds events of other processes, folds the log from `accounts_stored` on, and skips what a
row has already (as ARIES redoes pages: Mohan and others, 1992). The number of such events is
bounded.

The cache is right as long as nobody corrects rows in another way. A repair adds one to
`events.head.mended`, and then every process reads its accounts again.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile

import msgspec

from command_side.domain.account import AccountKey, AccountState
from command_side.domain.state import evolve, moved_by
from events import log
from events.types import AccountType, Recorded, Side, Status
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("command_side/writer")
LATE_EVENTS_MAX = 50_000
LATE_ACCOUNTS_MAX = 50_000
ACCOUNTS_MAX = 100_000
# When a row has to be stored, so many of the oldest are stored with it: most appends store none.
STORED_TOGETHER = 1_000
# Stands for an account whose row is gone; reconciliation reports it.
_GONE = AccountState(
    ledger="",
    account_id="",
    account_class="",
    account_type=AccountType.ASSET,
    currency="",
    normal_side=Side.DEBIT,
    overdraft_limit=None,
)


class Recalled(msgspec.Struct, frozen=True):
    """Accounts as of `head`; no row lacks an event up to `stored`."""

    head: log.Head
    accounts: dict[AccountKey, AccountState]
    stored: int


class AccountCache:
    """The accounts that one process remembers, and which of their rows are behind.

    No row is more than `late_events_max` events behind, and at most `late_accounts_max` rows are
    behind; with 0, every row is stored at once. When more than `accounts_max` accounts are
    remembered, those whose rows are not behind are forgotten.
    """

    def __init__(
        self,
        late_events_max: int = LATE_EVENTS_MAX,
        late_accounts_max: int = LATE_ACCOUNTS_MAX,
        accounts_max: int = ACCOUNTS_MAX,
    ) -> None:
        self._late_events_max = late_events_max
        self._late_accounts_max = late_accounts_max
        self._accounts_max = accounts_max
        self._accounts: dict[AccountKey, AccountState] = {}
        # Of each account that is behind: the first event that its row may lack, oldest first …
        # (A plain dict would search its front again for every key that was removed there.)
        self._first: OrderedDict[AccountKey, int] = OrderedDict()
        # … and the last one.
        self._last: dict[AccountKey, int] = {}
        self._position = 0
        self._head: log.Head | None = None
        self._alone = False

    @property
    def head(self) -> log.Head | None:
        """The head as this process left it; None if another process may have moved it since."""
        return self._head if self._alone else None

    async def catch_up(self, connection: Executor, head: log.Head) -> None:
        """Fold the events of other processes up to the locked `head`; at first, all late ones."""
        last, self._head = self._head, None
        self._alone = head == last
        if last is None or not _leads_to(last, head):
            self._accounts, self._first, self._last = {}, OrderedDict(), {}
            self._position = head.accounts_stored
        self._others_stored(head.accounts_stored)
        as_of: dict[AccountKey, int] = {}
        async for page in log.pages(connection, self._position, head.position):
            await self._fold(connection, page, as_of)
        self._position = head.position

    def recall(self, wanted: Collection[AccountKey], events: int) -> Recalled | None:
        """Return `wanted` as of the head, without asking the database.

        None if an account is not remembered, if another process may have moved the head, or if
        rows would have to be stored together with so many more `events`.
        """
        head, accounts = self.head, self._accounts
        if head is None:
            return None
        stored = self.stored
        late = len(self._first) + len(wanted)
        if (
            stored < head.position + events - self._late_events_max
            or late > self._late_accounts_max
        ):
            return None
        try:
            return Recalled(head, {key: accounts[key] for key in wanted}, stored)
        except KeyError:
            return None

    async def load(
        self, connection: Executor, wanted: Collection[AccountKey]
    ) -> dict[AccountKey, AccountState]:
        """Return those of `wanted` that exist, as of the head."""
        await self._read(connection, wanted)
        accounts = self._accounts
        return {key: accounts[key] for key in wanted if key in accounts}

    def take(
        self,
        moved: Mapping[AccountKey, AccountState],
        policies: Mapping[AccountKey, AccountState],
        position: int,
    ) -> list[AccountState]:
        """Take the accounts as of `position`; return those of `moved` to store, in key order.

        The caller stores `policies` in any case. The head is unknown until `committed`, because the
        transaction may still fail.
        """
        self._head = None
        first, begin = self._first, self._position + 1
        for key in moved:
            first.setdefault(key, begin)
        self._last.update(dict.fromkeys(moved, position))
        self._accounts.update(moved)
        self._accounts.update(policies)
        self._position = position
        self._up_to_date(policies)
        due = self._due()
        self._up_to_date(due)
        return [self._accounts[key] for key in sorted(due)]

    @property
    def stored(self) -> int:
        """The position up to which no row lacks an event."""
        return next(iter(self._first.values()), self._position + 1) - 1

    def moved(self, moved: Mapping[AccountKey, AccountState], head: log.Head) -> None:
        """Take the accounts that a committed append moved after `recall`."""
        due = self.take(moved, {}, head.position)
        assert not due, "`recall` refuses if rows would have to be stored"
        self.committed(head)

    def committed(self, head: log.Head) -> None:
        """Know the head again: the transaction is committed, and left it at `head`."""
        self._head = head
        if len(self._accounts) > self._accounts_max:
            self._accounts = {key: self._accounts[key] for key in self._first}

    def _due(self) -> list[AccountKey]:
        oldest = self._position - self._late_events_max
        too_many = len(self._first) - self._late_accounts_max
        due: list[AccountKey] = []
        for key, first in self._first.items():
            enough = not due or len(due) >= STORED_TOGETHER
            if first > oldest and len(due) >= too_many and enough:
                break
            due.append(key)
        return due

    def _up_to_date(self, keys: Iterable[AccountKey]) -> None:
        for key in keys:
            self._first.pop(key, None)
            self._last.pop(key, None)

    def _others_stored(self, position: int) -> None:
        """Count the rows that other processes stored: up to `position` no row lacks an event."""
        behind = list(takewhile(lambda key: self._first[key] <= position, self._first))
        self._up_to_date(key for key in behind if self._last[key] <= position)
        for key in self._first.keys() & behind:
            self._first[key] = position + 1  # Its place in the order stays.

    async def _fold(
        self, connection: Executor, page: Sequence[Recorded], as_of: dict[AccountKey, int]
    ) -> None:
        """Bring accounts up to the end of `page`; `as_of` are the positions of rows read so far."""
        moves = [(recorded, moved_by(recorded.event)) for recorded in page]
        as_of |= await self._read(connection, {key for _, keys in moves for key in keys})
        accounts = self._accounts
        for recorded, keys in moves:
            position = recorded.position
            behind = [key for key in keys if as_of.get(key, 0) < position and key in accounts]
            if not behind:
                continue
            after = {key: accounts.get(key, _GONE) for key in keys}
            evolve(after, recorded.event)
            for key in behind:
                accounts[key] = after[key]
                self._first.setdefault(key, position)
                self._last[key] = position

    async def _read(
        self, connection: Executor, wanted: Collection[AccountKey]
    ) -> dict[AccountKey, int]:
        """Read the rows of `wanted` that are not remembered; return the position of each."""
        missing = [key for key in wanted if key not in self._accounts]
        if not missing:
            return {}
        as_of = {}
        for row in await connection.fetch(SQL["accounts"], *zip(*missing, strict=True)):
            key = row["ledger"], row["account_id"]
            self._accounts[key] = _account(row)
            as_of[key] = row["position"]
        return as_of


def _leads_to(last: log.Head, head: log.Head) -> bool:
    """Return whether the log between `last` and `head` has all that happened to the accounts."""
    as_late = head.accounts_stored <= last.position <= head.position
    return as_late and last.mended == head.mended


def _account(row: Row) -> AccountState:
    metadata = row["metadata"]
    return AccountState(
        ledger=row["ledger"],
        account_id=row["account_id"],
        account_class=row["account_class"],
        account_type=AccountType(row["account_type"]),
        currency=row["currency"],
        normal_side=Side(row["normal_side"]),
        overdraft_limit=row["overdraft_limit"],
        metadata=None if metadata is None else msgspec.json.decode(metadata),
        status=Status(row["status"]),
        version=row["version"],
        debits_posted=row["debits_posted"],
        credits_posted=row["credits_posted"],
        debits_pending=row["debits_pending"],
        credits_pending=row["credits_pending"],
    )
