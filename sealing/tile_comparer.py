"""The tiles of the database, compared with what follows from the rows of the log."""

from collections.abc import Sequence

from runtime.database import Connection
from runtime.sql import queries
from sealing import findings, tiles
from sealing.differences import Differences
from sealing.findings import Finding, FindingKind, Findings
from sealing.log_reader import HashedPage
from sealing.merkle import HASH_BYTES
from sealing.tiles import WIDTH

SQL = queries("sealing")


class TileComparer:
    """Compares tiles as far as the log is sealed; `count` are the tiles that were read."""

    def __init__(
        self, connection: Connection, sealed: int, found: Findings, differences: Differences
    ) -> None:
        self.count = 0
        self._connection = connection
        self._sealed = sealed
        self._found = found
        self._differences = differences
        # Whole tiles of level 0 that were compared, and the last tile of each level above them:
        # as it follows from the rows, and where they differ as it follows from the tiles.
        self._whole = 0
        self._above: list[dict[int, bytes]] = [{}]

    async def leaves(self, page: HashedPage) -> list[bytes]:
        """Compare leaf hashes with the tiles of level 0; return what the tiles say of them."""
        start, rows, hashes = page
        last = max(start, min(page.end, self._sealed))
        for position in range(last + 1, page.end + 1):
            if rows[position - start - 1] is None:
                self._found.add(findings.gap(position, position))
        indexes = list(range(start // WIDTH, -(-last // WIDTH)))
        stored = await self._tiles([(0, index) for index in indexes])
        as_sealed: list[bytes] = []
        for index in indexes:
            mine = hashes[len(as_sealed) : len(as_sealed) + tiles.width_at(0, index, last)]
            theirs = stored.get((0, index), b"")[: len(mine) * HASH_BYTES]
            if theirs == b"".join(mine):
                as_sealed += mine
                continue
            if len(theirs) != len(mine) * HASH_BYTES:
                self._found.add(_altered(0, index))
                as_sealed += mine
                continue
            for leaf, sealed in zip(mine, tiles.split(theirs), strict=True):
                place = len(as_sealed)
                as_sealed.append(sealed)
                if leaf != sealed:
                    self._differences.add(start + place + 1, sealed, rows[place])
        return as_sealed + hashes[len(as_sealed) :]

    def branch(self) -> None:
        """From here on, follow the tiles beside the rows: they say something else."""
        self._above.append(dict(self._above[0]))

    async def above(self, *roots: Sequence[bytes]) -> None:
        """Compare the tiles above level 0 with the roots of whole tiles.

        They are right if they follow from the rows, or from the tiles below.
        """
        done, self._whole = self._whole, min(self._whole + len(roots[0]), self._sealed // WIDTH)
        grown: dict[tuple[int, int], list[bytes]] = {}
        for above, some in zip(self._above, roots, strict=False):
            for tile in tiles.grow(done, above, b"".join(some[: self._whole - done])):
                above[tile.level] = tile.hashes
                grown.setdefault((tile.level + 1, tile.index), []).append(tile.hashes)
        stored = await self._tiles(list(grown))
        for place, right in grown.items():
            theirs = stored.get(place, b"")
            if not any(theirs[: len(hashes)] == hashes for hashes in right):
                self._found.add(_altered(*place))

    async def _tiles(self, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        if not wanted:
            return {}
        rows = await self._connection.fetch(SQL["tiles"], *map(list, zip(*wanted, strict=True)))
        self.count += len(rows)
        return {(row["level"], row["place"]): row["nodes"] for row in rows}


def _altered(level: int, index: int) -> Finding:
    return Finding(
        kind=FindingKind.TILE_ALTERED,
        position=(index * WIDTH << tiles.HEIGHT * level) + 1,
        where=f"tile/{tiles.path(level, index)}",
        explanation=(
            f"The tile {tiles.path(level, index)} of the tree is not what follows from the events "
            "below it: the tree was changed, or lost a part."
        ),
    )
