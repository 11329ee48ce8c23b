"""The decision: `decide(command, state, schema, recorded_at) -> events | Rejection`. Pure.

No clock, no random, no I/O: time comes in as an argument, and identity from the command itself.
Every check stands in the order of `rejections.Code`, so the first that fails is the answer.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

import msgspec

from command_side import policy
from command_side.accounts import Account, AccountKey, evolve
from command_side.commands import (
    ChangeAccount,
    Command,
    Keyed,
    OpenAccount,
    Refund,
    Transfer,
)
from command_side.rejections import Code, Rejection
from events.schema import Schema
from events.vocabulary import (
    AccountChanged,
    AccountOpened,
    Event,
    Posting,
    Side,
    Status,
    TransferPosted,
    TransferRejected,
)

Decision = Sequence[Event] | Rejection


class Original(msgspec.Struct, frozen=True):
    """A transaction that may be refunded, and how much of it (minor units) already was."""

    event: Event
    refunded: int


class State(msgspec.Struct):
    """What a batch of decisions reads and, decision by decision, brings up to date."""

    accounts: dict[AccountKey, Account]
    originals: dict[UUID, Original]


def decide(command: Command, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    """Return the events that `command` causes, or the first refusal by precedence."""
    match command:
        case Transfer():
            return _transfer(command, state, schema, recorded_at)
        case Refund():
            return _refund(command, state, schema, recorded_at)
        case OpenAccount():
            return _open(command, state, schema, recorded_at)
        case ChangeAccount():
            return _change(command, state, recorded_at)
        case _:
            assert_never(command)


def refused(command: Keyed, rejection: Rejection, recorded_at: datetime) -> TransferRejected:
    """Return the event that keeps a refusal, so that every retry gets the same answer."""
    return TransferRejected(
        ledger=command.ledger,
        key=command.key,
        fingerprint=command.fingerprint,
        postings=_asked(command),
        recorded_at=recorded_at,
        code=rejection.code,
        detail=rejection.detail,
        description=command.description,
        metadata=command.metadata,
        refund_of=command.refund_of if isinstance(command, Refund) else None,
    )


def _asked(command: Keyed) -> tuple[Posting, ...]:
    match command:
        case Transfer():
            return (
                Posting(command.source, command.destination, str(command.amount), command.currency),
            )
        case Refund():
            return ()
        case _:
            assert_never(command)


def _transfer(command: Transfer, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    postings = _asked(command)
    opened: list[AccountOpened] = []
    for account_id in (command.source, command.destination):
        if (command.ledger, account_id) in state.accounts:
            continue
        opening = _opening_by_use(command, account_id, schema, recorded_at)
        if isinstance(opening, Rejection):
            return opening
        opened.append(opening)
    involved = _involved(command.ledger, postings, state, opened)
    rejection = policy.refuses(postings, involved, schema) or policy.lacks_funds(postings, involved)
    if rejection is not None:
        return rejection
    posted = TransferPosted(
        ledger=command.ledger,
        key=command.key,
        fingerprint=command.fingerprint,
        postings=postings,
        recorded_at=recorded_at,
        description=command.description,
        metadata=command.metadata,
    )
    return [*opened, posted]


def _refund(command: Refund, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    original = state.originals.get(command.refund_of)
    if (
        original is None
        or not isinstance(original.event, TransferPosted | TransferRejected)
        or original.event.ledger != command.ledger
    ):
        detail = f"There is no transaction {command.refund_of} to refund."
        return Rejection(Code.TRANSACTION_NOT_FOUND, detail)
    if isinstance(original.event, TransferRejected) or original.event.refund_of is not None:
        what = "was refused" if isinstance(original.event, TransferRejected) else "is a refund"
        detail = f"Transaction {command.refund_of} {what}; there is nothing to give back."
        return Rejection(Code.TRANSACTION_NOT_REFUNDABLE, detail)
    posting = original.event.postings[0]
    left = posting.amount_minor - original.refunded
    amount = left if command.amount is None else command.amount
    currency = command.currency or posting.currency
    reverse = Posting(posting.credit, posting.debit, str(amount), currency)
    involved = _involved(command.ledger, (reverse,), state, ())
    rejection = policy.refuses((reverse,), involved, schema)
    if rejection is None and not 0 < amount <= left:
        detail = f"{left} minor units of {posting.currency} are left to refund."
        rejection = Rejection(Code.REFUND_EXCEEDS_ORIGINAL, detail)
    rejection = rejection or policy.lacks_funds((reverse,), involved)
    if rejection is not None:
        return rejection
    return [
        TransferPosted(
            ledger=command.ledger,
            key=command.key,
            fingerprint=command.fingerprint,
            postings=(reverse,),
            recorded_at=recorded_at,
            description=command.description,
            metadata=command.metadata,
            refund_of=command.refund_of,
        )
    ]


def _open(command: OpenAccount, state: State, schema: Schema, recorded_at: datetime) -> Decision:
    kind = schema.class_of(command.account_id)
    if kind is None:
        detail = f"The accounting schema has no class for {command.account_id!r}."
        return Rejection(Code.ACCOUNT_NOT_FOUND, detail)
    limit = (
        schema.overdraft_limit(kind, command.currency)
        if command.overdraft_limit is msgspec.UNSET
        else command.overdraft_limit
    )
    existing = state.accounts.get((command.ledger, command.account_id))
    if existing is not None:
        if (existing.currency, existing.overdraft_limit) == (command.currency, limit):
            return []
        detail = f"Account {command.account_id} exists with another policy."
        return Rejection(Code.ACCOUNT_EXISTS, detail)
    return [_opened(command, kind.name, kind.normal_side, limit, recorded_at)]


def _change(command: ChangeAccount, state: State, recorded_at: datetime) -> Decision:
    account = state.accounts.get((command.ledger, command.account_id))
    if account is None:
        return Rejection(Code.ACCOUNT_NOT_FOUND, f"There is no account {command.account_id}.")
    status = account.status if command.status is msgspec.UNSET else command.status
    limit = (
        account.overdraft_limit
        if command.overdraft_limit is msgspec.UNSET
        else command.overdraft_limit
    )
    if command.overdraft_limit and command.currency != account.currency:
        detail = f"Account {account.account_id} is in {account.currency}, not {command.currency}."
        return Rejection(Code.CURRENCY_MISMATCH, detail)
    if (status, limit) == (account.status, account.overdraft_limit):
        return []
    if account.status is Status.CLOSED:
        return Rejection(Code.ACCOUNT_CLOSED, f"Account {account.account_id} is closed for good.")
    if status is Status.CLOSED and (
        account.balance or account.debits_pending or account.credits_pending
    ):
        detail = f"Account {account.account_id} can be closed only at zero, with nothing held."
        return Rejection(Code.ACCOUNT_NOT_EMPTY, detail)
    return [
        AccountChanged(
            ledger=command.ledger,
            account_id=command.account_id,
            status=status,
            overdraft_limit=None if limit is None else str(limit),
            recorded_at=recorded_at,
        )
    ]


def _involved(
    ledger: str, postings: Sequence[Posting], state: State, opened: Sequence[AccountOpened]
) -> dict[str, Account]:
    """Return the accounts of `postings` by id, those about to be opened included."""
    accounts = state.accounts
    if opened:
        accounts = dict[AccountKey, Account]()
        for opening in opened:
            evolve(accounts, opening)
    return {
        account_id: accounts.get((ledger, account_id)) or state.accounts[ledger, account_id]
        for posting in postings
        for account_id in (posting.debit, posting.credit)
    }


def _opening_by_use(
    command: Transfer, account_id: str, schema: Schema, recorded_at: datetime
) -> AccountOpened | Rejection:
    kind = schema.class_of(account_id)
    if kind is None or not kind.open_by_use:
        return _no_account(account_id)
    opening = OpenAccount(ledger=command.ledger, account_id=account_id, currency=command.currency)
    limit = schema.overdraft_limit(kind, command.currency)
    return _opened(opening, kind.name, kind.normal_side, limit, recorded_at)


def _opened(
    command: OpenAccount, name: str, side: Side, limit: int | None, recorded_at: datetime
) -> AccountOpened:
    return AccountOpened(
        ledger=command.ledger,
        account_id=command.account_id,
        account_class=name,
        currency=command.currency,
        normal_side=side,
        overdraft_limit=None if limit is None else str(limit),
        recorded_at=recorded_at,
    )


def _no_account(account_id: str) -> Rejection:
    detail = f"Account {account_id} does not exist, and its class does not open by use."
    return Rejection(Code.ACCOUNT_NOT_FOUND, detail)
