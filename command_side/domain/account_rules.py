"""The rules for opening and changing accounts, and for closing the books. Pure."""

from datetime import datetime
from typing import TypeVar

import msgspec

from command_side.domain import checks
from command_side.domain.account import AccountState
from command_side.domain.commands import ChangeAccount, CloseBooks, OpenAccount
from command_side.domain.decision import Decision
from command_side.domain.rejections import Code, Rejection
from command_side.domain.state import State
from events.schema import AccountClass, Schema
from events.types import AccountChanged, AccountOpened, BooksClosed, Metadata, Status

Value = TypeVar("Value")


def open_account(
    command: OpenAccount, state: State, schema: Schema, recorded_at: datetime
) -> Decision:
    """Open an account; no event, if it exists with the same policy."""
    kind = schema.class_of(command.account_id)
    if kind is None:
        return _no_account(command.account_id)
    limit = (
        schema.overdraft_limit(kind, command.currency)
        if command.overdraft_limit is msgspec.UNSET
        else command.overdraft_limit
    )
    existing = state.accounts.get((command.ledger, command.account_id))
    if existing is not None:
        same = (existing.currency, existing.overdraft_limit, existing.metadata)
        if same == (command.currency, limit, command.metadata):
            return []
        detail = f"Account {command.account_id} exists with another policy."
        return Rejection(Code.ACCOUNT_EXISTS, detail)
    return [
        _opened(
            command.ledger,
            command.account_id,
            kind,
            command.currency,
            limit,
            recorded_at,
            command.metadata,
        )
    ]


def opening_by_use(
    ledger: str, account_id: str, currency: str, schema: Schema, recorded_at: datetime
) -> AccountOpened | Rejection:
    """Return the opening of an account by its first posting, if its class allows that."""
    kind = schema.class_of(account_id)
    if kind is None or not kind.open_by_use:
        return _no_account(account_id)
    limit = schema.overdraft_limit(kind, currency)
    return _opened(ledger, account_id, kind, currency, limit, recorded_at)


def change_account(command: ChangeAccount, state: State, recorded_at: datetime) -> Decision:
    """Give an account another policy; no event, if it has that policy already."""
    account = state.accounts.get((command.ledger, command.account_id))
    if account is None:
        return Rejection(Code.ACCOUNT_NOT_FOUND, f"There is no account {command.account_id}.")
    if command.expected_version not in (None, account.version):
        return checks.version_conflict(
            account.account_id, account.version, command.expected_version
        )
    if command.overdraft_limit and command.currency != account.currency:
        detail = f"Account {account.account_id} is in {account.currency}, not {command.currency}."
        return Rejection(Code.CURRENCY_MISMATCH, detail)
    status = _unless_unset(command.status, account.status)
    limit = _unless_unset(command.overdraft_limit, account.overdraft_limit)
    metadata = _unless_unset(command.metadata, account.metadata)
    if (status, limit, metadata) == (account.status, account.overdraft_limit, account.metadata):
        return []
    if account.status is Status.CLOSED:
        return Rejection(Code.ACCOUNT_CLOSED, f"Account {account.account_id} is closed for good.")
    if status is Status.CLOSED and not _empty(account):
        detail = f"Account {account.account_id} can be closed only at zero, with nothing held."
        return Rejection(Code.ACCOUNT_NOT_EMPTY, detail)
    return [
        AccountChanged(
            ledger=command.ledger,
            account_id=command.account_id,
            status=status,
            overdraft_limit=None if limit is None else str(limit),
            metadata=metadata,
            recorded_at=recorded_at,
        )
    ]


def close_books(command: CloseBooks, state: State, recorded_at: datetime) -> Decision:
    """Close a ledger's books up to a moment in the past; they are never opened again."""
    if command.closed_before > recorded_at:
        detail = f"{command.closed_before.isoformat()} is still to come."
        return Rejection(Code.CLOSING_IN_FUTURE, detail)
    books = state.books.get(command.ledger)
    if books is not None and command.closed_before == books.closed_before:
        return []
    if books is not None and command.closed_before < books.closed_before:
        detail = f"The books are closed before {books.closed_before.isoformat()} already."
        return Rejection(Code.CLOSING_BACKWARDS, detail)
    return [
        BooksClosed(
            ledger=command.ledger, closed_before=command.closed_before, recorded_at=recorded_at
        )
    ]


def _unless_unset(new: Value | msgspec.UnsetType, now: Value) -> Value:
    return now if new is msgspec.UNSET else new


def _empty(account: AccountState) -> bool:
    return not (account.balance or account.debits_pending or account.credits_pending)


def _opened(
    ledger: str,
    account_id: str,
    kind: AccountClass,
    currency: str,
    limit: int | None,
    recorded_at: datetime,
    metadata: Metadata | None = None,
) -> AccountOpened:
    return AccountOpened(
        ledger=ledger,
        account_id=account_id,
        account_class=kind.name,
        account_type=kind.type,
        currency=currency,
        normal_side=kind.normal_side,
        overdraft_limit=None if limit is None else str(limit),
        recorded_at=recorded_at,
        metadata=metadata,
    )


def _no_account(account_id: str) -> Rejection:
    detail = f"Account {account_id} does not exist, and its class does not open by use."
    return Rejection(Code.ACCOUNT_NOT_FOUND, detail)
