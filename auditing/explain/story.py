"""An account's story: every event that moved, changed or named it. Pure."""

from datetime import datetime
from uuid import UUID

import msgspec

from auditing.expected_rows import ExpectedAccount
from auditing.explain.counters import Counters, counters_of
from auditing.explain.sentences import Decimals, sentence
from auditing.replay import ReplayedState
from events.types import AccountChanged, AccountOpened, Recorded


class Step(msgspec.Struct, frozen=True):
    """One event in a sentence, and the account's counters after it, in minor units.

    `transaction_id` is None if the event is about the account itself. If `moved` is false, the
    event named the account and changed nothing: a refusal, a schedule or a cancellation.
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
    """Makes an account's story, event by event in the order of the log."""

    def __init__(self, ledger: str, account_id: str, decimals: Decimals) -> None:
        self._key = (ledger, account_id)
        self._decimals = decimals
        self._state = ReplayedState(only=self._key)

    def take(self, recorded: Recorded) -> Step:
        """Return the step that an event of the account makes."""
        event = recorded.event
        before = counters_of(self.account)
        entries, _ = self._state.fold(recorded)
        # States of transactions are no part of the story, and would grow with it.
        self._state.transaction_states.clear()
        account = self.account
        after = counters_of(account)
        own = isinstance(event, AccountOpened | AccountChanged)
        return Step(
            position=recorded.position,
            recorded_at=event.recorded_at,
            type=event.topic,
            transaction_id=None if own else recorded.originator_id,
            key=getattr(event, "key", None),
            moved=bool(entries) or own,
            change=after.balance - before.balance,
            counters=after,
            sentence=sentence(
                event, self._key[1], "" if account is None else account.currency, self._decimals
            ),
        )

    @property
    def account(self) -> ExpectedAccount | None:
        """Return the account after the last step; None if nothing opened or moved it."""
        return self._state.accounts.get(self._key)
