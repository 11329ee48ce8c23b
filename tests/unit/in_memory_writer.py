"""The database in memory: what the command side keeps between two batches, and the read models.

Nothing is decided or folded here. A batch finds what `store.load` would read, and leaves what
`store.put` would write; a page finds what `catch_up` would read, and leaves what it would write.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import cycle
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from command_side.domain import state
from command_side.domain.account import Account, AccountKey
from command_side.domain.commands import Command, Single, accounts_of, singles
from command_side.domain.state import Books, Earlier, State
from command_side.writer import commit, store
from command_side.writer.commit import Outcome
from events import codec, types
from events.types import FIRST_VERSION, Recorded, TransactionEvent
from projections.folds import projected_rows
from projections.folds.entries import EntryRow
from projections.folds.projected_rows import ProjectedRows
from projections.folds.transactions import TransactionRow
from tests.unit.examples import SCHEMA

Item = TypeVar("Item")
Hour = tuple[datetime, Sequence[Command]]


class Ledger:
    """The log, and the command side's view of it."""

    def __init__(self) -> None:
        self.log: list[Recorded] = []
        self.first: dict[UUID, Recorded] = {}
        self.accounts: dict[AccountKey, Account] = {}
        self.standings: dict[UUID, dict[str, Any]] = {}
        self.books: dict[str, Books] = {}

    def append(self, commands: Sequence[Command], now: datetime) -> list[Outcome]:
        """Decide a batch as the writer does, from what it would load, and store what it would."""
        each = list(singles(commands))
        streams = commit._streams(each)  # noqa: SLF001
        known = {stream: self.first[stream] for stream in streams if stream in self.first}
        decided = commit._Decided(  # noqa: SLF001
            self._load(each, known), known, len(self.log), SCHEMA, now
        )
        decided.take(commands)
        changes = store.changes(decided.before, decided.state)
        commit._check_balanced(changes.accounts, decided.before)  # noqa: SLF001
        for stream_id, version, event in decided.events:
            # Through the bytes, as all that is read comes out of the log.
            read = codec.decode(event.topic, codec.encode(event))
            assert read == event
            recorded = Recorded(len(self.log) + 1, stream_id, version, read)
            self.log.append(recorded)
            if version == FIRST_VERSION:
                self.first[stream_id] = recorded
        assert decided.position == len(self.log)
        self._put(changes)
        return decided.outcomes

    def earlier(self, transaction_id: UUID) -> Earlier:
        """Return a transaction as the command side would find it."""
        event = self.first[transaction_id].event
        assert isinstance(event, TransactionEvent)
        row = self.standings.get(transaction_id)
        return self._stands(event, row)

    def _load(self, commands: Sequence[Single], known: dict[UUID, Recorded]) -> State:
        earlier = {
            transaction_id: self.earlier(transaction_id)
            for transaction_id in store.about(commands)
            if transaction_id in known and isinstance(known[transaction_id].event, TransactionEvent)
        }
        wanted = {key for command in commands for key in accounts_of(command)}
        for found in earlier.values():
            names = types.accounts_of(found.event.postings)
            wanted |= {(found.event.ledger, name) for name in names}
        dating = store.dating(commands)
        return State(
            {key: self.accounts[key] for key in wanted if key in self.accounts},
            earlier,
            {name: self.books[name] for name in dating if name in self.books},
            store.about(commands),
        )

    def _put(self, changes: store.Changes) -> None:
        for account in changes.accounts:
            self.accounts[account.ledger, account.account_id] = account
        for row in changes.standings:
            self.standings[row["transaction_id"]] = row
        for books in changes.books:
            self.books[books.ledger] = books

    @staticmethod
    def _stands(event: TransactionEvent, row: dict[str, Any] | None) -> Earlier:
        if row is None:
            return state.first(event)
        return Earlier(event, row["stage"], row["used"], row["due_at"])


class Tables:
    """The read models: what one page finds there, and what it leaves."""

    def __init__(self) -> None:
        self.rows = ProjectedRows({}, {}, {})
        self.entries: list[EntryRow] = []
        self.transactions: dict[UUID, TransactionRow] = {}
        self.mentions: set[tuple[str, str, int]] = set()
        self.position = 0

    def apply(self, events: Sequence[Recorded]) -> None:
        """Fold one page on top of what is known of what it changes, and put its rows."""
        rows, changed = self.rows, projected_rows.changed(events)
        page = ProjectedRows(
            _known(rows.accounts, changed.accounts),
            _known(rows.balances, changed.balances),
            _known(rows.transaction_states, changed.transaction_states),
        )
        projected_rows.fold(events, page)
        for name in ("accounts", "balances", "transaction_states", "books", "recorded_times"):
            getattr(rows, name).update(getattr(page, name))
        self.entries += page.entries
        for transaction in page.transactions:
            assert transaction.transaction_id not in self.transactions
            self.transactions[transaction.transaction_id] = transaction
        for mention in page.account_references:
            row = (mention.ledger, mention.account_id, mention.position)
            assert row not in self.mentions
            self.mentions.add(row)
        self.position += len(events)

    def everything(self) -> bytes:
        """Return every row, in one order, as bytes."""
        rows = self.rows
        kept = [
            sorted(table.items())
            for table in (rows.accounts, rows.balances, rows.books, rows.recorded_times)
        ]
        # A UUID and an enum are no keys that compare everywhere.
        states = sorted((str(key), state) for key, state in rows.transaction_states.items())
        listed = [self.entries, list(self.transactions.values()), sorted(self.mentions)]
        return msgspec.json.encode([kept, states, listed])


def cut(items: Sequence[Item], sizes: Iterable[int]) -> Iterator[Sequence[Item]]:
    """Cut `items` into pieces of `sizes`, over and over."""
    start = 0
    for size in cycle(sizes):
        if start >= len(items):
            return
        yield items[start : start + size]
        start += size


def run(hours: Sequence[Hour], sizes: Sequence[int]) -> tuple[Ledger, list[Outcome]]:
    """Append the commands of all `hours` to an empty ledger, in batches of `sizes`."""
    ledger, outcomes = Ledger(), list[Outcome]()
    for now, commands in hours:
        for several in cut(commands, sizes):
            outcomes += ledger.append(several, now)
    return ledger, outcomes


def projected(log: Sequence[Recorded], sizes: Sequence[int]) -> Tables:
    """Fold the whole log in pages of `sizes`."""
    tables = Tables()
    for page in cut(log, sizes):
        tables.apply(page)
    return tables


def _known(rows: dict[Any, Any], wanted: Iterable[Any]) -> dict[Any, Any]:
    """Return copies of the `wanted` rows, as a database would."""
    return {
        key: msgspec.convert(msgspec.to_builtins(rows[key]), type(rows[key]))
        for key in wanted
        if key in rows
    }
