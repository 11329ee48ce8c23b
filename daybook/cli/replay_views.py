"""The views that `daybook replay` prints."""

from enum import StrEnum


class View(StrEnum):
    """What `daybook replay` shows of the log."""

    TRIAL_BALANCE = "trial-balance"
    ACCOUNT = "account"
    DIFF = "diff"


# The arguments of each view.
ARGUMENTS = {View.TRIAL_BALANCE: "", View.ACCOUNT: "ID", View.DIFF: "A B"}
