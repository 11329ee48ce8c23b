"""An account's story: every event that moved it, changed it or named it. Pure."""

from datetime import datetime
from uuid import UUID

import msgspec

from auditing.expected_rows import ExpectedAccount
from auditing.explain.counters import Counters, counters_of
from auditing.explain.sentences import Decimals, sentence
from auditing.replay import ReplayedState
from events.types import AccountChanged, AccountOpened, Recorded


class Step(msgspec.Struct, frozen=True):
    """One event, told in a sentence, and the account's counters after it, in minor units.

    `transaction_id` is None of what is about the account itself. A step with `moved` false named
    the account and changed nothing: a refusal, a schedule, a cancellation.
    """

    position: int
    recorded_at: datetime
    type: str
    transaction_id: UUID | None
    key: str | None
    moved: bool
    change: int
    counters: Counters
    sentence: str


class Story:
    """An account's story, told event by event in the order of the log."""

    def __init__(self, ledger: str, account_id: str, decimals: Decimals) -> None:
        self._key = (ledger, account_id)
        self._decimals = decimals
        self._state = ReplayedState(only=self._key)

    def take(self, recorded: Recorded) -> Step:
        """Return the step of an event that is the account's."""
        event = recorded.event
        before = counters_of(self.tally)
        lines, _ = self._state.fold(recorded)
        # How transactions stand is no part of the story, and would grow with it.
        self._state.transaction_states.clear()
        tally = self.tally
        after = counters_of(tally)
        own = isinstance(event, AccountOpened | AccountChanged)
        return Step(
            recorded.position,
            event.recorded_at,
            event.topic,
            None if own else recorded.originator_id,
            getattr(event, "key", None),
            bool(lines) or own,
            after.balance - before.balance,
            after,
            sentence(event, self._key[1], "" if tally is None else tally.currency, self._decimals),
        )

    @property
    def tally(self) -> ExpectedAccount | None:
        """The account as it stands after the last step; None, if nothing opened or moved it."""
        return self._state.accounts.get(self._key)
