"""Claims of idempotency keys in Valkey: they tell fast whether a key was used before.

    (nothing) ──claim──▶ claimed, 24 h

The first request with a key claims it, and is decided at once. For a key that was claimed before,
the log is asked: that request may be done, or under way, or its process may have died. The log's
primary key is the authority, and a command that is not in the log is decided. So no answer depends
on a claim, all claims may be lost at any time, and a process that dies keeps nobody waiting.
"""

from collections.abc import Awaitable, Sequence

from command_side.domain.commands import Keyed
from runtime.cache import Cache

PREFIX = "daybook:"


class Idempotency:
    """The keys that any process claimed lately."""

    def __init__(self, cache: Cache, remembered_s: int) -> None:
        self._cache = cache
        self._remembered_ms = remembered_s * 1000

    def claim(self, commands: Sequence[Keyed]) -> Awaitable[list[int]]:
        """Claim the keys of `commands` in one round trip.

        Return the indices of those that were claimed before. Raises Unavailable.
        """
        keys = [f"{PREFIX}{command.ledger}:{command.key}" for command in commands]
        return self._cache.claim(keys, self._remembered_ms)
