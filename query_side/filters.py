"""What each list is asked for: its parameters, the index that leads to its rows, its filters. Pure.

    /transactions               by position             about, reference, account, the ledger
    /entries, …/ledger          by position and line    transaction_id, account, the ledger
    /accounts                   by id                   prefix, the ledger
    …/audit-trail               by position             the account

Filters work together: a row is shown if it matches all of them. Where several of them offer an
index (on the right, best first), the first one given leads to the rows, and the others only pick.
"""

from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from events.schema import Schema
from events.types import AccountType, Kind, Side, Stage, Status, account_stream_id
from query_side.parameters import Order, Paging, Parameters, Period
from web.cursors import BIGGEST, Cut

FIRST: Cut = (0,)
LAST: Cut = (BIGGEST,)
FIRST_LINE: Cut = (0, 0)
LAST_LINE: Cut = (BIGGEST, 0)
FIRST_ID: Cut = ("",)
# Greater than every character that an account id may hold.
AFTER_IDS = "~"


class EntryKind(StrEnum):
    """Which entries are shown: those that moved a balance, what was reserved or let go, or all."""

    POSTED = "posted"
    HELD = "held"
    RELEASED = "released"
    ALL = "all"


class Listing(NamedTuple):
    """A list as it was asked for: the range of its keys, where to look, and what to pick.

    `look` takes the lowest and the highest cut, whether to go up, how many keys, and its arguments.
    `pick` takes how many rows, the looked-at keys column by column, and its arguments. `period` is
    of recorded time, which positions follow.
    """

    name: str
    key: tuple[str, ...]
    low: Cut
    high: Cut
    look: str
    look_arguments: tuple[Any, ...]
    pick: str
    pick_arguments: tuple[Any, ...]
    period: Period = Period()


Asked = tuple[Listing, Paging]


def transactions(parameters: Parameters, ledger: str, schema: Schema) -> Asked:
    """Return which transactions of a ledger are asked for. Raises Invalid."""
    paging = parameters.paging("transactions", FIRST)
    account = parameters.account("account")
    about = parameters.transaction("about")
    reference = parameters.text("reference")
    currency = parameters.currency(schema)
    created = parameters.period("created")
    look, *arguments = _look_for_transactions(about, reference, account)
    filters = (
        # What the account's own index leads to is the account's.
        None if look == "look_transactions_of_account" else account,
        parameters.choice("status", Stage),
        parameters.choice("kind", Kind),
        currency,
        *parameters.range("amount", currency, schema),
        *parameters.period("effective"),
        reference,
        parameters.text("text"),
        *parameters.notes(),
    )
    parameters.done()
    listing = Listing(
        name="transactions",
        key=("position",),
        low=FIRST,
        high=LAST,
        look=look,
        look_arguments=(ledger, *arguments),
        pick="pick_transactions",
        pick_arguments=(ledger, *filters),
        period=created,
    )
    return listing, paging


def entries(
    parameters: Parameters, ledger: str, schema: Schema, of_account: str | None = None
) -> Asked:
    """Return which entries are asked for: of a ledger, or `of_account`'s only. Raises Invalid."""
    name = "entries" if of_account is None else "ledger"
    paging = parameters.paging(name, FIRST_LINE)
    account = parameters.account("account") if of_account is None else of_account
    transaction = parameters.transaction("transaction_id")
    currency = parameters.currency(schema)
    recorded = parameters.period("recorded")
    kind = parameters.choice("kind", EntryKind) or EntryKind.POSTED
    look, *arguments = _look_for_entries(transaction, account)
    filters = (
        None if kind is EntryKind.ALL else kind,
        parameters.choice("side", Side),
        currency,
        *parameters.range("amount", currency, schema),
        *parameters.period("effective"),
    )
    parameters.done()
    listing = Listing(
        name=name,
        key=("position", "line"),
        low=FIRST_LINE,
        high=LAST_LINE,
        look=look,
        look_arguments=(ledger, *arguments),
        pick="pick_entries",
        pick_arguments=(ledger, *filters),
        period=recorded,
    )
    return listing, paging


def accounts(parameters: Parameters, ledger: str, schema: Schema) -> Asked:
    """Return which accounts of a ledger are asked for. Raises Invalid."""
    paging = parameters.paging("accounts", FIRST_ID, Order.ASCENDING)
    prefix = parameters.prefix("prefix")
    currency = parameters.currency(schema)
    filters = (
        parameters.text("class"),
        parameters.choice("type", AccountType),
        parameters.choice("status", Status),
        currency,
        *parameters.range("balance", currency, schema, signed=True),
        *parameters.period("opened"),
        parameters.text("text"),
        *parameters.notes(),
    )
    parameters.done()
    listing = Listing(
        name="accounts",
        key=("account_id",),
        # All ids that begin so are neighbours.
        low=(prefix,),
        high=(prefix + AFTER_IDS,),
        look="look_accounts",
        look_arguments=(ledger,),
        pick="pick_accounts",
        pick_arguments=(ledger, *filters),
    )
    return listing, paging


def audit_trail(parameters: Parameters, ledger: str, account: str) -> Asked:
    """Return which of the events that concern `account` are asked for. Raises Invalid."""
    paging = parameters.paging("audit-trail", FIRST)
    parameters.done()
    listing = Listing(
        name="audit-trail",
        key=("notification_id",),
        low=FIRST,
        high=LAST,
        look="look_audit_trail",
        look_arguments=(ledger, account, account_stream_id(ledger, account)),
        pick="pick_events",
        pick_arguments=(),
    )
    return listing, paging


def _look_for_transactions(
    about: UUID | None, reference: str | None, account: str | None
) -> tuple[Any, ...]:
    if about is not None:
        return "look_transactions_about", about
    if reference is not None:
        return "look_transactions_by_reference", reference
    if account is not None:
        return "look_transactions_of_account", account
    return ("look_transactions",)


def _look_for_entries(transaction: UUID | None, account: str | None) -> tuple[Any, ...]:
    if transaction is not None:
        return "look_entries_of_transaction", transaction, account
    if account is not None:
        return "look_entries_of_account", account
    return ("look_entries",)
