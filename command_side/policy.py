"""What the accounts of some postings allow: the checks, in order of precedence. Pure."""

from collections.abc import Mapping, Sequence

from command_side.accounts import Account
from command_side.rejections import Code, Rejection
from events import money
from events.schema import Schema
from events.vocabulary import Posting, Side, Status


def refuses(
    postings: Sequence[Posting], accounts: Mapping[str, Account], schema: Schema
) -> Rejection | None:
    """Return the first refusal that needs no look at a balance."""
    return (
        _currency(postings, accounts)
        or _status(accounts, Status.CLOSED, Code.ACCOUNT_CLOSED)
        or _status(accounts, Status.FROZEN, Code.ACCOUNT_FROZEN)
        or _amount_limit(postings, schema)
    )


def lacks_funds(postings: Sequence[Posting], accounts: Mapping[str, Account]) -> Rejection | None:
    """Return a refusal if some account would pass its overdraft limit.

    An account is reduced by entries against its normal side; all postings are taken together, so
    what comes in and goes out in one transaction is netted.
    """
    out: dict[str, int] = {}
    for posting in postings:
        amount = posting.amount_minor
        for account_id, side in ((posting.debit, Side.DEBIT), (posting.credit, Side.CREDIT)):
            sign = -1 if side is accounts[account_id].normal_side else 1
            out[account_id] = out.get(account_id, 0) + sign * amount
    for account_id, amount in out.items():
        account = accounts[account_id]
        if amount > 0 and not account.covers(amount):
            detail = (
                f"Account {account_id} has {account.available} minor units of {account.currency} "
                f"available; {amount} are needed."
            )
            return Rejection(Code.INSUFFICIENT_FUNDS, detail)
    return None


def _currency(postings: Sequence[Posting], accounts: Mapping[str, Account]) -> Rejection | None:
    for posting in postings:
        for account_id in (posting.debit, posting.credit):
            currency = accounts[account_id].currency
            if currency != posting.currency:
                detail = f"Account {account_id} is in {currency}, not {posting.currency}."
                return Rejection(Code.CURRENCY_MISMATCH, detail)
    return None


def _status(accounts: Mapping[str, Account], status: Status, code: Code) -> Rejection | None:
    for account_id, account in accounts.items():
        if account.status is status:
            return Rejection(code, f"Account {account_id} is {status}.")
    return None


def _amount_limit(postings: Sequence[Posting], schema: Schema) -> Rejection | None:
    for posting in postings:
        for account_id in (posting.debit, posting.credit):
            kind = schema.class_of(account_id)
            limit = None if kind is None else schema.amount_max(kind, posting.currency)
            if limit is not None and posting.amount_minor > limit:
                allowed = money.to_text(limit, schema.decimals(posting.currency))
                detail = f"Account {account_id} takes at most {allowed} {posting.currency} at once."
                return Rejection(Code.AMOUNT_OVER_LIMIT, detail)
    return None
