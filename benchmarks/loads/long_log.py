"""Write a long log quickly: the events and account rows that the writer would have written.

Nothing is decided: the accounts may go below zero, so every transfer would be accepted. The events
are appended by `events.log.append`. The counters of the accounts are stored at the end, although
the head says from the first page on that they are.
"""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

from command_side.domain.account import AccountState
from command_side.domain.changes import changed_rows
from command_side.domain.commands import Transfer
from command_side.domain.state import State, evolve
from command_side.writer import store
from command_side.writer.commit import append_batch
from command_side.writer.writer import ROLE
from events import log
from events import schema as schemas
from events.types import FIRST_VERSION, Event, Posting, TransferPosted, transaction_id
from runtime import database

LEDGER = "long"
ACCOUNTS = 10_000
PAGE_EVENTS = 5_000
GROWN_BY = 500_000
FINGERPRINT = "0" * 32


async def write_long_log(url: str, transfers: int) -> AsyncIterator[int]:
    """Append `transfers` transfers between 10,000 accounts and `world`.

    Yields the last position after every half a million transfers, so that the caller can project
    up to it, and at the end.
    """
    connection = await database.connect(url, ROLE)
    try:
        accounts = await _open_accounts(connection)
        before = State(dict(accounts))
        chosen = random.Random(transfers)
        for first in range(0, transfers, PAGE_EVENTS):
            numbers = range(first, min(first + PAGE_EVENTS, transfers))
            await _append(connection, accounts, [(n, chosen.randrange(ACCOUNTS)) for n in numbers])
            if numbers.stop % GROWN_BY == 0:
                yield 2 * ACCOUNTS + 1 + numbers.stop
        async with connection.transaction():
            head = await log.lock_head(connection)
            changed = changed_rows(before, State(accounts))
            await store.put(connection, changed, list(changed.moved.values()), head.position)
        yield head.position
    finally:
        await connection.close()


async def _open_accounts(connection: database.Connection) -> dict[tuple[str, str], AccountState]:
    """Open each account by a transfer to it, and return the state of all."""
    commands = [
        Transfer(ledger=LEDGER, key=f"open-{number}", postings=(_posting(number),))
        for number in range(ACCOUNTS)
    ]
    accounts: dict[tuple[str, str], AccountState] = {}
    schema = schemas.load()
    for first in range(0, ACCOUNTS, PAGE_EVENTS):
        page = commands[first : first + PAGE_EVENTS]
        await append_batch(connection, page, schema, datetime.now(UTC))
    position = 0
    async for events in log.pages(connection, 0, log.NO_END):
        for recorded in events:
            evolve(accounts, recorded.event)
            position = recorded.position
    assert position == 2 * ACCOUNTS + 1, "the log was not empty"
    return accounts


async def _append(
    connection: database.Connection,
    accounts: dict[tuple[str, str], AccountState],
    page: list[tuple[int, int]],
) -> None:
    async with connection.transaction():
        head = await log.lock_head(connection)
        recorded_at = max(head.recorded_at, datetime.now(UTC))
        events: list[tuple[UUID, int, Event]] = []
        for number, account in page:
            key = f"long-{number}"
            event = TransferPosted(
                ledger=LEDGER,
                key=key,
                fingerprint=FINGERPRINT,
                postings=(_posting(account),),
                recorded_at=recorded_at,
            )
            evolve(accounts, event)
            events.append((transaction_id(LEDGER, key), FIRST_VERSION, event))
        await log.append(connection, head, events, head.position + len(events))


def _posting(account: int) -> Posting:
    return Posting("world", f"account-{account}", 1234, "USD")
