"""The four counters of an account at a position of the log. Pure."""

import msgspec

from auditing.expected_rows import ExpectedAccount


class Counters(msgspec.Struct, frozen=True):
    """Counters in minor units; `balance` is posted, and signed by the account's normal side."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    balance: int = 0


NOTHING = Counters()


def counters_of(account: ExpectedAccount | None) -> Counters:
    """Return the counters of an account; zeros if there is none."""
    if account is None:
        return NOTHING
    return Counters(
        account.debits_posted,
        account.credits_posted,
        account.debits_pending,
        account.credits_pending,
        account.balance,
    )
