"""The outcomes of commands, one type for each kind.

    Accepted        a keyed command, a settlement or a closing: its event is in the log
    Refused         the rules refuse it; the refusal of a keyed command is in the log, too
    KeyReused       its idempotency key belongs to a different command
    PolicySet       an account has this policy now, changed by the command or not
    Unchanged       a settlement or a closing had nothing to do
    AllAccepted     an atomic command: every part was accepted
    NoneAccepted    an atomic command: one part was refused, so none was accepted
    Rehearsed       a rehearsal: what would become of each command, and nothing happened

Instead of an outcome a command may have a Problem, if it could not be decided at all.
"""

import msgspec

from command_side.domain.account import AccountState
from command_side.domain.rejections import Code, Rejection
from events.types import Recorded, TransferRejected
from runtime.problems import Problem


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The event of the command is in the log. `replayed`: an earlier request appended it."""

    recorded: Recorded
    replayed: bool = False

    @property
    def position(self) -> int:
        """The position that a reader must have reached to show it."""
        return self.recorded.position


class Refused(msgspec.Struct, frozen=True):
    """The rules refuse the command. `recorded` is the event of a refusal that is in the log."""

    rejection: Rejection
    recorded: Recorded | None = None
    replayed: bool = False


class KeyReused(msgspec.Struct, frozen=True):
    """The idempotency key `key` was used for a different command."""

    key: str


class PolicySet(msgspec.Struct, frozen=True):
    """The account has the policy of the command. `recorded`: the event that changed it, if any."""

    account: AccountState
    position: int
    recorded: Recorded | None = None


class Unchanged(msgspec.Struct, frozen=True):
    """There was nothing to do, as of `position`."""

    position: int


class AllAccepted(msgspec.Struct, frozen=True):
    """Every part of an atomic command was accepted."""

    parts: tuple[Accepted, ...]

    @property
    def position(self) -> int:
        """The position that a reader must have reached to show all parts."""
        return max(part.position for part in self.parts)

    @property
    def replayed(self) -> bool:
        """Whether earlier requests appended all parts."""
        return all(part.replayed for part in self.parts)


class NoneAccepted(msgspec.Struct, frozen=True):
    """No part of an atomic command was accepted, because of the part `index` with the key `key`."""

    index: int
    key: str
    reason: "Refused | KeyReused | Problem"


class Rehearsed(msgspec.Struct, frozen=True):
    """What would become of each command, and the accounts that would change, as they would be."""

    outcomes: tuple["Outcome", ...]
    accounts: tuple[AccountState, ...]


Decided = (
    Accepted | Refused | KeyReused | PolicySet | Unchanged | AllAccepted | NoneAccepted | Rehearsed
)
Outcome = Decided | Problem


def of_event(recorded: Recorded, *, replayed: bool = False) -> Accepted | Refused:
    """Return the outcome of the command whose event this is."""
    event = recorded.event
    if isinstance(event, TransferRejected):
        return Refused(Rejection(Code(event.code), event.detail), recorded, replayed)
    return Accepted(recorded, replayed)
