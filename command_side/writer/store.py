"""What the database keeps for deciding: loaded before a batch, put back after it.

A view of the log like any other, written in transactions that append: standings and books in that
of their event, accounts in that or a later one (`working_set.py`).
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from command_side.domain import state as states
from command_side.domain.account import Account, AccountKey
from command_side.domain.commands import (
    Capture,
    CloseBooks,
    FollowUp,
    Refund,
    Settle,
    Single,
    Transfer,
    accounts_of,
)
from command_side.domain.state import Books, Earlier, State
from command_side.writer.account_cache import WorkingSet
from events import types
from events.types import Recorded, Stage, TransactionEvent
from runtime.database import Executor
from runtime.sql import as_rows, queries

SQL = queries("command_side/writer")


async def load(
    connection: Executor,
    commands: Sequence[Single],
    known: dict[UUID, Recorded],
    working: WorkingSet,
) -> State:
    """Return what deciding `commands` needs, as of the head; `known`: streams found."""
    followed = about(commands)
    earlier = await _earlier(connection, followed, known)
    wanted = {key for command in commands for key in accounts_of(command)}
    for found in earlier.values():
        event = found.event
        wanted |= {(event.ledger, name) for name in types.accounts_of(event.postings)}
    accounts = await working.load(connection, wanted)
    return State(accounts, earlier, await _books(connection, commands), followed)


class Changes(msgspec.Struct, frozen=True):
    """What a batch changed: rows of `command.accounts`, `.standings` and `.books`.

    Of most accounts it only `moved` the counters; the others are new, or their policy is.
    """

    moved: dict[AccountKey, Account]
    policies: dict[AccountKey, Account]
    standings: list[dict[str, Any]]
    books: list[Books]

    @property
    def accounts(self) -> list[Account]:
        """Return all that changed."""
        return [*self.moved.values(), *self.policies.values()]


def changes(before: State, after: State) -> Changes:
    """Return what is not as before."""
    moved: dict[AccountKey, Account] = {}
    policies: dict[AccountKey, Account] = {}
    for key, account in after.accounts.items():
        was = before.accounts.get(key)
        if was is account:
            continue
        if was is not None and was.version == account.version:
            moved[key] = account
        else:
            policies[key] = account
    return Changes(
        moved,
        policies,
        _standings(before, after),
        [
            books
            for ledger, books in sorted(after.books.items())
            if before.books.get(ledger) != books
        ],
    )


async def put(
    connection: Executor, changed: Changes, moved: Sequence[Account], position: int
) -> None:
    """Store what changed up to `position`; of accounts that only moved, those of `moved`.

    In the order of keys: writers never wait in a circle.
    """
    for query, rows, more in (
        (SQL["put_accounts"], [row for _, row in sorted(changed.policies.items())], [position]),
        (SQL["move_accounts"], moved, [position]),
        (SQL["put_standings"], changed.standings, []),
        (SQL["put_books"], changed.books, []),
    ):
        if rows:
            await connection.execute(query, as_rows(rows), *more)


def about(commands: Iterable[Single]) -> set[UUID]:
    """Return the earlier transactions that `commands` are about."""
    # Most are transfers, and not to be of a class is found out slowly.
    return {
        command.about
        for command in commands
        if not isinstance(command, Transfer) and isinstance(command, FollowUp | Settle)
    }


async def _earlier(
    connection: Executor, followed: set[UUID], known: dict[UUID, Recorded]
) -> dict[UUID, Earlier]:
    first = {}
    for transaction_id in followed:
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
    found = set()
    for command in commands:
        match command:
            case Transfer() | Refund() | Capture() if command.effective_at is None:
                pass
            case Transfer() | Refund() | Capture() | CloseBooks():
                found.add(command.ledger)
            case _:
                pass
    return found


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
