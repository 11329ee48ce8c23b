"""What the routes of statements answer with in JSON. Pure."""

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field

from events import money
from events.answers import Position
from events.money import Minor, Units
from events.schema import Schema
from events.types import AccountType, Kind, Side
from query_side import counters
from query_side.statements.parameters import Basis
from query_side.statements.statement import AccountStatement, StatementEntry
from query_side.statements.trial_balance import CounterSum, CurrencySums, TrialBalancePage
from runtime.sql import Row


class StatementLine(Struct, kw_only=True):
    """An entry of a statement, with the balance after it."""

    position: Position
    line: int
    transaction_id: UUID
    kind: Kind
    side: Side
    amount: Units
    amount_minor: Minor
    balance: Units
    balance_minor: Minor
    recorded_at: datetime
    effective_at: datetime
    counterparty_account_id: str
    reference: str | None
    description: str | None


class Statement(Struct, kw_only=True):
    """What was posted to an account in a period. The same `at_position` gives the same statement.

    `books_closed`: nothing can be dated into the period any more.
    """

    statement_id: UUID
    account_id: str
    currency: str
    normal_side: Side
    basis: Basis
    from_: datetime = field(name="from")
    to: datetime
    at_position: Position
    books_closed: bool
    opening_balance: Units
    opening_balance_minor: Minor
    closing_balance: Units
    closing_balance_minor: Minor
    total_debits: Units
    total_debits_minor: Minor
    total_credits: Units
    total_credits_minor: Minor
    debit_count: int
    credit_count: int
    entries: list[StatementLine]


class Sum(Struct, kw_only=True):
    """The counters of some accounts, and their balance by the side that their type usually has."""

    account_type: AccountType | UnsetType = UNSET
    account_class: str | UnsetType = UNSET
    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor
    balance: Units | UnsetType = UNSET
    balance_minor: Minor | UnsetType = UNSET


class Total(Struct, kw_only=True):
    """All accounts in one currency, and those of each type and each class."""

    currency: str
    balanced: bool
    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor
    types: list[Sum]
    classes: list[Sum]


class BalancedAccount(Struct, kw_only=True):
    """An account of the trial balance."""

    account_id: str
    account_type: AccountType
    account_class: str
    normal_side: Side
    currency: str
    balance: Units
    balance_minor: Minor
    available: Units
    available_minor: Minor
    debits_posted: Units
    debits_posted_minor: Minor
    credits_posted: Units
    credits_posted_minor: Minor
    debits_pending: Units
    debits_pending_minor: Minor
    credits_pending: Units
    credits_pending_minor: Minor


class TrialBalance(Struct, kw_only=True):
    """The totals of each currency, and a page of the accounts."""

    at_position: Position
    effective_at: datetime | None
    totals: list[Total]
    items: list[BalancedAccount]
    next: str | None


def statement(found: AccountStatement, decimals: int) -> Statement:
    """Return a statement without its entries, which are read while it is sent."""
    account, period = found.account, found.period
    return Statement(
        statement_id=found.statement_id,
        account_id=account.account_id,
        currency=account.currency,
        normal_side=account.normal_side,
        basis=found.basis,
        from_=period.start,
        to=period.end,
        at_position=found.known,
        books_closed=found.books_closed,
        **money.fields(
            decimals,
            opening_balance=found.opening_balance,
            closing_balance=found.closing_balance,
            total_debits=found.debits.amount,
            total_credits=found.credits.amount,
        ),
        debit_count=found.debits.entries,
        credit_count=found.credits.entries,
        entries=[],
    )


def line(entry: StatementEntry, decimals: int) -> StatementLine:
    """Return an entry of a statement, with the balance after it."""
    return StatementLine(
        position=entry.position,
        line=entry.line,
        transaction_id=entry.transaction_id,
        kind=entry.kind,
        side=entry.side,
        **money.fields(decimals, amount=entry.amount, balance=entry.balance),
        recorded_at=entry.recorded_at,
        effective_at=entry.effective_at,
        counterparty_account_id=entry.counterparty,
        reference=entry.reference,
        description=entry.description,
    )


def trial_balance(found: TrialBalancePage, schema: Schema) -> TrialBalance:
    """Return the totals of each currency, and a page of the accounts."""
    return TrialBalance(
        at_position=found.point.known,
        effective_at=found.point.effective_at,
        totals=[_total(each, schema) for each in found.totals],
        items=[_account(row, schema) for row in found.rows],
        next=found.next_cursor,
    )


def _total(found: CurrencySums, schema: Schema) -> Total:
    decimals = schema.decimals(found.currency)
    return Total(
        currency=found.currency,
        balanced=found.everything.balanced,
        **money.fields(decimals, **found.everything.counters()),
        types=[_sum(each, decimals) for each in found.types.values()],
        classes=[_sum(each, decimals) for each in found.classes],
    )


def _sum(found: CounterSum, decimals: int) -> Sum:
    amounts = found.counters()
    balance = found.balance
    if balance is not None:
        amounts["balance"] = balance
    return Sum(
        account_type=UNSET if found.account_type is None else found.account_type,
        account_class=UNSET if found.account_class is None else found.account_class,
        **money.fields(decimals, **amounts),
    )


def _account(row: Row, schema: Schema) -> BalancedAccount:
    normal_side = Side(row["normal_side"])
    return BalancedAccount(
        account_id=row["account_id"],
        account_type=AccountType(row["account_type"]),
        account_class=row["account_class"],
        normal_side=normal_side,
        currency=row["currency"],
        **counters.of_row(row).fields(normal_side, schema.decimals(row["currency"])),
    )
