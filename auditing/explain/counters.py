"""The four counters of an account at a place in the log. Pure."""

import msgspec

from auditing.expected_rows import ExpectedAccount


class Counters(msgspec.Struct, frozen=True):
    """Minor units; `balance` is what is posted, signed by the account's normal side."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    balance: int = 0


NOTHING = Counters()


def counters_of(tally: ExpectedAccount | None) -> Counters:
    """Return what the auditor has booked; nothing of an account that there is not."""
    if tally is None:
        return NOTHING
    return Counters(
        tally.debits_posted,
        tally.credits_posted,
        tally.debits_pending,
        tally.credits_pending,
        tally.balance,
    )
