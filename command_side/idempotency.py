"""Claims in Valkey: *done* and *running* are told apart, and both from what nobody has asked yet.

    (nothing) ──claim──▶ running, a lease of seconds ──remember──▶ done, 24 h
                              └─ the process died: the lease runs out

All of it may be lost at any time, and nothing is answered from here alone. The log's primary key is
the authority: what is said to be done is looked up there, and whatever Valkey doesn't know, or
knows differently, is decided there. So a key takes a few bytes, whatever it stands for.
"""

import secrets
from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from command_side.commands import Keyed
from runtime.cache import Cache
from runtime.problems import Unavailable

PREFIX = "daybook:"


class Claim(Enum):
    """What a claim found: it is ours to decide, somebody else is deciding, or it is done."""

    OURS = auto()
    RUNNING_ELSEWHERE = auto()
    DONE = auto()


class _Kept(msgspec.Struct, array_like=True):
    """What stands under a key: of which command, and, while it is running, who decides it."""

    fingerprint: str
    owner: str = ""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Kept)


class Idempotency:
    """One process's claims. Its own leases never stand in its way."""

    def __init__(self, cache: Cache, lease_s: int, result_ttl_s: int) -> None:
        self._cache = cache
        self._lease_ms = lease_s * 1000
        self._result_ms = result_ttl_s * 1000
        self._owner = secrets.token_hex(8)

    async def claim(self, commands: Sequence[Keyed], done: Sequence[Keyed]) -> list[Claim]:
        """Claim `commands`, and remember what was `done` before them: one round trip for both.

        While Valkey is away every claim is ours: the log decides alone.
        """
        leases = [(_key(command), _kept(command, self._owner)) for command in commands]
        results = [(_key(command), _kept(command)) for command in done]
        try:
            found = await self._cache.exchange(leases, self._lease_ms, results, self._result_ms)
        except Unavailable:
            return [Claim.OURS] * len(commands)
        return [self._seen(command, kept) for command, kept in zip(commands, found, strict=True)]

    def _seen(self, command: Keyed, raw: bytes | None) -> Claim:
        kept = _read(raw)
        if kept is None or kept.owner == self._owner:
            return Claim.OURS
        if kept.owner:
            return Claim.RUNNING_ELSEWHERE
        # Another command's key: the log will say whether it was really used before.
        return Claim.DONE if kept.fingerprint == command.fingerprint else Claim.OURS


def _key(command: Keyed) -> str:
    return f"{PREFIX}{command.ledger}:{command.key}"


def _kept(command: Keyed, owner: str = "") -> bytes:
    return _ENCODER.encode(_Kept(command.fingerprint, owner))


def _read(raw: bytes | None) -> _Kept | None:
    """Return what `raw` holds; nothing, if it is damaged: the log knows better."""
    if raw is None:
        return None
    try:
        return _DECODER.decode(raw)
    except msgspec.DecodeError:
        return None
