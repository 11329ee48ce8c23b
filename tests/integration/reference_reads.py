"""The balance of an account, the simple way: every move of the log, added up each time.

Written from the docstrings of events/types.py, and shared with nothing that is tested with it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from command_side.domain.commands import Capture, Command, Hold, Part, Refund, Transfer
from command_side.writer.outcomes import Accepted, PolicySet, Refused
from events.types import (
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Recorded,
    TransferPosted,
    transaction_id,
)
from tests.integration import fixtures

Four = tuple[int, int, int, int]
LATER = fixtures.START + timedelta(hours=4)


class Move(NamedTuple):
    """What one side of one posting adds to its side's posted and pending counters."""

    position: int
    recorded_at: datetime
    effective_at: datetime
    ledger: str
    account_id: str
    credit: bool
    posted: int
    pending: int


def moves(events: Sequence[Recorded]) -> list[Move]:
    """Return every move of the log."""
    found = []
    for recorded in events:
        event = recorded.event
        match event:
            case TransferPosted(kind=Kind.CAPTURE):
                posted, pending = 1, -1
            case TransferPosted():
                posted, pending = 1, 0
            case HoldPlaced():
                posted, pending = 0, 1
            case HoldVoided() | HoldExpired():
                posted, pending = 0, -1
            case _:
                continue
        dated = getattr(event, "effective_at", None) or event.recorded_at
        for posting in event.postings:
            amount = posting.amount_minor
            for credit, account_id in ((False, posting.debit), (True, posting.credit)):
                place = (recorded.position, event.recorded_at, dated, event.ledger, account_id)
                found.append(Move(*place, credit, posted * amount, pending * amount))
    return found


def of(everything: Sequence[Move], ledger: str, account_id: str) -> list[Move]:
    """Return the moves of one account."""
    return [move for move in everything if (move.ledger, move.account_id) == (ledger, account_id)]


def counters(
    some: Sequence[Move], known: int, recorded_before: datetime | None, before: datetime | None
) -> Four:
    """Return the four counters: as known at a position, recorded before, effective before."""
    four = [0, 0, 0, 0]
    for move in some:
        if move.position > known or (recorded_before and move.recorded_at >= recorded_before):
            continue
        if before is None or move.effective_at < before:
            four[move.credit] += move.posted
        if before is None or move.recorded_at < before:
            four[2 + move.credit] += move.pending
    return four[0], four[1], four[2], four[3]


def dated_back(ledger: str = "demo") -> list[Command]:
    """Return commands that date back transfers, a refund and a capture by hours and days."""
    now = LATER

    def back(**ago: int) -> datetime:
        return now - timedelta(**ago)

    made: list[Command] = [
        fixtures.transfer("d1", amount=11, ledger=ledger, effective_at=back(hours=1)),
        fixtures.transfer("d2", amount=12, ledger=ledger, effective_at=back(days=8)),
        fixtures.transfer("d3", amount=13, ledger=ledger),
        Transfer(
            ledger=ledger,
            key="d4",
            postings=fixtures.several(("alice", "bob", 14, "USD"), ("alice", "carol", 15, "USD")),
            effective_at=back(days=3),
            description="=1+1",
            reference="INV-4",
        ),
        Refund(
            ledger=ledger,
            key="d5",
            about=transaction_id(ledger, "d3"),
            parts=(Part(0, 3),),
            effective_at=back(days=3),
        ),
        Hold(ledger=ledger, key="d6", postings=fixtures.several(("bob", "alice", 60, "USD"))),
        Capture(
            ledger=ledger,
            key="d7",
            about=transaction_id(ledger, "d6"),
            parts=(Part(0, 20),),
            effective_at=back(hours=30),
        ),
    ]
    return made


async def log_with_dates(database_url: str, seed: int = 1) -> list[Recorded]:
    """Write the rich log, and after it what is dated back over days; project and return it."""
    await fixtures.rich_log(database_url, seed, count=30)
    for number, ledger in enumerate(("demo", "other")):
        outcomes = await fixtures.written(
            database_url,
            dated_back(ledger),
            batch_size=3,
            now=lambda index, days=number: LATER + timedelta(days=days, hours=index),  # type: ignore[misc]
        )
        decided = (Accepted, Refused, PolicySet)
        assert all(isinstance(outcome, decided) for outcome in outcomes), outcomes
    await fixtures.project(database_url)
    return await fixtures.whole_log(database_url)
