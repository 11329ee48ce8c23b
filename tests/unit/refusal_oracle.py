"""Whether a refusal was justified: for each code, a condition on the books of the bookkeeper.

If several codes are justified, `test_decide_*.py` tests which one of them is returned.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

from command_side.domain.commands import (
    Capture,
    ChangeAccount,
    CloseBooks,
    Command,
    FollowUp,
    Hold,
    Movement,
    OpenAccount,
    Refund,
    Schedule,
    Transfer,
)
from command_side.domain.rejections import Code
from events.types import HoldPlaced, Kind, Side, Stage, Status, TransferScheduled
from tests.unit.reference_bookkeeper import NOTHING, Bookkeeper, Key, Policy, Told

FROZEN_TO = {
    True: (Status.FROZEN, Status.FROZEN_IN),
    False: (Status.FROZEN, Status.FROZEN_OUT),
}
CAPPED_MINOR_MAX = {"USD": 10_000, "EUR": 10_000, "JPY": 100}

Line = tuple[str, str, int, str]
Grounds = Callable[[Bookkeeper, Command, datetime], bool]


def has_grounds(code: str, books: Bookkeeper, command: Command, now: datetime) -> bool:
    """Return whether `command` could be refused with `code`, as the books stand."""
    return GROUNDS[Code(code)](books, command, now)


def earlier(books: Bookkeeper, command: Command) -> Told | None:
    """Return what a follow-up is about, if it is there, in the same ledger."""
    if not isinstance(command, FollowUp):
        return None
    told = books.told.get(command.about)
    return told if told is not None and told.event.ledger == command.ledger else None


def lines(books: Bookkeeper, command: Command) -> Iterator[Line]:
    """Yield (debit, credit, amount, currency) of all that would move."""
    if isinstance(command, Movement):
        for p in command.postings:
            yield p.debit, p.credit, p.amount_minor, p.currency
    told = earlier(books, command)
    if told is None or not isinstance(command, Refund | Capture):
        return
    for line, amount in asked(told, command):
        if line < len(told.event.postings):
            p = told.event.postings[line]
            ends = (p.credit, p.debit) if isinstance(command, Refund) else (p.debit, p.credit)
            yield *ends, amount, p.currency


def asked(told: Told, command: Refund | Capture) -> list[tuple[int, int]]:
    """Return the lines and amounts that are asked for."""
    if command.parts is None:
        return list(enumerate(told.left))
    return [(part.line, part.amount) for part in command.parts]


def named(books: Bookkeeper, command: Command) -> set[Key]:
    """Return the accounts that are concerned."""
    if isinstance(command, OpenAccount | ChangeAccount):
        return {(command.ledger, command.account_id)}
    assert isinstance(command, Movement | FollowUp)
    return {(command.ledger, name) for line in lines(books, command) for name in line[:2]}


def policies(books: Bookkeeper, command: Command) -> list[Policy]:
    """Return the policies of the accounts that are there."""
    found = named(books, command)
    return [policy for key, policy in books.policies.items() if key in found]


def stage(*stages: Stage) -> Grounds:
    """Return grounds: the earlier transaction stands so."""
    return lambda books, command, _: _told(books, command).stage in stages


def _told(books: Bookkeeper, command: Command) -> Told:
    told = earlier(books, command)
    assert told is not None
    return told


def _not_refundable(books: Bookkeeper, command: Command, _: datetime) -> bool:
    told = _told(books, command)
    moved = told.event.kind in (Kind.TRANSFER, Kind.CAPTURE)
    return told.stage is not Stage.COMPLETED or not moved


def _hold_expired(books: Bookkeeper, command: Command, now: datetime) -> bool:
    told = _told(books, command)
    return told.stage is Stage.EXPIRED or (told.due_at is not None and told.due_at <= now)


def _version(books: Bookkeeper, command: Command, _: datetime) -> bool:
    if isinstance(command, ChangeAccount):
        policy = books.policies[command.ledger, command.account_id]
        return command.expected_version not in (None, policy.version)
    assert isinstance(command, Movement)
    for condition in command.conditions:
        known = books.policies.get((command.ledger, condition.account_id))
        if condition.version not in (None, 1 if known is None else known.version):
            return True
    return False


def _currency(books: Bookkeeper, command: Command, _: datetime) -> bool:
    if isinstance(command, ChangeAccount):
        return command.currency != books.policies[command.ledger, command.account_id].currency
    told = earlier(books, command)
    if isinstance(command, Refund | Capture) and told is not None:
        given = [p for p in command.parts or () if p.line < len(told.event.postings)]
        return any(p.currency not in (None, told.event.postings[p.line].currency) for p in given)
    used = {
        (command.ledger, name): {posting[3] for posting in lines(books, command) if name in posting}
        for _, name in named(books, command)
        if isinstance(command, Movement)
    }
    for key, currencies in used.items():
        known = books.policies.get(key)
        if len(currencies | ({known.currency} if known is not None else set())) > 1:
            return True
    return False


def _frozen(books: Bookkeeper, command: Command, _: datetime) -> bool:
    assert isinstance(command, Movement | FollowUp)
    for debit, credit, _amount, _currency_code in lines(books, command):
        for name, side in ((debit, Side.DEBIT), (credit, Side.CREDIT)):
            policy = books.policies.get((command.ledger, name))
            if policy is not None and policy.status in FROZEN_TO[side is policy.normal_side]:
                return True
    return False


def _exceeds(books: Bookkeeper, command: Command, _: datetime) -> bool:
    told = _told(books, command)
    assert isinstance(command, Refund | Capture)
    wanted = Counter[int]()
    for line, amount in asked(told, command):
        wanted[line] += amount
    left = dict(enumerate(told.left))
    return not sum(wanted.values()) or any(n > left.get(line, 0) for line, n in wanted.items())


def _lacking(books: Bookkeeper, command: Command, _: datetime) -> bool:
    taken, added = Counter[Key](), Counter[Key]()
    assert isinstance(command, Movement | FollowUp)
    for debit, credit, amount, _currency_code in lines(books, command):
        for name, side in ((debit, Side.DEBIT), (credit, Side.CREDIT)):
            policy = books.policies.get((command.ledger, name))
            assets = name.startswith("asset:") if policy is None else policy.normal_side == "debit"
            into = (side is Side.DEBIT) is assets
            (added if into else taken)[command.ledger, name] += amount
    for key, out in taken.items():
        needed = out if isinstance(command, Hold) else out - added[key]
        policy = books.policies.get(key)
        limit = 0 if policy is None else policy.limit
        available = 0 if policy is None else policy.available(books.at(books.position, key))
        if limit is not None and needed > 0 and needed > available + limit:
            return True
    return False


def _below(books: Bookkeeper, command: Command, _: datetime) -> bool:
    assert isinstance(command, Movement)
    return any(c.balance_min is not None for c in command.conditions)


def _above(books: Bookkeeper, command: Command, _: datetime) -> bool:
    assert isinstance(command, Movement)
    return any(c.balance_max is not None for c in command.conditions)


def _capped(books: Bookkeeper, command: Command, _: datetime) -> bool:
    return any(
        amount > CAPPED_MINOR_MAX[currency] and any(name.startswith("capped:") for name in ends)
        for *ends, amount, currency in lines(books, command)
    )


def _not_empty(books: Bookkeeper, command: Command, _: datetime) -> bool:
    assert isinstance(command, ChangeAccount)
    key = (command.ledger, command.account_id)
    now = books.at(books.position, key)
    return bool(books.balance(key)) or now[2:] != NOTHING[2:]


def _future(books: Bookkeeper, command: Command, now: datetime) -> bool:
    assert isinstance(command, Transfer | Refund | Capture)
    return command.effective_at is not None and command.effective_at > now


def _in_closed_books(books: Bookkeeper, command: Command, _: datetime) -> bool:
    assert isinstance(command, Transfer | Refund | Capture)
    before = books.closed_before[command.ledger]
    return command.effective_at is not None and command.effective_at < before


def _expires_passed(books: Bookkeeper, command: Command, now: datetime) -> bool:
    return (
        isinstance(command, Hold) and command.expires_at is not None and command.expires_at <= now
    )


def _backwards(books: Bookkeeper, command: Command, _: datetime) -> bool:
    assert isinstance(command, CloseBooks)
    return command.closed_before < books.closed_before[command.ledger]


GROUNDS: dict[Code, Grounds] = {
    Code.TRANSACTION_NOT_FOUND: lambda books, command, _: earlier(books, command) is None,
    Code.TRANSACTION_NOT_REFUNDABLE: _not_refundable,
    Code.TRANSACTION_NOT_A_HOLD: lambda books, command, _: (
        not isinstance(_told(books, command).event, HoldPlaced)
    ),
    Code.HOLD_CAPTURED: stage(Stage.CAPTURED),
    Code.HOLD_VOIDED: stage(Stage.VOIDED),
    Code.HOLD_EXPIRED: _hold_expired,
    Code.TRANSACTION_NOT_SCHEDULED: lambda books, command, _: (
        not isinstance(_told(books, command).event, TransferScheduled)
    ),
    Code.SCHEDULE_EXECUTED: stage(Stage.COMPLETED, Stage.FAILED),
    Code.SCHEDULE_CANCELLED: stage(Stage.CANCELLED),
    Code.ACCOUNT_NOT_FOUND: lambda books, command, _: bool(
        named(books, command) - books.policies.keys()
    ),
    Code.ACCOUNT_EXISTS: lambda books, command, _: named(books, command) <= books.policies.keys(),
    Code.VERSION_CONFLICT: _version,
    Code.CURRENCY_MISMATCH: _currency,
    Code.ACCOUNT_CLOSED: lambda books, command, _: any(
        policy.status is Status.CLOSED for policy in policies(books, command)
    ),
    Code.ACCOUNT_FROZEN: _frozen,
    Code.EFFECTIVE_AT_IN_FUTURE: _future,
    Code.PERIOD_CLOSED: _in_closed_books,
    Code.EXPIRES_AT_PASSED: _expires_passed,
    Code.DUE_AT_PASSED: lambda _, command, now: (
        isinstance(command, Schedule) and command.due_at <= now
    ),
    Code.CLOSING_IN_FUTURE: lambda _, command, now: (
        isinstance(command, CloseBooks) and command.closed_before > now
    ),
    Code.CLOSING_BACKWARDS: _backwards,
    Code.AMOUNT_OVER_LIMIT: _capped,
    Code.REFUND_EXCEEDS_ORIGINAL: _exceeds,
    Code.CAPTURE_EXCEEDS_HOLD: _exceeds,
    Code.INSUFFICIENT_FUNDS: _lacking,
    Code.BALANCE_BELOW_MINIMUM: _below,
    Code.BALANCE_ABOVE_MAXIMUM: _above,
    Code.ACCOUNT_NOT_EMPTY: _not_empty,
}
