"""Every view of the log: where its rows are, and what the auditor's books say they must hold.

A *journal* has rows that one event each made; it is compared page by page, as the log is read.
A *register* has a row for each account, transaction or ledger; it is compared as it stands, once
the log is read. A test holds that together they cover every column of every view.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from auditing import row_text
from auditing.discrepancies import Kind
from auditing.expected_rows import Closing, Line, Mention, Moment, Outcome, Standing, Tally
from auditing.replay import Books
from runtime.sql import queries

SQL = queries("auditing")
COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
_DECIDED = {"position", "stage", "code", "detail"}

Columns = dict[str, Any]


class Journal(NamedTuple):
    """`row` has the columns of `query`, in order; `title` says in words which row it is.

    The queries take the positions (after, until]; `account_query` also the ledger and the account,
    and the period if its rows are `dated`. `text_query` is all of them as one text, which `as_text`
    makes of the rows that must be there.
    """

    table: str
    query: str
    row: type[Line | Outcome | Mention | Moment]
    key: Callable[[Any], object]
    title: str
    missing: Kind
    unexpected: Kind
    differs: Callable[[set[str]], Kind]
    account_query: str = ""
    dated: bool = False
    text_query: str = ""
    as_text: Callable[[Any], str | None] | None = None


class Register(NamedTuple):
    """`columns` are what a row beside its key must hold; None if there must be no row.

    `position` is the last event that changed it; if it sums up entries (`of_entries`), the first
    of those that differs says more. The query takes the key after which to go on, from `start`,
    and how many rows; `keys_query` columns of keys; `account_query` an account's key. `shown` makes
    of a row what is compared.
    """

    table: str
    query: str
    key: tuple[str, ...]
    start: tuple[object, ...]
    title: str
    kind: Kind
    booked: Callable[[Books], Mapping[Any, Any]]
    columns: Callable[[Any], Columns | None]
    position: Callable[[Any], int]
    account_query: str = ""
    keys_query: str = ""
    of_entries: bool = False
    shown: Callable[[Any], Columns] = dict


def counters(tally: Tally) -> Columns:
    """Return an account's four counters."""
    return {name: getattr(tally, name) for name in COUNTERS}


def _policy(tally: Tally) -> Columns:
    return {
        "account_class": tally.account_class,
        "account_type": tally.account_type,
        "currency": tally.currency,
        "normal_side": tally.normal_side,
        "overdraft_limit": tally.overdraft_limit,
        "status": tally.status,
        "version": tally.version,
        "metadata": tally.metadata,
    }


def _account(tally: Tally) -> Columns:
    return {**_policy(tally), "opened_at": tally.opened_at}


def _balance(tally: Tally) -> Columns:
    return {**counters(tally), "position": tally.last_position, "as_of": tally.last_at}


def _command_account(tally: Tally) -> Columns:
    return {**_policy(tally), **counters(tally)}


def _standing(standing: Standing) -> Columns | None:
    """Readers are told of the postings up to the last one of which anything was used."""
    if not standing.position:
        return None
    told = max((line + 1 for line, used in enumerate(standing.used) if used), default=0)
    return {
        "stage": standing.stage,
        "used": standing.used[:told],
        "code": standing.code,
        "detail": standing.detail,
        "position": standing.position,
        "changed_at": standing.changed_at,
    }


def _command_standing(standing: Standing) -> Columns | None:
    if not standing.position and standing.due_at is None:
        return None
    return {"stage": standing.stage, "used": standing.used, "due_at": standing.due_at}


def _command_closing(closing: Closing) -> Columns:
    return {"closed_before": closing.closed_before, "version": closing.version}


def _closing(closing: Closing) -> Columns:
    return {**_command_closing(closing), "position": closing.position}


ENTRIES = Journal(
    table="read.entries",
    query=SQL["entries_between"],
    row=Line,
    key=attrgetter("position", "line", "ledger", "account_id"),
    title="entry in account {account_id}, position {position}, line {line}",
    missing=Kind.MISSING_ENTRY,
    unexpected=Kind.UNEXPECTED_ENTRY,
    differs=lambda names: (
        Kind.BALANCE_MISMATCH if names.issubset(COUNTERS) else Kind.AMOUNT_MISMATCH
    ),
    account_query=SQL["account_entries_between"],
    dated=True,
    text_query=SQL["entries_as_text"],
    as_text=row_text.of_lines,
)
TRANSACTIONS = Journal(
    table="read.transactions",
    query=SQL["transactions_between"],
    row=Outcome,
    key=attrgetter("transaction_id"),
    title="transaction {transaction_id}",
    missing=Kind.MISSING_TRANSACTION,
    unexpected=Kind.UNEXPECTED_TRANSACTION,
    differs=lambda names: Kind.STATUS_MISMATCH if names & _DECIDED else Kind.TRANSACTION_MISMATCH,
    text_query=SQL["transactions_as_text"],
    as_text=row_text.of_outcomes,
)
MENTIONS = Journal(
    table="read.mentions",
    query=SQL["mentions_between"],
    row=Mention,
    key=attrgetter("ledger", "account_id", "position"),
    title="mention of account {account_id} at position {position}",
    missing=Kind.MISSING_MENTION,
    unexpected=Kind.UNEXPECTED_MENTION,
    differs=lambda _: Kind.UNEXPECTED_MENTION,  # It has no column beside its key.
    account_query=SQL["account_mentions_between"],
)
MOMENTS = Journal(
    table="read.moments",
    query=SQL["moments_between"],
    row=Moment,
    key=attrgetter("recorded_at"),
    title="{recorded_at}",
    missing=Kind.MISSING_MOMENT,
    unexpected=Kind.UNEXPECTED_MOMENT,
    differs=lambda _: Kind.MOMENT_MISMATCH,
)
JOURNALS = (ENTRIES, TRANSACTIONS, MENTIONS, MOMENTS)

_BY_ACCOUNT = ("ledger", "account_id"), ("", "")
_BY_TRANSACTION = ("transaction_id",), (UUID(int=0),)
_BY_LEDGER = ("ledger",), ("",)

BALANCES = Register(
    "read.balances",
    SQL["all_balances"],
    *_BY_ACCOUNT,
    title="balance of account {account_id}",
    kind=Kind.BALANCE_DRIFT,
    booked=attrgetter("accounts"),
    columns=_balance,
    position=attrgetter("last_position"),
    account_query=SQL["account_balance"],
    keys_query=SQL["balances_of_keys"],
    of_entries=True,
)
ACCOUNTS = Register(
    "read.accounts",
    SQL["all_accounts"],
    *_BY_ACCOUNT,
    title="policy of account {account_id}",
    kind=Kind.POLICY_MISMATCH,
    booked=attrgetter("accounts"),
    columns=_account,
    position=attrgetter("policy_position"),
    account_query=SQL["account_policy"],
    keys_query=SQL["accounts_of_keys"],
)
STANDINGS = Register(
    "read.standings",
    SQL["all_standings"],
    *_BY_TRANSACTION,
    title="standing of transaction {transaction_id}",
    kind=Kind.STANDING_MISMATCH,
    booked=attrgetter("standings"),
    columns=_standing,
    position=attrgetter("position"),
    keys_query=SQL["standings_of_keys"],
)
BOOKS = Register(
    "read.books",
    SQL["all_books"],
    *_BY_LEDGER,
    title="closing of the books of ledger {ledger}",
    kind=Kind.BOOKS_MISMATCH,
    booked=attrgetter("closings"),
    columns=_closing,
    position=attrgetter("position"),
)
# As of the projector's checkpoint; those of the command side are as of the head.
READ_SIDE = (BALANCES, ACCOUNTS, STANDINGS, BOOKS)

# As of the head with `late.command_accounts`: each row is as of its own position.
COMMAND_ACCOUNTS = Register(
    "command.accounts",
    SQL["all_command_accounts"],
    *_BY_ACCOUNT,
    title="command side's row of account {account_id}",
    kind=Kind.COMMAND_DRIFT,
    booked=attrgetter("accounts"),
    columns=_command_account,
    position=lambda tally: max(tally.last_position, tally.policy_position),
    account_query=SQL["command_account"],
)
COMMAND_STANDINGS = Register(
    "command.standings",
    SQL["all_command_standings"],
    *_BY_TRANSACTION,
    title="command side's standing of transaction {transaction_id}",
    kind=Kind.COMMAND_STANDING_DRIFT,
    booked=attrgetter("standings"),
    columns=_command_standing,
    position=lambda standing: standing.position or standing.begun,
)
COMMAND_BOOKS = Register(
    "command.books",
    SQL["all_command_books"],
    *_BY_LEDGER,
    title="command side's closing of the books of ledger {ledger}",
    kind=Kind.COMMAND_BOOKS_DRIFT,
    booked=attrgetter("closings"),
    columns=_command_closing,
    position=attrgetter("position"),
)
COMMAND_SIDE = (COMMAND_ACCOUNTS, COMMAND_STANDINGS, COMMAND_BOOKS)
