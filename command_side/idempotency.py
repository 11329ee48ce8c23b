"""Claims and results in Valkey: duplicates are answered fast, and *running* is told from *done*.

    (nothing) ──claim──▶ running, a lease of seconds ──remember──▶ done, 24 h
                              └─ the process died: the lease runs out

All of it may be lost at any time. The log's primary key is the authority: whatever Valkey doesn't
know, or knows differently, is decided there. Only one answer is given from here alone: the same
command, already done.
"""

import secrets
from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from command_side.batch import Done
from command_side.commands import Keyed
from events import codec
from events.vocabulary import FIRST_VERSION, Recorded
from runtime.cache import Cache
from runtime.problems import Unavailable

PREFIX = "daybook:"


class Claim(Enum):
    """What a claim found, if not a result: it is ours to decide, or somebody else is deciding."""

    OURS = auto()
    RUNNING_ELSEWHERE = auto()


class _Kept(msgspec.Struct, array_like=True):
    """What stands under a key. A lease has an owner; a result has a position and an event."""

    fingerprint: str
    owner: str = ""
    position: int = 0
    topic: str = ""
    state: bytes = b""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Kept)


class Idempotency:
    """One process's claims. Its own leases never stand in its way."""

    def __init__(self, cache: Cache, lease_s: int, result_ttl_s: int) -> None:
        self._cache = cache
        self._lease_ms = lease_s * 1000
        self._result_ms = result_ttl_s * 1000
        self._owner = secrets.token_hex(8)

    async def claim(
        self, commands: Sequence[Keyed], done: Sequence[tuple[Keyed, Recorded]]
    ) -> list[Claim | Done]:
        """Claim `commands`, and remember what was `done` before them: one round trip for both.

        While Valkey is away every claim is ours: the log decides alone.
        """
        leases = [
            (_key(command), _ENCODER.encode(_Kept(command.fingerprint, self._owner)))
            for command in commands
        ]
        results = [(_key(command), _result(command, recorded)) for command, recorded in done]
        try:
            found = await self._cache.exchange(leases, self._lease_ms, results, self._result_ms)
        except Unavailable:
            return [Claim.OURS] * len(commands)
        return [self._seen(command, kept) for command, kept in zip(commands, found, strict=True)]

    def _seen(self, command: Keyed, raw: bytes | None) -> Claim | Done:
        kept = _read(raw)
        if kept is None or kept.owner == self._owner:
            return Claim.OURS
        if kept.owner:
            return Claim.RUNNING_ELSEWHERE
        if kept.fingerprint != command.fingerprint:
            return Claim.OURS  # The log will say whether the key was really used before.
        try:
            event = codec.decode(kept.topic, kept.state)
        except codec.UnreadableEventError:
            return Claim.OURS  # A newer process's result, or a damaged one: the log knows better.
        recorded = Recorded(kept.position, command.transaction_id, FIRST_VERSION, event)
        return Done(kept.position, recorded, replayed=True)


def _key(command: Keyed) -> str:
    return f"{PREFIX}{command.ledger}:{command.key}"


def _result(command: Keyed, recorded: Recorded) -> bytes:
    state = codec.encode(recorded.event)
    kept = _Kept(command.fingerprint, "", recorded.position, recorded.event.topic, state)
    return _ENCODER.encode(kept)


def _read(raw: bytes | None) -> _Kept | None:
    """Return what `raw` holds; nothing, if it is damaged: the log knows better."""
    if raw is None:
        return None
    try:
        return _DECODER.decode(raw)
    except msgspec.DecodeError:
        return None
