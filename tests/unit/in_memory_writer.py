"""The database in memory: the state of the command side between two batches, and the read models.

Nothing is decided or folded here. A batch finds what `store.load` would read, and stores what
`store.put` would write; a page of events finds what `catch_up` would read, and stores what it would
write.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import cycle
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from command_side.domain import state
from command_side.domain.account import AccountKey, AccountState
from command_side.domain.changes import ChangedRows, changed_rows
from command_side.domain.commands import Command, Needs, needs
from command_side.domain.state import ClosedBooks, EarlierTransaction, State
from command_side.writer.commit import Plan
from command_side.writer.outcomes import Outcome
from events import codec, types
from events.log import Head
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
        self.accounts: dict[AccountKey, AccountState] = {}
        self.transaction_states: dict[UUID, dict[str, Any]] = {}
        self.books: dict[str, ClosedBooks] = {}

    def append(self, commands: Sequence[Command], now: datetime) -> list[Outcome]:
        """Decide a batch as the writer does, from what it would load, and store what it would."""
        needed = needs(commands)
        streams = needed.streams | needed.earlier
        known = {stream: self.first[stream] for stream in streams if stream in self.first}
        last = self.log[-1].event.recorded_at if self.log else now
        head = Head(len(self.log), last, len(self.log), 0)
        plan = Plan(self._load(needed, known), known, head, SCHEMA, now)
        plan.add(commands)
        changed = changed_rows(plan.before, plan.state)
        for stream_id, version, event in plan.events:
            # Through the bytes, as all that is read comes out of the log.
            read = codec.decode(event.topic, codec.encode(event))
            assert read == event
            recorded = Recorded(len(self.log) + 1, stream_id, version, read)
            self.log.append(recorded)
            if version == FIRST_VERSION:
                self.first[stream_id] = recorded
        assert plan.position == len(self.log)
        self._put(changed)
        return plan.outcomes

    def earlier(self, transaction_id: UUID) -> EarlierTransaction:
        """Return a transaction as the command side would find it."""
        event = self.first[transaction_id].event
        assert isinstance(event, TransactionEvent)
        row = self.transaction_states.get(transaction_id)
        if row is None:
            return state.begun(event)
        return EarlierTransaction(event, row["stage"], row["used"], row["due_at"])

    def _load(self, needed: Needs, known: dict[UUID, Recorded]) -> State:
        earlier = {
            transaction_id: self.earlier(transaction_id)
            for transaction_id in needed.earlier
            if transaction_id in known and isinstance(known[transaction_id].event, TransactionEvent)
        }
        wanted = set(needed.accounts)
        for found in earlier.values():
            names = types.accounts_of(found.event.postings)
            wanted |= {(found.event.ledger, name) for name in names}
        return State(
            {key: self.accounts[key] for key in wanted if key in self.accounts},
            earlier,
            {name: self.books[name] for name in needed.dated if name in self.books},
            needed.earlier,
        )

    def _put(self, changed: ChangedRows) -> None:
        self.accounts.update(changed.moved)
        self.accounts.update(changed.policies)
        for row in changed.transactions:
            self.transaction_states[row["transaction_id"]] = row
        for books in changed.books:
            self.books[books.ledger] = books


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
