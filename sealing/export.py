"""The sealed log as files, as C2SP `tlog-tiles` lays them out: for an auditor, or a static server.

    checkpoint                     tile/0/x001/067       tile/entries/x001/067

With the entries it is a copy of the log: every ledger's events are in it. It is written from the
same snapshot as a whole; what was exported before is only added to.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from events import log
from runtime.database import Connection
from runtime.problems import NotFound
from runtime.sql import queries
from sealing import leaves, tiles
from sealing.leaves import ENTRY_BYTES_MAX
from sealing.merkle import HASH_BYTES
from sealing.tiles import WIDTH

SQL = queries("sealing")
TILES_AT_ONCE = 16


class ExportError(RuntimeError):
    """The log cannot be written in this form, or not to this place."""


class Exported(msgspec.Struct, frozen=True):
    """How much was written, and where."""

    folder: str
    size: int
    files: int


async def export(
    connection: Connection, folder: Path, progress: Callable[[int, int], object]
) -> Exported:
    """Write checkpoint, tiles and entries to `folder`; whole tiles that are there stay.

    Raises NotFound if nothing is sealed, ExportError.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        latest = await connection.fetchrow(SQL["latest_checkpoint"])
        if latest is None:
            raise NotFound("not_sealed", "Nothing of this log is sealed yet.")
        size: int = latest["size"]
        secret: bytes = await connection.fetchval(SQL["secret"])
        files = 0
        try:
            for level in range(tiles.LEVEL_MAX + 1):
                files += await _level(connection, folder, level, size)
            for first in range(0, size, WIDTH):
                files += await _bundle(connection, folder, first, size, secret)
                progress(min(first + WIDTH, size), size)
            _write(folder.joinpath("checkpoint"), latest["note"].encode())
        except OSError as error:
            raise ExportError(f"{folder} cannot be written to ({error.strerror})") from error
    return Exported(str(folder), size, files + 1)


async def _level(connection: Connection, folder: Path, level: int, size: int) -> int:
    count = size >> tiles.HEIGHT * level
    wanted = list(range(-(-count // WIDTH)))
    for at in range(0, len(wanted), TILES_AT_ONCE):
        some = wanted[at : at + TILES_AT_ONCE]
        for row in await connection.fetch(SQL["tiles"], [level] * len(some), some):
            width = tiles.width_at(level, row["place"], size)
            path = folder.joinpath("tile", tiles.path(level, row["place"], width))
            _write(path, row["nodes"][: width * HASH_BYTES])
    return len(wanted)


async def _bundle(
    connection: Connection, folder: Path, first: int, size: int, secret: bytes
) -> int:
    width = min(WIDTH, size - first)
    path = folder.joinpath("tile", tiles.path(tiles.BUNDLE, first // WIDTH, width))
    if path.exists():
        return 0
    rows = await log.rows_after(connection, first, width, first + width)
    bundle = bytearray()
    for row in rows:
        leaf = leaves.leaf(row, secret)
        entry = leaf.encoded()
        if len(entry) > ENTRY_BYTES_MAX:
            raise ExportError(
                f"the event at position {leaf.position} has {len(entry)} bytes as an entry; "
                f"the format takes {ENTRY_BYTES_MAX}"
            )
        bundle += len(entry).to_bytes(2, "big") + entry
    _write(path, bytes(bundle))
    return 1


def _write(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_bytes(data)
    unfinished.replace(path)
