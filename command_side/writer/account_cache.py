"""The accounts as of the head of the log, in this process's memory. Their rows are stored late.

    batch after batch ─▶ accounts in memory        as of the head
                              │
                              │ only what has waited for the longest
                              ▼
                         command.accounts          each row as of its own `position`
                         events.head               and none behind `accounts_stored`

An account that many batches move is written once for all of them, in the transaction of one of
them. What is not in the rows yet is in the log, so nothing is lost with the memory: a process that
starts, or that finds what others have appended, folds the log from there (as ARIES redoes pages:
Mohan and others, 1992), and skips in it what a row holds already. How much that can be is bounded.

What is remembered is true as long as nobody mends rows in other ways: whoever does counts up
`events.head.mended`, and everybody reads again.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile

import msgspec

from command_side.domain.account import Account, AccountKey, evolve, moved_by
from events import log
from events.types import AccountType, Recorded, Side, Status
from runtime.database import Executor
from runtime.sql import Row, queries

SQL = queries("command_side/writer")
LATE_EVENTS_MAX = 50_000
LATE_ACCOUNTS_MAX = 50_000
ACCOUNTS_MAX = 100_000
# When one has to be stored, so many of the oldest are: most appends then store none.
STORED_TOGETHER = 1_000
# Stands in for an account whose row is gone, which reconciliation tells of.
_GONE = Account("", "", "", AccountType.ASSET, "", Side.DEBIT, None)


class WorkingSet:
    """What one process remembers, and which of it is behind in the database.

    No row is more than `late_events_max` events behind, and no more than `late_accounts_max` rows
    are; with 0, all are stored at once. What is neither behind nor needed now is forgotten when
    more than `accounts_max` are remembered.
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
        self._accounts: dict[AccountKey, Account] = {}
        # Of each account that is behind: the first event that its row may lack, oldest first …
        # (A dict would look again at what was taken from its front, each time.)
        self._first: OrderedDict[AccountKey, int] = OrderedDict()
        # … and the last one.
        self._last: dict[AccountKey, int] = {}
        self._position = 0
        self._head: log.Head | None = None
        self._alone = False

    @property
    def head(self) -> log.Head | None:
        """The head as this process left it, if nobody else had moved it since the time before."""
        return self._head if self._alone else None

    async def catch_up(self, connection: Executor, head: log.Head) -> None:
        """Fold what others have appended, up to the locked `head`; at first, all that is late."""
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

    def recall(self, wanted: Collection[AccountKey]) -> dict[AccountKey, Account] | None:
        """Return `wanted` as of `head`, or None if one of them is not remembered."""
        accounts = self._accounts
        try:
            return {key: accounts[key] for key in wanted}
        except KeyError:
            return None

    def owes(self, more: int, position: int) -> bool:
        """Return whether rows would have to be stored if `more` accounts moved up to `position`."""
        oldest = position - self._late_events_max
        return self.stored < oldest or len(self._first) + more > self._late_accounts_max

    async def load(
        self, connection: Executor, wanted: Collection[AccountKey]
    ) -> dict[AccountKey, Account]:
        """Return those of `wanted` that exist, as of the head."""
        await self._read(connection, wanted)
        accounts = self._accounts
        return {key: accounts[key] for key in wanted if key in accounts}

    def take(
        self,
        moved: Mapping[AccountKey, Account],
        stored: Mapping[AccountKey, Account],
        position: int,
    ) -> list[Account]:
        """Take what a batch up to `position` made of accounts; return those to store with it.

        They are in the order of their keys; those of `stored` are so anyway. Nothing is known any
        more until `keep`: the transaction may fail.
        """
        self._head = None
        first, begin = self._first, self._position + 1
        for key in moved:
            first.setdefault(key, begin)
        self._last.update(dict.fromkeys(moved, position))
        self._accounts.update(moved)
        self._accounts.update(stored)
        self._position = position
        self._up_to_date(stored)
        due = self._due()
        self._up_to_date(due)
        return [self._accounts[key] for key in sorted(due)]

    @property
    def stored(self) -> int:
        """The position up to which no row lacks an event."""
        return next(iter(self._first.values()), self._position + 1) - 1

    def keep(self, head: log.Head) -> None:
        """Know again what is known: `head` is what the transaction left, and it is committed."""
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
        """Let others' work be done: up to `position` no row lacks an event."""
        behind = list(takewhile(lambda key: self._first[key] <= position, self._first))
        self._up_to_date(key for key in behind if self._last[key] <= position)
        for key in self._first.keys() & behind:
            self._first[key] = position + 1  # Where it is in the order it stays.

    async def _fold(
        self, connection: Executor, page: Sequence[Recorded], as_of: dict[AccountKey, int]
    ) -> None:
        """Bring accounts up to the end of `page`; `as_of` is where rows are that were read."""
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
        """Read what is not remembered of `wanted`; return as of which position each row is."""
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
    """Return whether what was known as of `last` is brought up to `head` by the log between."""
    as_late = head.accounts_stored <= last.position <= head.position
    return as_late and last.mended == head.mended


def _account(row: Row) -> Account:
    metadata = row["metadata"]
    return Account(
        row["ledger"],
        row["account_id"],
        row["account_class"],
        AccountType(row["account_type"]),
        row["currency"],
        Side(row["normal_side"]),
        row["overdraft_limit"],
        None if metadata is None else msgspec.json.decode(metadata),
        Status(row["status"]),
        row["version"],
        row["debits_posted"],
        row["credits_posted"],
        row["debits_pending"],
        row["credits_pending"],
    )
