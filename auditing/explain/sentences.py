"""What an event did to an account, in a sentence that a bookkeeper understands. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never

from events import money
from events.types import (
    AccountChanged,
    AccountOpened,
    BooksClosed,
    Event,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    Kind,
    Posting,
    TransactionEvent,
    TransferCancelled,
    TransferPosted,
    TransferRejected,
    TransferScheduled,
)

# Returns the number of decimals of a currency.
Decimals = Callable[[str], int]
SIDES_MAX = 5


def sentence(event: Event, account_id: str, currency: str, decimals: Decimals) -> str:
    """Return what `event` did to an account in `currency`; amounts are in units."""
    match event:
        case AccountOpened():
            limit = _limit(event.overdraft_limit, event.currency, decimals)
            return (
                f"Opened as {event.account_class} ({event.account_type}, {event.normal_side}-normal"
                f") in {event.currency}, {limit}."
            )
        case AccountChanged():
            limit = _limit(event.overdraft_limit, currency, decimals)
            return f"Policy set: {event.status}, {limit}."
        case BooksClosed():
            return f"Books closed before {_time(event.closed_before)}."
        case HoldExpired():
            return f"Hold expired: {_sides(event.postings, account_id, decimals)} released."
        case TransferPosted():
            what = event.kind.capitalize()
            return f"{what}: {_sides(event.postings, account_id, decimals)}{_notes(event)}."
        case TransferRejected():
            what = event.kind.capitalize()
            sides = _sides(event.postings, account_id, decimals)
            return f"{what} refused ({event.code}): {sides} did not happen{_notes(event)}."
        case HoldPlaced():
            return f"Hold: {_sides(event.postings, account_id, decimals)} reserved{_notes(event)}."
        case HoldVoided():
            return f"Void: {_sides(event.postings, account_id, decimals)} released{_notes(event)}."
        case TransferScheduled():
            sides = _sides(event.postings, account_id, decimals)
            return f"Scheduled for {_time(event.due_at)}: {sides}{_notes(event)}."
        case TransferCancelled():
            sides = _sides(event.postings, account_id, decimals)
            return f"Schedule cancelled: {sides} will not happen{_notes(event)}."
        case _:
            assert_never(event)


def _sides(postings: Sequence[Posting], account_id: str, decimals: Decimals) -> str:
    """Return the account's sides of the postings, each with the account on the other side."""
    sides = []
    for posting in postings:
        amount = money.to_text(posting.amount_minor, decimals(posting.currency))
        for side, own, other in (
            ("debit", posting.debit, posting.credit),
            ("credit", posting.credit, posting.debit),
        ):
            if own == account_id:
                sides.append(f"{side} {amount} {posting.currency} against {other}")
    if len(sides) > SIDES_MAX:
        sides = [*sides[:SIDES_MAX], f"and {len(sides) - SIDES_MAX} more"]
    return ", ".join(sides)


def _notes(event: TransactionEvent) -> str:
    """Return the texts attached to a transaction, and its effective time if it has one."""
    notes = [f", {event.reference}"] if event.reference else []
    if event.description:
        notes.append(f", “{event.description}”")
    if event.effective_at is not None:
        notes.append(f", effective {_time(event.effective_at)}")
    if event.kind in (Kind.REFUND, Kind.CAPTURE, Kind.VOID, Kind.CANCELLATION) and event.about:
        notes.append(f", of {event.about}")
    return "".join(notes)


def _limit(limit: str | None, currency: str, decimals: Decimals) -> str:
    if limit is None:
        return "unlimited overdraft"
    if int(limit) == 0:
        return "no overdraft"
    return f"overdraft up to {money.to_text(int(limit), decimals(currency))} {currency}"


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
