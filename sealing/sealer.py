"""The sealer: the tree above the log, and a signed checkpoint, a moment behind the writer.

    lock checkpoint (or skip) ─▶ hash the rows after it ─▶ grow tiles ─▶ sign
        ─▶ send off the box ─▶ move checkpoint ─▶ COMMIT

A checkpoint leaves the box before it is committed, so nobody can have one that is not safe
elsewhere, too. A crash in between makes the same checkpoint again, byte by byte: the log does not
change, and Ed25519 signs the same text in one way. The sealer signs only what follows from what it
signed before: if the tiles or a checkpoint are not as it left them, it stops, loudly.
"""

import asyncio
import logging
from collections.abc import Sequence

from prometheus_client import Gauge

from events import checkpoints
from runtime import database
from runtime.sql import queries
from sealing import check_event, offsite, signed_notes, tiles
from sealing.check_event import SealError
from sealing.offsite import CheckpointStore
from sealing.settings import SealSettings
from sealing.signed_notes import SignedCheckpoint, Signer

log = logging.getLogger(__name__)

SQL = queries("sealing")
ROLE = "daybook_sealer"
SEAL_REFUSED = Gauge(
    "daybook_seal_refused", "1 while the log or its tiles contradict what was sealed."
)
# Whole tiles of level 0: 64 of them.
PAGE_EVENTS_MAX = 16_384


class Sealer:
    """One sealing process's connection, its keys, and where it sends what it signs."""

    def __init__(
        self,
        settings: SealSettings,
        signers: Sequence[Signer],
        place: CheckpointStore | None = None,
    ) -> None:
        assert signers, "nobody would sign"
        self._settings = settings
        self._signers = signers
        self._place = place
        self.connection: database.Connection | None = None
        # How far this process has sealed; before that, others may have.
        self._size: int | None = None

    async def run_once(self) -> int:
        """Seal up to a page; return how many events that was, 0 if it was all there is to do.

        So a log that grows slowly gets one checkpoint in each interval and not one an event.
        Raises Unavailable or SealError.
        """
        count = await self.seal()
        return count if count == PAGE_EVENTS_MAX else 0

    async def rest(self) -> None:
        """Return after the interval."""
        await asyncio.sleep(self._settings.seal_interval_s)

    async def close(self) -> None:
        """Close the connection, at once."""
        if self.connection is not None:
            self.connection.terminate()
            self.connection = None

    async def seal(self) -> int:
        """Seal up to a page; return how many events. Raises Unavailable or SealError."""
        try:
            connection = await self._connected()
            if not await self._unsealed(connection):
                return 0
            async with connection.transaction():
                count = await self._seal(connection)
        except database.CONNECTION_ERRORS as error:
            await self.close()
            raise database.unavailable(error) from error
        except SealError:
            SEAL_REFUSED.set(1)
            raise
        SEAL_REFUSED.set(0)
        return count

    async def _unsealed(self, connection: database.Connection) -> int:
        """Return how many events wait for their seal. Raises SealError."""
        unsealed: int | None = await connection.fetchval(SQL["unsealed"])
        if unsealed is None or unsealed < 0:
            raise SealError("the log ends before the events that were sealed")
        return unsealed

    async def _seal(self, connection: database.Connection) -> int:
        size = await checkpoints.try_lock(connection, checkpoints.SEALER)
        if size is None:
            return 0
        ahead = None if self._size == size else await self._ahead(size)
        events_max = PAGE_EVENTS_MAX if ahead is None else min(ahead - size, PAGE_EVENTS_MAX)
        page = await connection.fetchrow(SQL["leaf_hashes"], size, events_max)
        assert page is not None, "an aggregate has a row"
        count: int = page["count"]
        if count == 0:
            return 0
        if page["nodes"] is None or page["last"] != size + count:
            raise SealError(f"the log has a gap after position {size}, or lost its secret")
        if ahead is not None and count < events_max:
            raise SealError(
                f"off the box there is a checkpoint of {ahead} events, and the log has "
                f"{size + count}: events were lost or removed"
            )
        last = await check_event.last_tiles(connection, size)
        grown = tiles.grow(size, last, page["nodes"])
        root = tiles.root(size + count, last | {tile.level: tile.hashes for tile in grown})
        note = self._sign(SignedCheckpoint(self._signers[0].name, size + count, root))
        await self._send(size + count, note)
        await connection.execute(
            SQL["put_tiles"],
            [tile.level for tile in grown],
            [tile.index for tile in grown],
            [tile.hashes for tile in grown],
        )
        await connection.execute(SQL["add_checkpoint"], size + count, note)
        await checkpoints.move(connection, checkpoints.SEALER, size + count)
        checkpoints.POSITION.labels(checkpoints.SEALER).set(size + count)
        self._size = None if ahead is not None else size + count
        return count

    async def _ahead(self, size: int) -> int | None:
        """Return the size of the first checkpoint off the box that the database does not know.

        A crash before the commit leaves one, and so does who sets the database back: the log must
        come to just the same one again.
        """
        if self._place is None:
            return None
        name = await self._place.after(offsite.name_of(size))
        return None if name is None else offsite.size_of(name) or None

    def _sign(self, checkpoint: SignedCheckpoint) -> str:
        return signed_notes.sign(checkpoint.text, self._signers)

    async def _send(self, size: int, note: str) -> None:
        """Send a checkpoint off the box. Raises SealError if another one is there."""
        if self._place is None:
            return
        name = offsite.name_of(size)
        if await self._place.put_new(name, note.encode()):
            return
        there = (await self._place.get(name)).decode(errors="replace")
        # After a change of keys the same text may be there with other signatures.
        if there.rpartition("\n\n")[0] != note.rpartition("\n\n")[0]:
            raise SealError(f"off the box, {name} says something else of the same {size} events")

    async def _connected(self) -> database.Connection:
        if self.connection is None or self.connection.is_closed():
            # A crash of the server may forget the last seals: the same ones are made again.
            self.connection = await database.connect(
                self._settings.database_url, ROLE, synchronous_commit="off"
            )
        return self.connection
