"""The load of the drill: two ledgers with every kind of event.

Plain transfers come first and last, so that a corrupted one has known neighbours; only the events
of the sweeper, in between, depend on the clock. Each of the last transfers has a time of its own.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from command_side.domain.commands import (
    Cancel,
    Capture,
    ChangeAccount,
    CloseBooks,
    Command,
    Hold,
    OpenAccount,
    Part,
    Refund,
    Schedule,
    Transfer,
    Void,
)
from command_side.writer.commit import append_batch
from command_side.writer.writer import ROLE
from events import schema as schemas
from events.types import Posting, Rate, Status, transaction_id
from runtime import database

LEDGERS = ("market", "shop")
PEOPLE = ("alice", "bob", "carol", "dave")
PLAIN = "plain"
CLOSING_TRANSFERS = 8
BATCH_COMMANDS = 20
FUNDS = 1_000_000
DUE_AFTER = timedelta(seconds=1)
FAR = timedelta(days=900)
SWEPT_S_MAX = 30.0
POLL_S = 0.05
DUE_SOON = "SELECT count(*) FROM command.standings WHERE due_at < now() + interval '1 day'"


class DrillError(RuntimeError):
    """The drill cannot continue; this is no result of a corruption."""


async def write(database_url: str, transfers: int) -> None:
    """Write `transfers` plain transfers, and events of every other kind around them."""
    await append(database_url, list(_opening()))
    plain = [_plain(number) for number in range(transfers)]
    await append(database_url, plain)
    now = datetime.now(UTC)
    await append(database_url, [each for ledger in LEDGERS for each in _depth(ledger, now)])
    await _swept(database_url)
    for number in range(transfers, transfers + CLOSING_TRANSFERS):
        await append(database_url, [_plain(number)])


async def append(database_url: str, commands: Sequence[Command]) -> None:
    """Append commands as the writer does, in batches; each batch has one time."""
    schema = schemas.load()
    connection = await database.connect(database_url, ROLE)
    try:
        for first in range(0, len(commands), BATCH_COMMANDS):
            batch = commands[first : first + BATCH_COMMANDS]
            await append_batch(connection, batch, schema, datetime.now(UTC))
    finally:
        await connection.close()


def one_more(key: str) -> Transfer:
    """Return a transfer that cannot be refused."""
    return _transfer("shop", key, ("world", "alice", 100, "USD"))


def _opening() -> Iterator[Command]:
    for ledger in LEDGERS:
        for who in PEOPLE:
            yield _transfer(ledger, f"fund-{who}", ("world", who, FUNDS, "USD"))
        yield _transfer(ledger, "yen", ("external:bank", "tokyo", 10**38 - 1, "JPY"))
        yield OpenAccount(
            ledger=ledger, account_id="credit-line:1", currency="USD", overdraft_limit=700
        )
        yield OpenAccount(ledger=ledger, account_id="empty", currency="USD")


def _plain(number: int) -> Transfer:
    """Return a transfer between two people, who have enough money."""
    ledger = LEDGERS[number % len(LEDGERS)]
    place = number // len(LEDGERS)
    source = PEOPLE[place % len(PEOPLE)]
    destination = PEOPLE[(place + 1 + place // len(PEOPLE) % 3) % len(PEOPLE)]
    return _transfer(ledger, f"{PLAIN}-{number}", (source, destination, 100 + number % 7, "USD"))


def _depth(ledger: str, now: datetime) -> list[Command]:
    """Return splits, exchange, holds, schedules, refusals, policies and closed books."""

    def about(key: str) -> dict[str, Any]:
        return {"ledger": ledger, "about": transaction_id(ledger, key)}

    reserved = _postings(("bob", "alice", 700, "USD"), ("bob", "revenue:fees", 50, "USD"))
    split = _postings(
        ("alice", "revenue:fees", 30, "USD"),
        ("alice", "bob", 970, "USD"),
        ("carol", "bob", 500, "USD"),
    )
    exchanged = _postings(
        ("alice", "exchange:USD", 1_000, "USD"), ("exchange:EUR", "alice:eur", 920, "EUR")
    )
    frozen, reopened = Status.FROZEN, Status.OPEN
    return [
        Transfer(ledger=ledger, key="split", postings=split, reference="INV-1"),
        Transfer(
            ledger=ledger, key="exchange", postings=exchanged, rate=Rate("USD", "EUR", "0.92")
        ),
        Refund(key="split-back", parts=(Part(2, 200),), **about("split")),
        Refund(key="exchange-back", **about("exchange")),
        *(
            Hold(ledger=ledger, key=f"hold-{what}", postings=reserved, reference="AUTH-1")
            for what in ("open", "part", "whole", "void")
        ),
        Hold(ledger=ledger, key="hold-due", postings=reserved, expires_at=now + DUE_AFTER),
        Hold(ledger=ledger, key="hold-far", postings=reserved, expires_at=now + FAR),
        Capture(key="capture-1", parts=(Part(0, 300),), **about("hold-part")),
        Capture(key="capture-2", parts=(Part(1, 50),), **about("hold-whole")),
        Capture(key="capture-3", **about("hold-whole")),
        Void(key="void-1", **about("hold-void")),
        Void(key="void-again", **about("hold-void")),
        *(
            Schedule(
                ledger=ledger,
                key=f"later-{who}",
                postings=_postings((who, "alice", 40, "USD")),
                due_at=now + (FAR if who == "carol" else DUE_AFTER),
            )
            for who in ("bob", "pauper", "carol", "dave")
        ),
        Cancel(key="never-mind", **about("later-dave")),
        _transfer(ledger, "on-credit", ("credit-line:1", "alice", 700, "USD")),
        _transfer(ledger, "over-credit", ("credit-line:1", "alice", 1, "USD")),
        _transfer(ledger, "yen-to-dollar", ("tokyo", "alice", 5, "JPY")),
        _transfer(ledger, "too-much", ("alice", "bob", 10**15, "USD")),
        ChangeAccount(ledger=ledger, account_id="bob", status=frozen, currency="USD"),
        _transfer(ledger, "to-frozen", ("alice", "bob", 1, "USD")),
        ChangeAccount(ledger=ledger, account_id="bob", status=reopened, currency="USD"),
        ChangeAccount(
            ledger=ledger,
            account_id="carol",
            overdraft_limit=5_000,
            currency="USD",
            metadata={"tier": "b"},
        ),
        ChangeAccount(ledger=ledger, account_id="empty", status=Status.CLOSED, currency="USD"),
        _transfer(ledger, "to-closed", ("world", "empty", 1, "USD")),
        Transfer(
            ledger=ledger,
            key="late",
            postings=_postings(("world", "bob", 77, "USD")),
            effective_at=now - timedelta(days=20),
        ),
        CloseBooks(ledger=ledger, closed_before=now - timedelta(days=10)),
        Transfer(
            ledger=ledger,
            key="too-late",
            postings=_postings(("world", "bob", 78, "USD")),
            effective_at=now - timedelta(days=20),
        ),
    ]


def _transfer(ledger: str, key: str, posting: tuple[str, str, int, str]) -> Transfer:
    return Transfer(ledger=ledger, key=key, postings=_postings(posting))


def _postings(*given: tuple[str, str, int, str]) -> tuple[Posting, ...]:
    return tuple(
        Posting(source, destination, amount, currency)
        for source, destination, amount, currency in given
    )


async def _swept(database_url: str) -> None:
    """Wait until the running sweeper has settled what is due."""
    connection = await database.connect(database_url)
    try:
        for _ in range(round(SWEPT_S_MAX / POLL_S)):
            if not await connection.fetchval(DUE_SOON):
                return
            await asyncio.sleep(POLL_S)
        raise DrillError(f"after {SWEPT_S_MAX:.0f} s the sweeper has not settled all that is due")
    finally:
        await connection.close()
