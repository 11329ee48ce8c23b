"""What is sealed of an event: its row of the log, as bytes that can be read in one way only. Pure.

    salt                 16 bytes   see below
    position              8 bytes   big-endian, as all numbers here
    originator_id        16 bytes
    originator_version    8 bytes
    length of topic       4 bytes
    topic                           UTF-8
    state                           to the end: the bytes as they are stored

The leaf of position p is leaf p - 1 of the tree. `sealing/sql/sealing.sql` hashes the same
bytes inside PostgreSQL, and tests hold the two together.

The hash of an event of another ledger may be seen: it is part of a proof. Without a salt,
a reader who guesses the whole event could see that the guess is right. The salt follows from a
secret of the log and the position. A receipt contains the salts of its own events.
"""

import hashlib
from collections.abc import Iterable
from uuid import UUID

import msgspec

from runtime.sql import Row

SALT_BYTES = 16
ENTRY_BYTES_MAX = 2**16 - 1
_NUMBER_BYTES = 8
_LENGTH_BYTES = 4
_ID_BYTES = 16
_TOPIC_AT = SALT_BYTES + 2 * _NUMBER_BYTES + _ID_BYTES + _LENGTH_BYTES


class LeafError(ValueError):
    """Bytes that are no leaf."""


class Leaf(msgspec.Struct, frozen=True):
    """A row of the log, and the salt of its position."""

    salt: bytes
    position: int
    originator_id: UUID
    originator_version: int
    topic: str
    state: bytes

    def encoded(self) -> bytes:
        """Return the bytes that are hashed."""
        topic = self.topic.encode()
        return b"".join(
            (
                self.salt,
                _number(self.position),
                self.originator_id.bytes,
                _number(self.originator_version),
                len(topic).to_bytes(_LENGTH_BYTES, "big"),
                topic,
                self.state,
            )
        )


def salt(secret: bytes, position: int) -> bytes:
    """Return the salt of a position: nobody without the secret can tell it from chance."""
    return hashlib.sha256(secret + _number(position)).digest()[:SALT_BYTES]


def leaf(row: Row, secret: bytes, position: int | None = None) -> Leaf:
    """Return the leaf of a stored row; with `position`, what it would be there."""
    place: int = row["notification_id"] if position is None else position
    return Leaf(
        salt(secret, place),
        place,
        row["originator_id"],
        row["originator_version"],
        row["topic"],
        row["state"],
    )


def leaf_hashes(rows: Iterable[Row], secret: bytes) -> list[bytes]:
    """Return the leaf hashes of stored rows, in bulk: `leaf` and its encoding without the steps."""
    hashes: list[bytes] = []
    sha256, names = hashlib.sha256, dict[str, bytes]()
    for row in rows:
        place = _number(row["notification_id"])
        topic = row["topic"]
        name = names.get(topic)
        if name is None:
            text = topic.encode()
            name = names[topic] = len(text).to_bytes(_LENGTH_BYTES, "big") + text
        data = (
            b"\x00"
            + sha256(secret + place).digest()[:SALT_BYTES]
            + place
            + row["originator_id"].bytes
            + _number(row["originator_version"])
            + name
            + row["state"]
        )
        hashes.append(sha256(data).digest())
    return hashes


def decoded(leaf: bytes) -> Leaf:
    """Read a leaf's bytes. Raises LeafError."""
    end = _TOPIC_AT + int.from_bytes(leaf[_TOPIC_AT - _LENGTH_BYTES : _TOPIC_AT], "big")
    if len(leaf) < max(_TOPIC_AT, end):
        raise LeafError("the leaf is cut off")
    rest = leaf[SALT_BYTES:]
    id_at, version_at = _NUMBER_BYTES, _NUMBER_BYTES + _ID_BYTES
    return Leaf(
        leaf[:SALT_BYTES],
        int.from_bytes(rest[:id_at], "big", signed=True),
        UUID(bytes=rest[id_at:version_at]),
        int.from_bytes(rest[version_at : version_at + _NUMBER_BYTES], "big", signed=True),
        leaf[_TOPIC_AT:end].decode(),
        leaf[end:],
    )


def _number(number: int) -> bytes:
    # Signed: a row may have been altered into anything that PostgreSQL can hold.
    return number.to_bytes(_NUMBER_BYTES, "big", signed=True)
