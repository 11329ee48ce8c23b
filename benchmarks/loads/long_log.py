"""A long log, quickly: the events that the writer would have written, and its account rows.

Only the deciding is left out: the accounts may go below zero, so every transfer is accepted. The
events go through the log's own append; the accounts' counters are stored at the end, though the
head says from the first on that they are.

    python -m benchmarks.loads.long_log DATABASE_URL TRANSFERS
"""

import random
import sys
import time
from datetime import UTC, datetime
from uuid import UUID

import uvloop

from command_side import store
from command_side.accounts import Account, evolve
from command_side.batch import append_batch
from command_side.commands import Transfer
from command_side.state import State
from command_side.writer import ROLE
from events import log
from events import schema as schemas
from events.vocabulary import FIRST_VERSION, Event, Posting, TransferPosted, transaction_id
from runtime import database
from runtime.loop import collect_garbage_rarely

LEDGER = "long"
ACCOUNTS = 10_000
PAGE_EVENTS = 5_000
FINGERPRINT = "0" * 32


async def write(url: str, transfers: int) -> int:
    """Append `transfers` transfers between 10,000 accounts and `world`; return the position."""
    connection = await database.connect(url, ROLE)
    try:
        accounts = await _opened(connection)
        before = State(dict(accounts))
        chosen = random.Random(transfers)
        for first in range(0, transfers, PAGE_EVENTS):
            numbers = range(first, min(first + PAGE_EVENTS, transfers))
            await _append(connection, accounts, [(n, chosen.randrange(ACCOUNTS)) for n in numbers])
        async with connection.transaction():
            head = await log.lock_head(connection)
            changes = store.changes(before, State(accounts))
            await store.put(connection, changes, list(changes.moved.values()), head.position)
        return head.position
    finally:
        await connection.close()


async def _opened(connection: database.Connection) -> dict[tuple[str, str], Account]:
    """Open all accounts by a transfer each, and return them as they are then."""
    commands = [
        Transfer(ledger=LEDGER, key=f"open-{number}", postings=(_posting(number),))
        for number in range(ACCOUNTS)
    ]
    accounts: dict[tuple[str, str], Account] = {}
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
    accounts: dict[tuple[str, str], Account],
    page: list[tuple[int, int]],
) -> None:
    async with connection.transaction():
        head = await log.lock_head(connection)
        recorded_at = head.at(datetime.now(UTC))
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
    return Posting("world", f"account-{account}", "1234", "USD")


def main() -> None:
    """Write one from the command line; print its last position and the seconds that it took."""
    url, transfers = sys.argv[1:]
    collect_garbage_rarely()
    started = time.perf_counter()
    position = uvloop.run(write(url, int(transfers)))
    print(position, f"{time.perf_counter() - started:.1f}")


if __name__ == "__main__":
    main()
