"""What the accounts of some postings allow: the checks, in order of precedence. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from command_side.domain.account import Account
from command_side.domain.commands import Condition
from command_side.domain.rejections import Code, Rejection
from events import money
from events.schema import Schema
from events.types import Posting, Side, Status


class Change(msgspec.Struct):
    """What some postings add to and take from one account's balance, in minor units."""

    added: int = 0
    taken: int = 0


def changes(postings: Sequence[Posting], accounts: Mapping[str, Account]) -> dict[str, Change]:
    """Return the change of every account: an entry on its normal side adds, the other one takes."""
    made = {account_id: Change() for account_id in accounts}
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
    accounts: Mapping[str, Account],
    made: Mapping[str, Change],
) -> Rejection | None:
    """Return the first refusal that only looks at what the accounts are."""
    return (
        _version(conditions, accounts)
        or _currency(postings, accounts)
        or _closed(accounts)
        or _frozen(accounts, made)
    )


def over_limit(postings: Sequence[Posting], schema: Schema) -> Rejection | None:
    """Return a refusal if a posting is larger than a class allows at once."""
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
    accounts: Mapping[str, Account], made: Mapping[str, Change], *, netted: bool = True
) -> Rejection | None:
    """Return a refusal if some account would pass its overdraft limit.

    All postings are taken together: what comes in and goes out in one transaction is `netted`,
    unless it is only reserved.
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
    conditions: Sequence[Condition], accounts: Mapping[str, Account], made: Mapping[str, Change]
) -> Rejection | None:
    """Return a refusal if a posted balance would not be within the command's own bounds.

    `made` is what is posted: nothing, of a hold.
    """
    if not conditions:
        return None
    after = [
        (condition, accounts[condition.account_id], made.get(condition.account_id, Change()))
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


def _version(conditions: Sequence[Condition], accounts: Mapping[str, Account]) -> Rejection | None:
    for condition in conditions:
        version = accounts[condition.account_id].version
        if condition.version is not None and condition.version != version:
            return version_conflict(condition.account_id, version, condition.version)
    return None


def version_conflict(account_id: str, version: int, expected: int) -> Rejection:
    """Say that somebody else was faster."""
    detail = f"Account {account_id} is at version {version}, not {expected}. Read it again."
    return Rejection(Code.VERSION_CONFLICT, detail)


def _currency(postings: Sequence[Posting], accounts: Mapping[str, Account]) -> Rejection | None:
    for posting in postings:
        for account_id in (posting.debit, posting.credit):
            currency = accounts[account_id].currency
            if currency != posting.currency:
                detail = f"Account {account_id} is in {currency}, not {posting.currency}."
                return Rejection(Code.CURRENCY_MISMATCH, detail)
    return None


def _closed(accounts: Mapping[str, Account]) -> Rejection | None:
    for account_id, account in accounts.items():
        if account.status is Status.CLOSED:
            return Rejection(Code.ACCOUNT_CLOSED, f"Account {account_id} is closed.")
    return None


def _frozen(accounts: Mapping[str, Account], made: Mapping[str, Change]) -> Rejection | None:
    for account_id, account in accounts.items():
        if account.status is Status.OPEN:
            continue
        change = made[account_id]
        if change.added and account.status is not Status.FROZEN_OUT:
            return Rejection(Code.ACCOUNT_FROZEN, f"Account {account_id} takes nothing in.")
        if change.taken and account.status is not Status.FROZEN_IN:
            return Rejection(Code.ACCOUNT_FROZEN, f"Account {account_id} gives nothing out.")
    return None


def _bound(code: Code, account: Account, balance: int, bound: int) -> Rejection:
    detail = (
        f"The balance of account {account.account_id} would be {balance} minor units of "
        f"{account.currency}; {bound} is the bound asked for."
    )
    return Rejection(code, detail)
