"""From a body to the opening or the change of an account, or the closing of books. Pure."""

import msgspec

from command_side.api.bodies import ChangeBody, CloseBody, OpenBody
from command_side.api.values import check_account_id, check_metadata, currency_of, moment_of
from command_side.domain.commands import ChangeAccount, CloseBooks, OpenAccount
from events import money
from events.schema import NONE, UNLIMITED, Schema


def open_account(ledger: str, body: OpenBody, schema: Schema) -> OpenAccount:
    """Return the opening that `body` asks for. Raises Invalid."""
    currency = currency_of(body.currency, schema)
    check_metadata(body.metadata, schema)
    return OpenAccount(
        ledger=ledger,
        account_id=check_account_id(body.account_id, "account_id"),
        currency=currency,
        overdraft_limit=_overdraft_limit(body.overdraft, currency, schema),
        metadata=body.metadata,
    )


def change_account(ledger: str, account_id: str, body: ChangeBody, schema: Schema) -> ChangeAccount:
    """Return the change that `body` asks for. Raises Invalid."""
    currency = currency_of(body.currency, schema)
    if isinstance(body.metadata, dict):
        check_metadata(body.metadata, schema)
    return ChangeAccount(
        ledger=ledger,
        account_id=check_account_id(account_id, "account_id"),
        status=msgspec.UNSET if body.status is None else body.status,
        overdraft_limit=_overdraft_limit(body.overdraft, currency, schema),
        metadata=body.metadata,
        currency=currency,
        expected_version=body.expected_version,
    )


def close_books(ledger: str, body: CloseBody) -> CloseBooks:
    """Return the closing that `body` asks for. Raises Invalid."""
    closed_before = moment_of(body.closed_before, "closed_before")
    assert closed_before is not None
    return CloseBooks(ledger=ledger, closed_before=closed_before)


def _overdraft_limit(
    text: str | None, currency: str, schema: Schema
) -> int | msgspec.UnsetType | None:
    match text:
        case None:
            return msgspec.UNSET
        case str() if text == UNLIMITED:
            return None
        case str() if text == NONE:
            return 0
    amount = money.parse(f'"{text}"'.encode(), "overdraft")
    return money.to_minor(amount, schema.decimals(currency), currency, "overdraft") if amount else 0
