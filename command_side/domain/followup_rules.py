"""The rules for refunds, captures, voids and cancellations of an earlier transaction. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from command_side.domain import checks
from command_side.domain.account import AccountState
from command_side.domain.commands import Cancel, Capture, FollowUp, Part, Refund, Void
from command_side.domain.decision import Decision
from command_side.domain.movement_rules import misdated, remaining
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import EarlierTransaction, State
from events.schema import Schema
from events.types import (
    HoldPlaced,
    HoldVoided,
    Kind,
    Posting,
    Stage,
    TransferCancelled,
    TransferPosted,
    TransferScheduled,
    accounts_of,
)

_HOLD_ENDED = {
    Stage.CAPTURED: Code.HOLD_CAPTURED,
    Stage.VOIDED: Code.HOLD_VOIDED,
    Stage.EXPIRED: Code.HOLD_EXPIRED,
}


def refund(command: Refund, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Give back `parts`, never more than is left of each posting."""
    original = _earlier(command, state)
    if isinstance(original, Rejection):
        return original
    if original.stage is not Stage.COMPLETED or original.event.kind not in (
        Kind.TRANSFER,
        Kind.CAPTURE,
    ):
        why = (
            "is a hold: refund its captures"
            if original.event.kind is Kind.HOLD
            else ("moved no money that could be given back")
        )
        detail = f"Transaction {command.about} {why}."
        return Rejection(Code.TRANSACTION_NOT_REFUNDABLE, detail)
    parts = _parts(command.parts, original)
    postings = [
        Posting(posting.credit, posting.debit, part.amount, posting.currency, part.line)
        for part, posting in _with_postings(parts, original)
    ]
    accounts = _accounts(command.ledger, postings, state)
    made = checks.balance_changes(postings, accounts)
    rejection = (
        _wrong_currency(parts, original)
        or checks.stands(postings, (), accounts, made)
        or misdated(command.effective_at, state.books.get(command.ledger), recorded_at)
        or checks.over_limit(postings, schema)
        or _exceeds(Code.REFUND_EXCEEDS_ORIGINAL, parts, original)
        or checks.lacks_funds(accounts, made)
    )
    return rejection or [TransferPosted(**command.event_fields(postings, recorded_at))]


def capture(command: Capture, state: State, recorded_at: datetime) -> Decision:
    """Post `parts` of a hold. The money is reserved, so funds cannot be missing."""
    placed = _held(command, state, recorded_at)
    if isinstance(placed, Rejection):
        return placed
    parts = _parts(command.parts, placed)
    postings = [
        Posting(posting.debit, posting.credit, part.amount, posting.currency, part.line)
        for part, posting in _with_postings(parts, placed)
    ]
    accounts = _accounts(command.ledger, postings, state)
    rejection = (
        _wrong_currency(parts, placed)
        or checks.stands(postings, (), accounts, checks.balance_changes(postings, accounts))
        or misdated(command.effective_at, state.books.get(command.ledger), recorded_at)
        or _exceeds(Code.CAPTURE_EXCEEDS_HOLD, parts, placed)
    )
    if rejection is not None:
        return rejection
    completes = placed.using(postings).spent
    return [TransferPosted(**command.event_fields(postings, recorded_at), completes=completes)]


def void(command: Void, state: State, recorded_at: datetime) -> Decision:
    """Release what is left of a hold. The status of its accounts does not matter."""
    placed = _held(command, state, recorded_at)
    if isinstance(placed, Rejection):
        return placed
    return [HoldVoided(**command.event_fields(remaining(placed), recorded_at))]


def cancel(command: Cancel, state: State, recorded_at: datetime) -> Decision:
    """Cancel a scheduled transfer that was not executed yet."""
    scheduled = _earlier(command, state)
    if isinstance(scheduled, Rejection):
        return scheduled
    if not isinstance(scheduled.event, TransferScheduled):
        detail = f"Transaction {command.about} is not a scheduled one."
        return Rejection(Code.TRANSACTION_NOT_SCHEDULED, detail)
    if scheduled.stage is Stage.CANCELLED:
        detail = f"Transaction {command.about} was cancelled already."
        return Rejection(Code.SCHEDULE_CANCELLED, detail)
    if scheduled.stage is not Stage.SCHEDULED:
        detail = f"Transaction {command.about} was executed: it is {scheduled.stage}."
        return Rejection(Code.SCHEDULE_EXECUTED, detail)
    return [TransferCancelled(**command.event_fields(scheduled.event.postings, recorded_at))]


def _earlier(command: FollowUp, state: State) -> EarlierTransaction | Rejection:
    """Return the transaction that the command is about, if it is one of the command's ledger."""
    earlier = state.transactions.get(command.about)
    if earlier is None or earlier.event.ledger != command.ledger:
        return Rejection(Code.TRANSACTION_NOT_FOUND, f"There is no transaction {command.about}.")
    return earlier


def _held(
    command: Capture | Void, state: State, recorded_at: datetime
) -> EarlierTransaction | Rejection:
    """Return the hold that the command is about, if something is still reserved."""
    placed = _earlier(command, state)
    if isinstance(placed, Rejection):
        return placed
    if not isinstance(placed.event, HoldPlaced):
        return Rejection(Code.TRANSACTION_NOT_A_HOLD, f"Transaction {command.about} is not a hold.")
    if placed.stage in _HOLD_ENDED:
        detail = f"Nothing of the hold {command.about} is left: it is {placed.stage}."
        return Rejection(_HOLD_ENDED[placed.stage], detail)
    if placed.due_at is not None and placed.due_at <= recorded_at:
        detail = f"The hold {command.about} expired at {placed.due_at.isoformat()}."
        return Rejection(Code.HOLD_EXPIRED, detail)
    return placed


def _parts(parts: Sequence[Part] | None, earlier: EarlierTransaction) -> Sequence[Part]:
    """Return `parts`, or all that is left: a part of 0 for each line if nothing is."""
    if parts is not None:
        return parts
    lines = range(len(earlier.event.postings))
    left = [Part(line, earlier.left(line)) for line in lines if earlier.left(line)]
    return left or [Part(line, 0) for line in lines]


def _with_postings(
    parts: Sequence[Part], earlier: EarlierTransaction
) -> list[tuple[Part, Posting]]:
    """Return each part with the posting that it is a part of, if there is one."""
    postings = earlier.event.postings
    return [(part, postings[part.line]) for part in parts if part.line < len(postings)]


def _accounts(ledger: str, postings: Sequence[Posting], state: State) -> dict[str, AccountState]:
    return {account_id: state.accounts[ledger, account_id] for account_id in accounts_of(postings)}


def _wrong_currency(parts: Sequence[Part], earlier: EarlierTransaction) -> Rejection | None:
    for part, posting in _with_postings(parts, earlier):
        if part.currency not in (None, posting.currency):
            detail = f"Posting {part.line} is in {posting.currency}, not {part.currency}."
            return Rejection(Code.CURRENCY_MISMATCH, detail)
    return None


def _exceeds(code: Code, parts: Sequence[Part], earlier: EarlierTransaction) -> Rejection | None:
    """Return a refusal if the parts of one line, all together, are more than is left of it."""
    asked = Counter[int]()
    for part in parts:
        asked[part.line] += part.amount
        left = earlier.left(part.line)
        if not 0 < part.amount <= asked[part.line] <= left:
            return Rejection(code, f"{left} minor units of posting {part.line} are left.")
    return None
