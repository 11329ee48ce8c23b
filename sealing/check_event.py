"""May an event be believed? It is compared with what was sealed of it, as far as the seal reaches.

    row ─▶ leaf ─▶ tile of leaves ─▶ tiles above it ─▶ last tiles ─▶ root of the last checkpoint

Each must be in the next one, so changing an event and its tile does not help. Only the rows that a
caller asks about are compared, page by page. A forged checkpoint is found by `daybook verify`,
which knows the keys and the checkpoints that were sent elsewhere.
"""

from collections.abc import Sequence

from events import checkpoints
from runtime.database import Executor
from runtime.sql import Row, queries
from sealing import leaves, merkle, signed_notes, tiles
from sealing.merkle import HASH_BYTES
from sealing.signed_notes import NoteError
from sealing.tiles import HEIGHT, WIDTH

SQL = queries("sealing")


class SealError(RuntimeError):
    """The log or its tree does not follow from what was sealed: somebody changed one of the two."""


class Seal:
    """What is sealed of the log: its first `size` events. Memory: one tile of each level."""

    def __init__(
        self, connection: Executor, size: int, last: dict[int, bytes], secret: bytes
    ) -> None:
        self.size = size
        self._connection = connection
        self._last = last
        self._secret = secret
        self._confirmed: dict[int, tuple[int, bytes]] = {}

    async def broken(self, rows: Sequence[Row]) -> int | None:
        """Return the first position of stored `rows` that is not as it was sealed, if there is one.

        The rows are in the order of their positions. What is not sealed yet is as it should be.
        """
        sealed = [row for row in rows if row["notification_id"] <= self.size]
        if not sealed:
            return None
        places = [(row["notification_id"] - 1) // WIDTH for row in sealed]
        found = await self._tiles(0, sorted(set(places)))
        hashes = leaves.leaf_hashes(sealed, self._secret)
        for row, index, leaf in zip(sealed, places, hashes, strict=True):
            position: int = row["notification_id"]
            nodes = await self._confirm(0, index, found.get(index, b""))
            if nodes is None or leaf != _node(nodes, position - 1):
                return position
        return None

    async def _confirm(self, level: int, index: int, nodes: bytes) -> bytes | None:
        """Return a tile, if it leads to the root; the last ones of each level were the first."""
        if index == (self.size >> HEIGHT * level) // WIDTH:
            return self._last[level]
        kept = self._confirmed.get(level)
        if kept is not None and kept[0] == index:
            return kept[1]
        above = (await self._tiles(level + 1, [index // WIDTH])).get(index // WIDTH, b"")
        parent = await self._confirm(level + 1, index // WIDTH, above)
        if parent is None or merkle.root(tiles.split(nodes)) != _node(parent, index):
            return None
        self._confirmed[level] = index, nodes
        return nodes

    async def _tiles(self, level: int, indexes: list[int]) -> dict[int, bytes]:
        rows = await self._connection.fetch(SQL["tiles"], [level] * len(indexes), indexes)
        return {row["place"]: bytes(row["nodes"]) for row in rows}


async def opened(connection: Executor) -> Seal:
    """Return the seal as it is; in a transaction that sees one moment. Raises SealError.

    Where nothing was sealed yet, everything is as it should be.
    """
    size = await checkpoints.read(connection, checkpoints.SEALER)
    last = await last_tiles(connection, size)
    secret = await connection.fetchval(SQL["secret"])
    if size and not secret:
        raise SealError("the secret of the leaves' salts is gone")
    return Seal(connection, size, last, secret or b"")


async def last_tiles(connection: Executor, size: int) -> dict[int, bytes]:
    """Return the last tile of each level, as it was signed. Raises SealError."""
    latest = await connection.fetchrow(SQL["latest_checkpoint"])
    if (0 if latest is None else latest["size"]) != size:
        raise SealError(f"the last checkpoint is not of the {size} events that were sealed")
    if latest is None:
        return {}
    wanted = tiles.edge(size)
    rows = await connection.fetch(SQL["tiles"], *map(list, zip(*wanted, strict=True)))
    last = {row["level"]: bytes(row["nodes"]) for row in rows}
    widths = {level: tiles.width_at(level, index, size) for level, index in wanted}
    if {level: len(row) // HASH_BYTES for level, row in last.items()} != widths:
        raise SealError(f"the last tiles are not those of {size} events")
    try:
        signed = signed_notes.checkpoint(signed_notes.unverified(latest["note"]))
    except NoteError as error:
        raise SealError(f"the checkpoint of size {size} is damaged: {error}") from error
    if (signed.size, signed.root) != (size, tiles.root(size, last)):
        raise SealError(f"the tiles are not those of the checkpoint of size {size}")
    return last


def _node(nodes: bytes, index: int) -> bytes:
    """Return the hash of what is at `index` of its level, from the tile that it is in."""
    at = index % WIDTH * HASH_BYTES
    return nodes[at : at + HASH_BYTES]
