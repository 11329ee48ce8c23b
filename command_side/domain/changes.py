"""What a batch of decisions changed, as rows of the command side's tables. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from command_side.domain.account import AccountKey, AccountState
from command_side.domain.state import ClosedBooks, State


class ChangedRows(msgspec.Struct, frozen=True):
    """The changed rows of `command.accounts`, `command.standings` and `command.books`.

    Of the accounts that `moved`, only the counters changed. The others are new, or their policy is.
    """

    moved: dict[AccountKey, AccountState]
    policies: dict[AccountKey, AccountState]
    transactions: list[dict[str, Any]]
    books: list[ClosedBooks]


def changed_rows(before: State, after: State) -> ChangedRows:
    """Return what differs, and assert that debits equal credits in it."""
    moved: dict[AccountKey, AccountState] = {}
    policies: dict[AccountKey, AccountState] = {}
    for key, account in after.accounts.items():
        was = before.accounts.get(key)
        if was is account:
            continue
        if was is not None and was.version == account.version:
            moved[key] = account
        else:
            policies[key] = account
    _assert_balanced([*moved.items(), *policies.items()], before)
    books = [
        closed
        for ledger, closed in sorted(after.books.items())
        if before.books.get(ledger) != closed
    ]
    return ChangedRows(moved, policies, _transactions(before, after), books)


def _assert_balanced(changed: Iterable[tuple[AccountKey, AccountState]], before: State) -> None:
    """Assert that debits equal credits per currency; from the accounts, not from the events."""
    posted, pending = defaultdict[str, int](int), defaultdict[str, int](int)
    for key, account in changed:
        more_posted = account.debits_posted - account.credits_posted
        more_pending = account.debits_pending - account.credits_pending
        was = before.accounts.get(key)
        if was is not None:
            assert was.currency == account.currency, "the currency of an account never changes"
            more_posted -= was.debits_posted - was.credits_posted
            more_pending -= was.debits_pending - was.credits_pending
        posted[account.currency] += more_posted
        pending[account.currency] += more_pending
    assert not any(posted.values()), f"debits and credits posted differ: {dict(posted)}"
    assert not any(pending.values()), f"debits and credits pending differ: {dict(pending)}"


def _transactions(before: State, after: State) -> list[dict[str, Any]]:
    """Return the changed transactions that their first event does not describe, or that are due."""
    changed = {
        transaction_id: now
        for transaction_id, now in after.transactions.items()
        if (now.stage is not now.event.stage or any(now.used) or now.due_at)
        and before.transactions.get(transaction_id) is not now
    }
    return [
        {
            "transaction_id": transaction_id,
            "stage": now.stage,
            "used": now.used,
            "due_at": now.due_at,
        }
        for transaction_id, now in sorted(changed.items())
    ]
