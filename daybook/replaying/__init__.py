"""Audit replay as a small Python API: docs/python-api.md shows it at work.

Everything is told by the log alone, folded by the auditor (events/replay.py); no read model is
asked. Amounts are exact integers of minor units; sentences give them in units.
"""

from daybook.replaying.difference import AccountChange, Difference, StandingChange
from daybook.replaying.explanation import Contribution, Explanation, Sum
from daybook.replaying.replay import Point, Progress, Replay, open_log
from daybook.replaying.story import Step, Story
from daybook.replaying.trial_balance import AccountTotals, Totals, TrialBalance

__all__ = [
    "AccountChange",
    "AccountTotals",
    "Contribution",
    "Difference",
    "Explanation",
    "Point",
    "Progress",
    "Replay",
    "StandingChange",
    "Step",
    "Story",
    "Sum",
    "Totals",
    "TrialBalance",
    "open_log",
]
