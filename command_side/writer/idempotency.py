"""Claims of idempotency keys in Valkey: they tell fast whether a key was used before.

    (nothing) ──claim──▶ claimed, 24 h

The first request with a key claims it, and is decided at once. For a key that was claimed before,
the log is asked: that request may be done, or under way, or its process may have died. The log's
primary key is the authority, and a command that is not in the log is decided. So no answer depends
on a claim, all claims may be lost at any time, and a process that dies keeps nobody waiting.
"""

import logging
from collections.abc import Sequence

from command_side.domain.commands import Keyed
from runtime.cache import Cache
from runtime.problems import Unavailable

log = logging.getLogger(__name__)

PREFIX = "daybook:"


class Idempotency:
    """The keys that any process claimed lately."""

    def __init__(self, cache: Cache, remembered_s: int) -> None:
        self._cache = cache
        self._remembered_ms = remembered_s * 1000

    async def claim(self, commands: Sequence[Keyed]) -> list[Keyed]:
        """Claim the keys of `commands` in one round trip; return those that were claimed before.

        Without Valkey there are none: the log decides alone. Claims only make duplicates fast, so
        no command suffers if they fail.
        """
        if not commands:
            return []
        keys = [f"{PREFIX}{command.ledger}:{command.key}" for command in commands]
        try:
            before = await self._cache.claim(keys, self._remembered_ms)
        except Unavailable:
            return []
        except Exception:
            log.exception("%d keys could not be claimed", len(keys))
            return []
        return [commands[index] for index in before]
