"""What the routes of transactions take, and which list that asks for. Pure.

Filters work together: a row must match all of them. Where several of them have an index, the first
one of these that is given leads to the rows: `about`, `reference`, `account`, the ledger.
"""

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct, field

from events.schema import Schema
from events.types import Kind, Stage
from query_side import parameters
from query_side.list_query import FIRST, LAST, ListQuery, ListRequest, Period
from query_side.parameters import (
    AccountId,
    Amount,
    Currency,
    EffectiveFrom,
    EffectiveTo,
    ListParameters,
    Metadata,
    RecordedFrom,
    RecordedTo,
    Text,
    TransactionId,
)
from runtime.problems import NotFound

_AMOUNT = "What its postings in the currency are together, in units"


def transaction_id(text: str, _name: str) -> UUID:
    """Return the id of a transaction; no other text names one. Raises NotFound."""
    try:
        return UUID(text)
    except ValueError as error:
        raise no_transaction(text) from error


def no_transaction(text: str) -> NotFound:
    """Return the answer to the id of no transaction."""
    return NotFound("transaction_not_found", f"There is no transaction {text!r}.")


class OfTransaction(Struct, frozen=True):
    """The path of one transaction."""

    transaction_id: Annotated[
        UUID,
        Meta(
            description="The `messageId` of the submission.",
            extra={"parse": transaction_id, "code": "path_invalid"},
        ),
    ]


class OfKey(Struct, frozen=True):
    """The path of a submission."""

    key: Annotated[
        str,
        Meta(
            description="The idempotency key, percent-encoded, `/` included.",
            extra={"code": "path_invalid"},
        ),
    ]


class TransactionFilters(ListParameters, frozen=True, kw_only=True):
    """Which transactions of a ledger."""

    account: (
        Annotated[AccountId, Meta(description="It moves this account, or names it.")] | None
    ) = None
    status: (
        Annotated[Stage, Meta(description="As it stands now.", extra={"code": "status_unknown"})]
        | None
    ) = None
    kind: (
        Annotated[Kind, Meta(description="What was asked for.", extra={"code": "kind_unknown"})]
        | None
    ) = None
    currency: Currency | None = None
    amount_min: Annotated[Amount, Meta(description=f"{_AMOUNT}: at least.")] | None = None
    amount_max: Annotated[Amount, Meta(description=f"{_AMOUNT}: at most.")] | None = None
    created_from: RecordedFrom | None = None
    created_to: RecordedTo | None = None
    effective_from: EffectiveFrom | None = None
    effective_to: EffectiveTo | None = None
    reference: Annotated[Text, Meta(description="Exactly this reference.")] | None = None
    text: (
        Annotated[Text, Meta(description="Part of its description, reference or idempotency key.")]
        | None
    ) = None
    about: (
        Annotated[
            TransactionId,
            Meta(description="It refunds, captures, voids or cancels this transaction."),
        ]
        | None
    ) = None
    metadata: Metadata = field(default_factory=dict)


def transactions(filters: TransactionFilters, ledger: str, schema: Schema) -> ListRequest:
    """Return which transactions of a ledger are asked for. Raises Invalid."""
    page = filters.page("transactions", FIRST)
    currency = parameters.currency_of(filters.currency, schema)
    bounds = (filters.amount_min, filters.amount_max)
    key_query, *arguments = _key_query(filters)
    query = ListQuery(
        name="transactions",
        key=("position",),
        low=FIRST,
        high=LAST,
        key_query=key_query,
        key_arguments=(ledger, *arguments),
        row_query="transaction_rows",
        row_arguments=(
            ledger,
            # The account's own index leads to its transactions only.
            None if key_query == "transaction_keys_of_account" else filters.account,
            filters.status,
            filters.kind,
            currency,
            *parameters.amount_range("amount", bounds, currency, schema),
            filters.effective_from,
            filters.effective_to,
            filters.reference,
            filters.text,
            *parameters.metadata_filter(filters.metadata),
        ),
        period=Period(filters.created_from, filters.created_to),
    )
    return query, page


def _key_query(filters: TransactionFilters) -> tuple[Any, ...]:
    if filters.about is not None:
        return "transaction_keys_about", filters.about
    if filters.reference is not None:
        return "transaction_keys_by_reference", filters.reference
    if filters.account is not None:
        return "transaction_keys_of_account", filters.account
    return ("transaction_keys",)
