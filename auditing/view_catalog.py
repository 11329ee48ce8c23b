"""Every view of the log: where its rows are, and what the replayed log says they must hold.

A *journal* has rows that one event each made and that never change. It is compared page by page, as
the log is read. A *register* has one row for each account, transaction or ledger. It is compared as
a whole, once the log is replayed. A test holds that together they cover every column of every view.
"""

from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from auditing import row_text
from auditing.discrepancies import DiscrepancyKind, differing
from auditing.expected_rows import (
    ExpectedAccount,
    ExpectedClosing,
    ExpectedEntry,
    ExpectedReference,
    ExpectedTime,
    ExpectedTransaction,
    ExpectedTransactionState,
)
from auditing.replay import ReplayedState
from runtime.sql import queries

SQL = queries("auditing")
COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
_DECIDED = {"position", "stage", "code", "detail"}

Columns = dict[str, Any]
JournalRow = ExpectedEntry | ExpectedTransaction | ExpectedReference | ExpectedTime


class Journal(NamedTuple):
    """A table whose rows never change: `row` has the columns of `query`, in order.

    `key` names the columns that identify a row, and `title` describes it in words. The queries take
    the positions (after, until]. `account_query` also takes the ledger and the account, and the
    period if its rows are `dated`. `text_query` returns all rows as one text, and `as_text` makes
    that text of the rows that must be there.
    """

    table: str
    query: str
    row: type[JournalRow]
    key: tuple[str, ...]
    title: str
    missing: DiscrepancyKind
    unexpected: DiscrepancyKind
    differs: Callable[[Collection[str]], DiscrepancyKind]
    account_query: str = ""
    dated: bool = False
    text_query: str = ""
    as_text: Callable[[Any], str | None] | None = None

    def named(self, key: Any) -> Columns:  # noqa: ANN401 - the values of `key`
        """Return the columns of a key."""
        return dict(zip(self.key, key, strict=True))

    def kind_of(self, expected: Columns | None, actual: Columns | None) -> DiscrepancyKind:
        """Return what differs between two versions of a row; None is a row that is not there."""
        if actual is None:
            return self.missing
        if expected is None:
            return self.unexpected
        return self.differs(differing(expected, actual))


class Register(NamedTuple):
    """A table with one row for each account, transaction or ledger.

    `replayed` selects what the replayed log says of all rows, by key. `columns` makes of it the
    columns beside the key; None means that there must be no row. `position` is the event that
    changed the row last. If the row sums up entries (`of_entries`), the first entry that differs
    says more. `query` takes the key after which to continue, from `start`, and a limit.
    `keys_query` takes columns of keys, and `account_query` the key of an account. `shown` makes of
    a stored row what is compared.
    """

    table: str
    query: str
    key: tuple[str, ...]
    start: tuple[object, ...]
    title: str
    kind: DiscrepancyKind
    replayed: Callable[[ReplayedState], Mapping[Any, Any]]
    columns: Callable[[Any], Columns | None]
    position: Callable[[Any], int]
    account_query: str = ""
    keys_query: str = ""
    of_entries: bool = False
    shown: Callable[[Any], Columns] = dict

    def kind_of(self, expected: Columns | None, actual: Columns | None) -> DiscrepancyKind:
        """Return what differs: every difference of a register is of one kind."""
        del expected, actual
        return self.kind

    def expected(self, key: Any, entry: Any) -> Columns | None:  # noqa: ANN401 - one of `replayed`
        """Return the whole row of `key`, of which the replayed log says `entry` (None: nothing)."""
        columns = None if entry is None else self.columns(entry)
        return None if columns is None else self.named(key) | columns

    def named(self, key: Any) -> Columns:  # noqa: ANN401 - a ledger, an account's key, an id
        """Return the columns of a key."""
        return dict(zip(self.key, key if isinstance(key, tuple) else (key,), strict=True))


def counters(account: ExpectedAccount) -> Columns:
    """Return an account's four counters."""
    return {name: getattr(account, name) for name in COUNTERS}


def _policy(account: ExpectedAccount) -> Columns:
    return {
        "account_class": account.account_class,
        "account_type": account.account_type,
        "currency": account.currency,
        "normal_side": account.normal_side,
        "overdraft_limit": account.overdraft_limit,
        "status": account.status,
        "version": account.version,
        "metadata": account.metadata,
    }


def _account(account: ExpectedAccount) -> Columns:
    return {**_policy(account), "opened_at": account.opened_at}


def _balance(account: ExpectedAccount) -> Columns:
    return {**counters(account), "position": account.last_position, "as_of": account.last_at}


def _command_account(account: ExpectedAccount) -> Columns:
    return {**_policy(account), **counters(account)}


def _state(state: ExpectedTransactionState) -> Columns | None:
    """Return a state as readers see it: `used` ends with the last posting that was used at all."""
    if not state.position:
        return None
    used_count = max((line + 1 for line, used in enumerate(state.used) if used), default=0)
    return {
        "stage": state.stage,
        "used": state.used[:used_count],
        "code": state.code,
        "detail": state.detail,
        "position": state.position,
        "changed_at": state.changed_at,
    }


def _command_state(state: ExpectedTransactionState) -> Columns | None:
    if not state.position and state.due_at is None:
        return None
    return {"stage": state.stage, "used": state.used, "due_at": state.due_at}


def _command_closing(closing: ExpectedClosing) -> Columns:
    return {"closed_before": closing.closed_before, "version": closing.version}


def _closing(closing: ExpectedClosing) -> Columns:
    return {**_command_closing(closing), "position": closing.position}


ENTRIES = Journal(
    table="read.entries",
    query=SQL["entries_between"],
    row=ExpectedEntry,
    key=("position", "line", "ledger", "account_id"),
    title="entry in account {account_id}, position {position}, line {line}",
    missing=DiscrepancyKind.MISSING_ENTRY,
    unexpected=DiscrepancyKind.UNEXPECTED_ENTRY,
    differs=lambda names: (
        DiscrepancyKind.BALANCE_MISMATCH
        if set(names) <= set(COUNTERS)
        else DiscrepancyKind.AMOUNT_MISMATCH
    ),
    account_query=SQL["account_entries_between"],
    dated=True,
    text_query=SQL["entries_as_text"],
    as_text=row_text.of_entries,
)
TRANSACTIONS = Journal(
    table="read.transactions",
    query=SQL["transactions_between"],
    row=ExpectedTransaction,
    key=("transaction_id",),
    title="transaction {transaction_id}",
    missing=DiscrepancyKind.MISSING_TRANSACTION,
    unexpected=DiscrepancyKind.UNEXPECTED_TRANSACTION,
    differs=lambda names: (
        DiscrepancyKind.STATUS_MISMATCH
        if _DECIDED.intersection(names)
        else DiscrepancyKind.TRANSACTION_MISMATCH
    ),
    text_query=SQL["transactions_as_text"],
    as_text=row_text.of_transactions,
)
ACCOUNT_REFERENCES = Journal(
    table="read.mentions",
    query=SQL["mentions_between"],
    row=ExpectedReference,
    key=("ledger", "account_id", "position"),
    title="reference to account {account_id} at position {position}",
    missing=DiscrepancyKind.MISSING_MENTION,
    unexpected=DiscrepancyKind.UNEXPECTED_MENTION,
    differs=lambda _: DiscrepancyKind.UNEXPECTED_MENTION,  # It has only its key.
    account_query=SQL["account_mentions_between"],
)
RECORDED_TIMES = Journal(
    table="read.moments",
    query=SQL["moments_between"],
    row=ExpectedTime,
    key=("recorded_at",),
    title="{recorded_at}",
    missing=DiscrepancyKind.MISSING_MOMENT,
    unexpected=DiscrepancyKind.UNEXPECTED_MOMENT,
    differs=lambda _: DiscrepancyKind.MOMENT_MISMATCH,
)
JOURNALS = (ENTRIES, TRANSACTIONS, ACCOUNT_REFERENCES, RECORDED_TIMES)

_BY_ACCOUNT = ("ledger", "account_id"), ("", "")
_BY_TRANSACTION = ("transaction_id",), (UUID(int=0),)
_BY_LEDGER = ("ledger",), ("",)

BALANCES = Register(
    "read.balances",
    SQL["all_balances"],
    *_BY_ACCOUNT,
    title="balance of account {account_id}",
    kind=DiscrepancyKind.BALANCE_DRIFT,
    replayed=attrgetter("accounts"),
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
    kind=DiscrepancyKind.POLICY_MISMATCH,
    replayed=attrgetter("accounts"),
    columns=_account,
    position=attrgetter("policy_position"),
    account_query=SQL["account_policy"],
    keys_query=SQL["accounts_of_keys"],
)
TRANSACTION_STATES = Register(
    "read.standings",
    SQL["all_standings"],
    *_BY_TRANSACTION,
    title="state of transaction {transaction_id}",
    kind=DiscrepancyKind.STANDING_MISMATCH,
    replayed=attrgetter("transaction_states"),
    columns=_state,
    position=attrgetter("position"),
    keys_query=SQL["standings_of_keys"],
)
CLOSED_BOOKS = Register(
    "read.books",
    SQL["all_books"],
    *_BY_LEDGER,
    title="closing of the books of ledger {ledger}",
    kind=DiscrepancyKind.BOOKS_MISMATCH,
    replayed=attrgetter("closings"),
    columns=_closing,
    position=attrgetter("position"),
)
# As of the projector's checkpoint; those of the command side are as of the head.
READ_SIDE = (BALANCES, ACCOUNTS, TRANSACTION_STATES, CLOSED_BOOKS)

# Each row is as of its own position; `unflushed_accounts` makes of it a row as of the head.
COMMAND_ACCOUNTS = Register(
    "command.accounts",
    SQL["all_command_accounts"],
    *_BY_ACCOUNT,
    title="command side's row of account {account_id}",
    kind=DiscrepancyKind.COMMAND_DRIFT,
    replayed=attrgetter("accounts"),
    columns=_command_account,
    position=lambda account: max(account.last_position, account.policy_position),
    account_query=SQL["command_account"],
)
COMMAND_TRANSACTION_STATES = Register(
    "command.standings",
    SQL["all_command_standings"],
    *_BY_TRANSACTION,
    title="command side's state of transaction {transaction_id}",
    kind=DiscrepancyKind.COMMAND_STANDING_DRIFT,
    replayed=attrgetter("transaction_states"),
    columns=_command_state,
    position=lambda state: state.position or state.begun,
)
COMMAND_CLOSED_BOOKS = Register(
    "command.books",
    SQL["all_command_books"],
    *_BY_LEDGER,
    title="command side's closing of the books of ledger {ledger}",
    kind=DiscrepancyKind.COMMAND_BOOKS_DRIFT,
    replayed=attrgetter("closings"),
    columns=_command_closing,
    position=attrgetter("position"),
)
COMMAND_SIDE = (COMMAND_ACCOUNTS, COMMAND_TRANSACTION_STATES, COMMAND_CLOSED_BOOKS)
