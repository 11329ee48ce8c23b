"""The rules of the ledger: what each kind of command makes of the state, or why it may not. Pure.

Every check stands in the order of `rejections.Code`, so the first that fails is the answer.
"""

from collections.abc import Sequence

from command_side.domain.rejections import Rejection
from events.types import Event

Decision = Sequence[Event] | Rejection
