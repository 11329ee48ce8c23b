"""What the lists of entries take, and which list that asks for. Pure.

Filters work together: an entry must match all of them. The first one of these that is given leads
to the entries: `transaction_id`, the account, the ledger.
"""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from events.schema import Schema
from events.types import Side
from query_side import parameters
from query_side.list_query import ListQuery, ListRequest, Period
from query_side.parameters import (
    AccountId,
    Amount,
    Currency,
    EffectiveFrom,
    EffectiveTo,
    ListParameters,
    RecordedFrom,
    RecordedTo,
    TransactionId,
)
from web.cursors import BIGGEST, Cut

FIRST_LINE: Cut = (0, 0)
LAST_LINE: Cut = (BIGGEST, 0)
_AMOUNT = "The entry's amount, in units"


class EntryKindFilter(StrEnum):
    """Entries that moved a balance, entries that held or released an amount, or all of them."""

    POSTED = "posted"
    HELD = "held"
    RELEASED = "released"
    ALL = "all"


class AccountEntryFilters(ListParameters, frozen=True, kw_only=True):
    """Which entries of an account."""

    kind: Annotated[
        EntryKindFilter, Meta(description="Which entries.", extra={"code": "kind_unknown"})
    ] = EntryKindFilter.POSTED
    side: (
        Annotated[Side, Meta(description="Of the entry.", extra={"code": "side_unknown"})] | None
    ) = None
    currency: Currency | None = None
    amount_min: Annotated[Amount, Meta(description=f"{_AMOUNT}: at least.")] | None = None
    amount_max: Annotated[Amount, Meta(description=f"{_AMOUNT}: at most.")] | None = None
    recorded_from: RecordedFrom | None = None
    recorded_to: RecordedTo | None = None
    effective_from: EffectiveFrom | None = None
    effective_to: EffectiveTo | None = None
    transaction_id: (
        Annotated[TransactionId, Meta(description="The entries of this transaction.")] | None
    ) = None


class EntryFilters(AccountEntryFilters, frozen=True, kw_only=True):
    """Which entries of a ledger."""

    account: Annotated[AccountId, Meta(description="The entries of this account.")] | None = None


def entries(filters: EntryFilters, ledger: str, schema: Schema) -> ListRequest:
    """Return which entries of a ledger are asked for. Raises Invalid."""
    return _entries("entries", filters, ledger, filters.account, schema)


def of_account(
    filters: AccountEntryFilters, ledger: str, account: str, schema: Schema
) -> ListRequest:
    """Return which entries of an account are asked for. Raises Invalid."""
    return _entries("ledger", filters, ledger, account, schema)


def _entries(
    name: str, filters: AccountEntryFilters, ledger: str, account: str | None, schema: Schema
) -> ListRequest:
    page = filters.page(name, FIRST_LINE)
    currency = parameters.currency_of(filters.currency, schema)
    bounds = (filters.amount_min, filters.amount_max)
    key_query, *arguments = _key_query(filters, account)
    query = ListQuery(
        name=name,
        key=("position", "line"),
        low=FIRST_LINE,
        high=LAST_LINE,
        key_query=key_query,
        key_arguments=(ledger, *arguments),
        row_query="entry_rows",
        row_arguments=(
            ledger,
            None if filters.kind is EntryKindFilter.ALL else filters.kind,
            filters.side,
            currency,
            *parameters.amount_range("amount", bounds, currency, schema),
            filters.effective_from,
            filters.effective_to,
        ),
        period=Period(filters.recorded_from, filters.recorded_to),
    )
    return query, page


def _key_query(filters: AccountEntryFilters, account: str | None) -> tuple[Any, ...]:
    if filters.transaction_id is not None:
        return "entry_keys_of_transaction", filters.transaction_id, account
    if account is not None:
        return "entry_keys_of_account", account
    return ("entry_keys",)
