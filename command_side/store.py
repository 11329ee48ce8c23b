"""What the database keeps for deciding: loaded before a batch, put back after it.

A view of the log like any other, written in the transaction that appends.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from command_side import state as states
from command_side.accounts import Account
from command_side.commands import (
    Capture,
    CloseBooks,
    FollowUp,
    Refund,
    Settle,
    Single,
    Transfer,
    accounts_of,
)
from command_side.state import Books, Earlier, State
from events import vocabulary
from events.memory import Memory
from events.vocabulary import AccountType, Recorded, Side, Stage, Status, TransactionEvent
from runtime.database import Executor
from runtime.sql import Row, as_rows, queries

SQL = queries("command_side")


async def load(
    connection: Executor,
    commands: Sequence[Single],
    known: dict[UUID, Recorded],
    memory: Memory[Account],
    mark: int,
) -> State:
    """Return what deciding `commands` needs, as of the head's `mark`; `known`: streams found."""
    earlier = await _earlier(connection, commands, known)
    wanted = {key for command in commands for key in accounts_of(command)}
    for found in earlier.values():
        event = found.event
        wanted |= {(event.ledger, name) for name in vocabulary.accounts_of(event.postings)}
    accounts = memory.recall(mark, wanted)
    if forgotten := wanted - accounts.keys():
        for row in await connection.fetch(SQL["accounts"], *zip(*forgotten, strict=True)):
            accounts[row["ledger"], row["account_id"]] = _account(row)
    return State(accounts, earlier, await _books(connection, commands))


class Changes(msgspec.Struct, frozen=True):
    """What a batch changed: rows of `command.accounts`, `.standings` and `.books`.

    Of most accounts it only `moved` the counters; the others are new, or their policy is.
    """

    moved: list[Account]
    policies: list[Account]
    standings: list[dict[str, Any]]
    books: list[Books]

    @property
    def accounts(self) -> list[Account]:
        """Return all that changed."""
        return self.moved + self.policies


def changes(before: State, after: State) -> Changes:
    """Return what is not as before, in the order of its keys: writers never wait in a circle."""
    moved: list[Account] = []
    policies: list[Account] = []
    for account in _changed(before.accounts, after.accounts):
        was = before.accounts.get((account.ledger, account.account_id))
        same_policy = was is not None and was.version == account.version
        (moved if same_policy else policies).append(account)
    return Changes(
        moved,
        policies,
        _standings(before, after),
        _changed(before.books, after.books),
    )


async def put(connection: Executor, changed: Changes) -> None:
    """Store what changed."""
    for query, rows in (
        (SQL["put_accounts"], changed.policies),
        (SQL["move_accounts"], changed.moved),
        (SQL["put_standings"], changed.standings),
        (SQL["put_books"], changed.books),
    ):
        if rows:
            await connection.execute(query, as_rows(rows))


def about(commands: Iterable[Single]) -> set[UUID]:
    """Return the earlier transactions that `commands` are about."""
    return {command.about for command in commands if isinstance(command, FollowUp | Settle)}


async def _earlier(
    connection: Executor, commands: Sequence[Single], known: dict[UUID, Recorded]
) -> dict[UUID, Earlier]:
    first = {}
    for transaction_id in about(commands):
        event = known[transaction_id].event if transaction_id in known else None
        if isinstance(event, TransactionEvent):
            first[transaction_id] = states.first(event)
    if first:
        for row in await connection.fetch(SQL["standings"], list(first)):
            transaction_id = row["transaction_id"]
            first[transaction_id] = msgspec.structs.replace(
                first[transaction_id],
                stage=Stage(row["stage"]),
                used=tuple(row["used"]),
                due_at=row["due_at"],
            )
    return first


async def _books(connection: Executor, commands: Sequence[Single]) -> dict[str, Books]:
    """Read closings only for those who ask for a date: nothing recorded now is in the past."""
    ledgers = dating(commands)
    if not ledgers:
        return {}
    rows = await connection.fetch(SQL["books"], list(ledgers))
    return {
        row["ledger"]: Books(row["ledger"], row["closed_before"], row["version"]) for row in rows
    }


def dating(commands: Iterable[Single]) -> set[str]:
    """Return the ledgers of those `commands` that name a date of the books."""
    return {
        command.ledger
        for command in commands
        if isinstance(command, CloseBooks)
        or (isinstance(command, Transfer | Refund | Capture) and command.effective_at is not None)
    }


def _changed(before: dict[Any, Any], after: dict[Any, Any]) -> list[Any]:
    changed = [key for key, row in after.items() if before.get(key) is not row]
    return [after[key] for key in sorted(changed)]


def _standings(before: State, after: State) -> list[dict[str, Any]]:
    """Return rows of what stands otherwise than its first event says, or is due."""
    changed = {
        transaction_id: earlier
        for transaction_id, earlier in after.earlier.items()
        if (earlier.stage is not earlier.event.stage or any(earlier.used) or earlier.due_at)
        and before.earlier.get(transaction_id) is not earlier
    }
    return [
        {
            "transaction_id": transaction_id,
            "stage": earlier.stage,
            "used": earlier.used,
            "due_at": earlier.due_at,
        }
        for transaction_id, earlier in sorted(changed.items())
    ]


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
