"""A small Python API of the log: docs/python-api.md has examples.

Every answer comes from the log alone, replayed by the auditor (`auditing/replay.py`), and from no
read model. Amounts are exact integers of minor units; sentences have them in units.
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
