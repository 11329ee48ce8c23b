"""Every account's counters at a position of the log, and their sums. Pure."""

from collections.abc import Mapping

import msgspec

from auditing.expected_rows import ExpectedAccount
from auditing.explain.counters import Counters, counters_of
from auditing.replay import AccountKey


class AccountTotals(msgspec.Struct, frozen=True):
    """An account, and its counters in minor units."""

    ledger: str
    account_id: str
    currency: str
    counters: Counters


class Totals(msgspec.Struct, frozen=True):
    """The sums of all accounts of a currency: debits equal credits, or the log is broken."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    @property
    def balanced(self) -> bool:
        """Return whether debits equal credits, posted and pending."""
        return (self.debits_posted, self.debits_pending) == (
            self.credits_posted,
            self.credits_pending,
        )


class TrialBalance(msgspec.Struct, frozen=True):
    """All accounts by ledger and id, up to `position`, and the totals of each currency."""

    position: int
    accounts: list[AccountTotals]
    totals: dict[str, Totals]

    @property
    def balanced(self) -> bool:
        """Return whether every currency is balanced."""
        return all(totals.balanced for totals in self.totals.values())


def trial_balance(position: int, accounts: Mapping[AccountKey, ExpectedAccount]) -> TrialBalance:
    """Return the trial balance of the replayed accounts."""
    rows, totals = [], dict[str, Totals]()
    for (ledger, account_id), account in sorted(accounts.items()):
        counters = counters_of(account)
        rows.append(AccountTotals(ledger, account_id, account.currency, counters))
        sums = totals.get(account.currency, Totals())
        totals[account.currency] = Totals(
            sums.debits_posted + counters.debits_posted,
            sums.credits_posted + counters.credits_posted,
            sums.debits_pending + counters.debits_pending,
            sums.credits_pending + counters.credits_pending,
        )
    return TrialBalance(position, rows, totals)
