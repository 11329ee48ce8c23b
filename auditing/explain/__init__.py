"""Audit replay as a small Python API: docs/python-api.md shows it at work.

Everything is told by the log alone, folded by the auditor (auditing/replay.py); no read model is
asked. Amounts are exact integers of minor units; sentences give them in units.
"""

from auditing.explain.difference import AccountChange, Difference, StandingChange
from auditing.explain.explanation import Contribution, Explanation, Sum
from auditing.explain.replayed_log import Point, Progress, Replay, open_log
from auditing.explain.story import Step, Story
from auditing.explain.trial_balance import AccountTotals, Totals, TrialBalance

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
