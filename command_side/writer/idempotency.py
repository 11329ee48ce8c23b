"""Claims in Valkey: whether a key was asked for before, told fast.

    (nothing) ──claim──▶ claimed, 24 h

Whoever claims a key first decides it at once. What was claimed before may be done, or be running,
or have died on the way: the log is asked, whose primary key is the authority, and what it doesn't
have is decided. So nothing is answered from here, all of it may be lost at any time, and nobody's
death keeps anybody waiting.
"""

from collections.abc import Sequence

from command_side.domain.commands import Keyed
from runtime.cache import Cache
from runtime.problems import Unavailable

PREFIX = "daybook:"


class Idempotency:
    """The keys that were asked for lately, by whatever process."""

    def __init__(self, cache: Cache, remembered_s: int) -> None:
        self._cache = cache
        self._remembered_ms = remembered_s * 1000

    async def claim(self, commands: Sequence[Keyed]) -> list[Keyed]:
        """Claim the keys of `commands` in one round trip; return those claimed before.

        While Valkey is away none is: the log decides alone.
        """
        keys = [f"{PREFIX}{command.ledger}:{command.key}" for command in commands]
        try:
            before = await self._cache.claim(keys, self._remembered_ms)
        except Unavailable:
            return []
        return [commands[index] for index in before]
