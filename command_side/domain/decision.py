"""What a rule returns: the events that a command causes, or why it is refused.

Every rule checks in the order of `rejections.Code`, so the first check that fails is the answer.
"""

from collections.abc import Sequence

from command_side.domain.rejections import Rejection
from events.types import Event

Decision = Sequence[Event] | Rejection
