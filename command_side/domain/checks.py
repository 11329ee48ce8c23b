"""The checks of postings against their accounts, in order of precedence. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from command_side.domain.account import AccountState
from command_side.domain.commands import Condition
from command_side.domain.rejections import Code, Rejection
from events import money
from events.schema import Schema
from events.types import Posting, Side, Status

AccountsById = Mapping[str, AccountState]


class BalanceChange(msgspec.Struct, gc=False):
    """What some postings add to one account's balance, and take from it, in minor units."""

    added: int = 0
    taken: int = 0


BalanceChanges = Mapping[str, BalanceChange]


def refusal_to_post(
    postings: Sequence[Posting],
    conditions: Sequence[Condition],
    accounts: AccountsById,
    schema: Schema,
    misdated: Rejection | None = None,
) -> Rejection | None:
    """Return the first reason not to post `postings` now, if there is one.

    `misdated` is why their date is not allowed, if it is not.
    """
    made = balance_changes(postings, accounts)
    return (
        stands(postings, conditions, accounts, made)
        or misdated
        or over_limit(postings, schema)
        or lacks_funds(accounts, made)
        or out_of_bounds(conditions, accounts, made)
    )


def balance_changes(
    postings: Sequence[Posting], accounts: AccountsById
) -> dict[str, BalanceChange]:
    """Return the change of every account: an entry adds on the normal side, and takes on the other.

    Every account in `accounts` has a change, perhaps of nothing.
    """
    made = {account_id: BalanceChange() for account_id in accounts}
    for posting in postings:
        amount = posting.amount_minor
        if accounts[posting.debit].normal_side is Side.DEBIT:
            made[posting.debit].added += amount
        else:
            made[posting.debit].taken += amount
        if accounts[posting.credit].normal_side is Side.CREDIT:
            made[posting.credit].added += amount
        else:
            made[posting.credit].taken += amount
    return made


def stands(
    postings: Sequence[Posting],
    conditions: Sequence[Condition],
    accounts: AccountsById,
    made: BalanceChanges,
) -> Rejection | None:
    """Return the first refusal that depends only on the accounts' version, currency and status."""
    return (
        _version(conditions, accounts) or _currency(postings, accounts) or _status(accounts, made)
    )


def over_limit(postings: Sequence[Posting], schema: Schema) -> Rejection | None:
    """Return a refusal if a posting is larger than the class of an account allows."""
    if not schema.bounds_amounts:
        return None
    for posting in postings:
        for account_id in (posting.debit, posting.credit):
            kind = schema.class_of(account_id)
            limit = None if kind is None else schema.amount_max(kind, posting.currency)
            if limit is not None and posting.amount_minor > limit:
                allowed = money.to_text(limit, schema.decimals(posting.currency))
                detail = f"Account {account_id} takes at most {allowed} {posting.currency} at once."
                return Rejection(Code.AMOUNT_OVER_LIMIT, detail)
    return None


def lacks_funds(
    accounts: AccountsById, made: BalanceChanges, *, netted: bool = True
) -> Rejection | None:
    """Return a refusal if some account would pass its overdraft limit.

    All postings count together. What one transaction adds and takes is `netted`; a hold only
    reserves, so nothing that it adds is there yet.
    """
    for account_id, change in made.items():
        needed = change.taken - change.added if netted else change.taken
        account = accounts[account_id]
        if needed > 0 and not account.covers(needed):
            detail = (
                f"Account {account_id} has {account.available} minor units of {account.currency} "
                f"available; {needed} are needed."
            )
            return Rejection(Code.INSUFFICIENT_FUNDS, detail)
    return None


def out_of_bounds(
    conditions: Sequence[Condition], accounts: AccountsById, made: BalanceChanges
) -> Rejection | None:
    """Return a refusal if a posted balance would be outside the command's own bounds.

    `made` is what is posted; a hold posts nothing.
    """
    if not conditions:
        return None
    after = [
        (condition, accounts[condition.account_id], made.get(condition.account_id, BalanceChange()))
        for condition in conditions
    ]
    for condition, account, change in after:
        balance = account.balance + change.added - change.taken
        if condition.balance_min is not None and balance < condition.balance_min:
            return _bound(Code.BALANCE_BELOW_MINIMUM, account, balance, condition.balance_min)
    for condition, account, change in after:
        balance = account.balance + change.added - change.taken
        if condition.balance_max is not None and balance > condition.balance_max:
            return _bound(Code.BALANCE_ABOVE_MAXIMUM, account, balance, condition.balance_max)
    return None


def _version(conditions: Sequence[Condition], accounts: AccountsById) -> Rejection | None:
    for condition in conditions:
        version = accounts[condition.account_id].version
        if condition.version is not None and condition.version != version:
            return version_conflict(condition.account_id, version, condition.version)
    return None


def version_conflict(account_id: str, version: int, expected: int) -> Rejection:
    """Return the refusal of a command that expected another version of an account."""
    detail = f"Account {account_id} is at version {version}, not {expected}. Read it again."
    return Rejection(Code.VERSION_CONFLICT, detail)


def _currency(postings: Sequence[Posting], accounts: AccountsById) -> Rejection | None:
    for posting in postings:
        for account_id in (posting.debit, posting.credit):
            currency = accounts[account_id].currency
            if currency != posting.currency:
                detail = f"Account {account_id} is in {currency}, not {posting.currency}."
                return Rejection(Code.CURRENCY_MISMATCH, detail)
    return None


def _status(accounts: AccountsById, made: BalanceChanges) -> Rejection | None:
    """Return a refusal if an account is closed, or else if one is frozen for its change."""
    barred = [account for account in accounts.values() if account.status is not Status.OPEN]
    for account in barred:
        if account.status is Status.CLOSED:
            return Rejection(Code.ACCOUNT_CLOSED, f"Account {account.account_id} is closed.")
    for account in barred:
        account_id, change = account.account_id, made[account.account_id]
        if change.added and account.status is not Status.FROZEN_OUT:
            return Rejection(Code.ACCOUNT_FROZEN, f"Account {account_id} takes nothing in.")
        if change.taken and account.status is not Status.FROZEN_IN:
            return Rejection(Code.ACCOUNT_FROZEN, f"Account {account_id} gives nothing out.")
    return None


def _bound(code: Code, account: AccountState, balance: int, bound: int) -> Rejection:
    detail = (
        f"The balance of account {account.account_id} would be {balance} minor units of "
        f"{account.currency}; {bound} is the bound asked for."
    )
    return Rejection(code, detail)
