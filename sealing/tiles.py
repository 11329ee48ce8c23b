"""The tree as tiles (C2SP `tlog-tiles`): 256 hashes in a row, each above 256 of the level below.

    tile/0/x001/067        the hashes of leaves 1067 * 256 and on
    tile/1/004.p/43        the first 43 roots of whole tiles of level 0, from the 4 * 256th on

A whole tile never changes; the last one of each level grows. Pure.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from sealing import merkle
from sealing.merkle import HASH_BYTES

WIDTH = 256
HEIGHT = 8
LEVEL_MAX = 7  # Positions have 63 bits.
BUNDLE = "entries"
_GROUP = 1_000
_PATH = re.compile(r"((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


class TileError(ValueError):
    """A path that names no tile."""


class Tile(msgspec.Struct, frozen=True):
    """The hashes of one tile, joined."""

    level: int
    index: int
    hashes: bytes

    @property
    def width(self) -> int:
        """How many hashes it has."""
        return len(self.hashes) // HASH_BYTES


def path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Return where a tile is, below `tile/`; a narrower one has its width in its name."""
    groups = [f"{index % _GROUP:03}"]
    while index >= _GROUP:
        index //= _GROUP
        groups.insert(0, f"x{index % _GROUP:03}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"{level}/{'/'.join(groups)}{partial}"


def parsed(text: str) -> tuple[int, int]:
    """Return the index and the width of a path below a level: `x001/067.p/8`. Raises TileError."""
    found = _PATH.fullmatch(text)
    if found is None:
        raise TileError(f"{text!r} is no path of a tile")
    index = int(found[1].replace("x", "").replace("/", ""))
    width = WIDTH if found[2] is None else int(found[2])
    if path(0, index, width) != f"0/{text}" or not 0 < width <= WIDTH:
        raise TileError(f"{text!r} is no path of a tile")
    return index, width


def width_at(level: int, index: int, size: int) -> int:
    """Return how many hashes a tile has in a tree of `size` leaves; 0 if it is not there yet."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


def edge(size: int) -> list[tuple[int, int]]:
    """Return (level, index) of the last tile of each level that has one: what growing needs."""
    found = []
    for level in range(LEVEL_MAX + 1):
        count = size >> HEIGHT * level
        if count:
            found.append((level, (count - 1) // WIDTH))
    return found


def grow(size: int, last: Mapping[int, bytes], leaf_hashes: bytes) -> list[Tile]:
    """Return the tiles that change when a tree of `size` gets more leaves.

    `last` has the hashes of the last tile of each level. One node hash a leaf, in bulk.
    """
    changed: list[Tile] = []
    level, added = 0, leaf_hashes
    while added:
        count = size >> HEIGHT * level
        index, place = divmod(count, WIDTH)
        row = last.get(level, b"")[: place * HASH_BYTES] + added if place else added
        assert len(row) == place * HASH_BYTES + len(added), "the last tile is not as it should be"
        above = []
        for first in range(0, len(row), WIDTH * HASH_BYTES):
            hashes = row[first : first + WIDTH * HASH_BYTES]
            changed.append(Tile(level, index + first // (WIDTH * HASH_BYTES), hashes))
            if len(hashes) == WIDTH * HASH_BYTES:
                above.append(merkle.root(split(hashes)))
        level, added = level + 1, b"".join(above)
    return changed


def root(size: int, last: Mapping[int, bytes]) -> bytes:
    """Return the root of a tree of `size`, from the last tile of each level."""
    below: list[bytes] = []
    for level in range(LEVEL_MAX + 1):
        place = (size >> HEIGHT * level) % WIDTH
        hashes = split(last[level][: place * HASH_BYTES]) if place else []
        if hashes or below:
            below = [merkle.root([*hashes, *below])]
    return below[0] if below else merkle.EMPTY_ROOT


def split(hashes: bytes) -> list[bytes]:
    """Return joined hashes one by one."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def tiles_of(start: int, end: int) -> list[tuple[int, int]]:
    """Return (level, index) of the tiles that the hash of the subtree [start, end) is made of."""
    return [(level, first // WIDTH) for level, first, _ in _runs(start, end)]


def subtree(tile: Callable[[int, int], bytes]) -> merkle.Subtree:
    """Return what gives the hash of any subtree, from tiles by level and index."""

    def hashed(start: int, end: int) -> bytes:
        parts: list[bytes] = []
        # From the largest to the smallest: the smaller ones hang below the last one's right.
        for level, first, last in reversed(_runs(start, end)):
            index, place = divmod(first, WIDTH)
            row = split(tile(level, index))[place : place + last - first]
            assert len(row) == last - first, "the tile is narrower than the tree"
            parts.append(merkle.root([*row, *parts]) if parts else merkle.root(row))
            parts = parts[-1:]
        return parts[0]

    return hashed


def _runs(start: int, end: int) -> list[tuple[int, int, int]]:
    """Return [start, end) as runs of hashes: (level, first, last), the largest level first."""
    runs: list[tuple[int, int, int]] = []
    for level in range(LEVEL_MAX, -1, -1):
        shift = HEIGHT * level
        first, last = start >> shift, end >> shift
        if start & ((1 << shift) - 1) == 0 and last > first:
            runs.append((level, first, last))
            start = last << shift
    return runs
