"""Who is asking: a bearer token is a set of ledgers and a set of scopes.

Tokens are random 256-bit strings; the database holds SHA-256 digests. A process remembers a
principal for a minute, so a revoked token works for at most that long.
"""

import hashlib
import secrets
import time
from collections.abc import Collection
from collections.abc import Set as AbstractSet

import msgspec

from runtime import database
from runtime.problems import NotAllowed, Unidentified
from runtime.sql import queries

SQL = queries("web")
REMEMBERED_S = 60.0
REMEMBERED_MAX = 10_000
UNNAMED_CHARACTERS = 12
SCOPES = ("read", "write", "reconcile", "repair", "admin")


class Principal(msgspec.Struct, frozen=True):
    """A known caller, of at least one ledger. `admin` includes every other scope.

    `label` is whose token it is.
    """

    ledgers: frozenset[str]
    scopes: frozenset[str]
    label: str

    def require(self, scope: str) -> "Principal":
        """Return self, or raise NotAllowed."""
        if scope in self.scopes or "admin" in self.scopes:
            return self
        raise NotAllowed(
            "scope_missing", f"This needs the scope {scope!r}; the token has {self._listed()}."
        )

    def _listed(self) -> str:
        return ", ".join(sorted(self.scopes)) or "none"


class Tokens:
    """The tokens that this process has seen lately."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool
        self._remembered: dict[str, tuple[float, Principal]] = {}

    async def principal(self, authorization: str | None) -> Principal:
        """Return who sent this `Authorization` header. Raises Unidentified."""
        if authorization is not None:
            known = self._remembered.get(authorization)
            if known is not None and known[0] > time.monotonic():
                return known[1]
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unidentified("token_missing", "Send the header `Authorization: Bearer <token>`.")
        principal = await self._look_up(token.strip())
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[authorization or ""] = (time.monotonic() + REMEMBERED_S, principal)
        return principal

    async def _look_up(self, token: str) -> Principal:
        row = await self._pool.fetchrow(SQL["principal"], digest(token))
        if row is None:
            raise Unidentified("token_unknown", "The bearer token is unknown or was revoked.")
        # A token of no label is known by the beginning of what is stored of it.
        label = row["label"] or f"token {digest(token).hex()[:UNNAMED_CHARACTERS]}"
        return Principal(frozenset(row["tenants"]), frozenset(row["scopes"]), label)


def digest(token: str) -> bytes:
    """Return what the database stores instead of the token."""
    return hashlib.sha256(token.encode()).digest()


def new_token() -> str:
    """Return a fresh random token (256 bits)."""
    return secrets.token_urlsafe(32)


async def add_token(
    connection: database.Executor,
    token: str,
    ledgers: AbstractSet[str],
    scopes: Collection[str],
    label: str,
) -> None:
    """Store `token` for `ledgers`; a token given again gets the new rights."""
    await connection.execute(SQL["add_token"], digest(token), sorted(ledgers), list(scopes), label)


async def revoke_token(connection: database.Executor, token: str) -> str | None:
    """Revoke `token`; return its label, or None if there is no such token."""
    label: str | None = await connection.fetchval(SQL["revoke_token"], digest(token))
    return label
