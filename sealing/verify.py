"""The whole log against its seal: every row hashed again, compared with all that was signed.

    rows of the log ─▶ leaves ─▶ tree ─┬─▶ tiles            which event differs?
                                       ├─▶ checkpoints of the database
                                       └─▶ checkpoints that left the box

Whoever owns the database can rewrite rows, tiles and its checkpoints, but neither the signatures
nor what is elsewhere. An event that differs is found by its leaf; where the tiles were rewritten to
agree with it, by the first checkpoint that does not. The log is read in one snapshot, a page at a
time.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import msgspec

from events import log
from runtime.database import Connection
from runtime.problems import NotFound
from runtime.sql import Row, queries
from sealing import database_guards, leaves, offsite, tiles
from sealing.checkpoint_history import Source, sent, stored
from sealing.differences import Differences
from sealing.findings import Finding, FindingKind, Findings, Verdict
from sealing.merkle import HASH_BYTES
from sealing.rebuilt_tree import Tree
from sealing.signed_notes import Verifier
from sealing.tiles import WIDTH

SQL = queries("sealing")
# Whole tiles of level 0: 16 of them.
PAGE_EVENTS_MAX = 4_096
NO_HASH = bytes(HASH_BYTES)

Progress = Callable[[int, int], object]


class Timed(msgspec.Struct):
    """The one thing that is read of a state; the log may hold other programs' events."""

    recorded_at: datetime | None = None


_TIMED = msgspec.json.Decoder(Timed)


async def verify_log(
    connection: Connection,
    verifiers: Sequence[Verifier],
    places: Sequence[str] = (),
    progress: Progress = lambda _done, _total: None,
) -> Verdict:
    """Verify everything, and say what was found. Changes nothing.

    `connection` has the auditor's rights, or more; `places` are folders and `s3://BUCKET/PREFIX`
    of checkpoints. Raises Unavailable, and NotFound if nothing was ever sealed.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await verify_snapshot(connection, verifiers, places, progress)


async def verify_snapshot(
    connection: Connection,
    verifiers: Sequence[Verifier],
    places: Sequence[str] = (),
    progress: Progress = lambda _done, _total: None,
) -> Verdict:
    """Do the same in the transaction that is open."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(offsite.opened(place)) for place in places]
        own = Source(stored(connection), verifiers)
        outside = [
            Source(sent(place, where), verifiers)
            for place, where in zip(opened, places, strict=True)
        ]
        verification = Verification(connection, [own, *outside])
        await verification.run(progress)
    return Verdict(
        events=verification.events,
        sealed=min(verification.sealed, verification.events),
        tiles=verification.tiles,
        checkpoints=own.count,
        checkpoints_off_the_box=sum(source.count for source in outside),
        finding_count=verification.findings.count,
        findings=verification.findings.listed,
    )


class Verification:
    """One run: how far it is, and what it has found."""

    def __init__(self, connection: Connection, sources: Sequence[Source]) -> None:
        self.events = self.sealed = self.tiles = 0
        self.findings = Findings()
        self._connection = connection
        self._sources = sources
        self._secret = b""
        self._last_at: datetime | None = None
        self._tree = Tree()
        # What the tiles say, from the first place on where they say something else.
        self._as_sealed: Tree | None = None
        self._differences = Differences()
        # Whole tiles of level 0 that were compared, and the last tile of each level above them:
        # as it follows from the rows, and where they differ as it follows from the tiles.
        self._whole = 0
        self._above: list[dict[int, bytes]] = [{}]

    async def run(self, progress: Progress) -> None:
        """Compare everything."""
        connection = self._connection
        for finding in await database_guards.look(connection):
            self.findings.add(finding)
        first, end = await self._bounds()
        self.sealed = await connection.fetchval(SQL["sealed_size"]) or 0
        for source in self._sources:
            await source.advance()
        if not self.sealed and not any(source.next for source in self._sources):
            raise NotFound("not_sealed", "Nothing of this log was ever sealed: there is no proof.")
        await self._look_at_the_last_checkpoint()
        self._secret = await connection.fetchval(SQL["secret"]) or b""
        if not self._secret:
            self.findings.add(_no_secret())
            return
        if first < 1:
            self.findings.add(_gap(first, 0))
        while self.events < end:
            stop = min(self.events + PAGE_EVENTS_MAX, end)
            rows = await log.rows_after(connection, self.events, PAGE_EVENTS_MAX, stop)
            if not rows and self.events >= self.sealed:
                # However far away the next event is, nothing tells what was between.
                self.findings.add(_gap(self.events + 1, end - 1))
                break
            await self._take(rows, stop)
            progress(self.events, end)
        self._differences.report(self.findings, self._secret)
        await self._end()

    async def _bounds(self) -> tuple[int, int]:
        """Return the first position and the last one."""
        row = await self._connection.fetchrow(SQL["log_bounds"])
        assert row is not None, "an aggregate has a row"
        return row["first"] or 1, row["last"] or 0

    async def _look_at_the_last_checkpoint(self) -> None:
        latest = await self._connection.fetchrow(SQL["latest_checkpoint"])
        size = 0 if latest is None else latest["size"]
        if size != self.sealed:
            self.findings.add(
                Finding(
                    kind=FindingKind.CHECKPOINT_MISSING,
                    expected=str(self.sealed),
                    actual=str(size),
                    explanation=(
                        f"The tree has {self.sealed} events, and the database's last checkpoint is "
                        f"of {size}: one of the two was cut off or added to."
                    ),
                )
            )

    async def _take(self, found: Sequence[Row], stop: int) -> None:
        """Take the rows up to `stop`: hash, compare with the tiles, then with checkpoints."""
        start = self.events
        if len(found) == stop - start:
            rows: list[Row | None] = [*found]
            hashes = leaves.leaf_hashes(found, self._secret)
        else:
            there = {row["notification_id"]: row for row in found}
            rows = [there.get(position) for position in range(start + 1, stop + 1)]
            known = iter(leaves.leaf_hashes(found, self._secret))
            hashes = [NO_HASH if row is None else next(known) for row in rows]
        self._check_times(found)
        as_sealed = await self._compare(rows, hashes, start)
        if as_sealed != hashes and self._as_sealed is None:
            self._as_sealed = self._tree.copy()
            self._above.append(dict(self._above[0]))
        roots: list[bytes] = []
        roots_as_sealed: list[bytes] = []
        while self.events < stop:
            upto = min([stop, *(source.next.size for source in self._sources if source.next)])
            part = slice(self.events - start, max(upto, self.events) - start)
            roots += self._tree.grow(hashes[part])
            if self._as_sealed is not None:
                roots_as_sealed += self._as_sealed.grow(as_sealed[part])
            self.events = start + part.stop
            for source in self._sources:
                await self._check(source)
        await self._compare_above(roots, roots_as_sealed)

    def _check_times(self, rows: Sequence[Row]) -> None:
        for row in rows:
            try:
                at = _TIMED.decode(row["state"]).recorded_at
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if at is None:
                continue
            if self._last_at is not None and at < self._last_at:
                position = row["notification_id"]
                self.findings.add(
                    Finding(
                        kind=FindingKind.TIME_REVERSED,
                        position=position,
                        expected=f"not before {self._last_at.isoformat()}",
                        actual=at.isoformat(),
                        explanation=(
                            f"The event at position {position} says that it was recorded before "
                            "the one in front of it. Daybook never writes that."
                        ),
                    )
                )
            self._last_at = at

    async def _compare(
        self, rows: Sequence[Row | None], hashes: list[bytes], start: int
    ) -> list[bytes]:
        """Compare leaf hashes with the tiles of level 0; return what the tiles say of them."""
        last = max(start, min(start + len(hashes), self.sealed))
        for position in range(last + 1, start + len(hashes) + 1):
            if rows[position - start - 1] is None:
                self.findings.add(_gap(position, position))
        indexes = list(range(start // WIDTH, -(-last // WIDTH)))
        stored_tiles = await self._tiles([(0, index) for index in indexes])
        as_sealed: list[bytes] = []
        for index in indexes:
            mine = hashes[len(as_sealed) : len(as_sealed) + tiles.width_at(0, index, last)]
            theirs = stored_tiles.get((0, index), b"")[: len(mine) * HASH_BYTES]
            if theirs == b"".join(mine):
                as_sealed += mine
                continue
            if len(theirs) != len(mine) * HASH_BYTES:
                self.findings.add(_tile(0, index))
                as_sealed += mine
                continue
            for leaf, sealed in zip(mine, tiles.split(theirs), strict=True):
                place = len(as_sealed)
                as_sealed.append(sealed)
                if leaf != sealed:
                    self._differences.add(start + place + 1, sealed, rows[place])
        return as_sealed + hashes[len(as_sealed) :]

    async def _compare_above(self, *roots: Sequence[bytes]) -> None:
        """Compare the tiles above level 0 with the roots of whole tiles, as far as it is sealed.

        They are right if they follow from the rows, or from the tiles below.
        """
        done, self._whole = self._whole, min(self._whole + len(roots[0]), self.sealed // WIDTH)
        grown: dict[tuple[int, int], list[bytes]] = {}
        for above, some in zip(self._above, roots, strict=False):
            for tile in tiles.grow(done, above, b"".join(some[: self._whole - done])):
                above[tile.level] = tile.hashes
                grown.setdefault((tile.level + 1, tile.index), []).append(tile.hashes)
        stored_tiles = await self._tiles(list(grown))
        for place, right in grown.items():
            theirs = stored_tiles.get(place, b"")
            if not any(theirs[: len(hashes)] == hashes for hashes in right):
                self.findings.add(_tile(*place))

    async def _tiles(self, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        if not wanted:
            return {}
        rows = await self._connection.fetch(SQL["tiles"], *map(list, zip(*wanted, strict=True)))
        self.tiles += len(rows)
        return {(row["level"], row["place"]): row["nodes"] for row in rows}

    async def _check(self, source: Source) -> None:
        """Compare a source's checkpoints of the size that the tree has now."""
        while source.next is not None and source.next.size <= self.events:
            kept, checkpoint = source.next, source.read(self.events)
            if isinstance(checkpoint, Finding):
                self.findings.add(checkpoint)
            elif checkpoint.root == self._tree.root():
                source.agreed = self._differences.agreed = kept.size
            elif self._as_sealed is not None and checkpoint.root == self._as_sealed.root():
                # It confirms the tiles, and with them each event that differs from its leaf.
                source.agreed = kept.size
            elif not source.contradicted:
                source.contradicted = True
                self.findings.add(
                    Finding(
                        kind=FindingKind.HISTORY_REWRITTEN,
                        position=source.agreed + 1,
                        position_last=kept.size,
                        where=kept.name,
                        explanation=(
                            f"{kept.name} was signed for another history: the first event that "
                            f"differs is at one of the positions {source.agreed + 1} to "
                            f"{kept.size}."
                        ),
                    )
                )
            await source.advance()

    async def _end(self) -> None:
        """Look for what is signed beyond the end of the log."""
        end = self.events
        if end < self.sealed:
            self.findings.add(_truncated(end, self.sealed, "the tree"))
        head = await self._connection.fetchval(log.SQL["head"])
        if head is None or (head != end and not (head == self.sealed > end)):
            self.findings.add(
                Finding(
                    kind=FindingKind.HEAD_MISMATCH,
                    position=min(end, head or 0) + 1,
                    expected=str(end),
                    actual=str(head),
                    explanation=(
                        f"The log ends at position {end}, and its head says {head}: events were "
                        "removed or added behind Daybook's back."
                    ),
                )
            )
        for source in self._sources:
            beyond = None
            while source.next is not None:
                kept, checkpoint = source.next, source.read(source.next.size)
                if isinstance(checkpoint, Finding):
                    self.findings.add(checkpoint)
                else:
                    beyond = kept
                await source.advance()
            if beyond is not None:
                self.findings.add(_truncated(end, beyond.size, beyond.name))


def _truncated(end: int, size: int, where: str) -> Finding:
    return Finding(
        kind=FindingKind.LOG_TRUNCATED,
        position=end + 1,
        position_last=size,
        where=where,
        expected=str(size),
        actual=str(end),
        explanation=(
            f"The log ends at position {end}, and {where} is of {size} events: the last "
            f"{size - end} were removed."
        ),
    )


def _gap(first: int, last: int) -> Finding:
    return Finding(
        kind=FindingKind.POSITION_GAP,
        position=max(first, 1),
        position_last=max(first, last),
        explanation=(
            f"Positions have no gaps and begin at 1, and from {first} to {last} they do not."
        ),
    )


def _tile(level: int, index: int) -> Finding:
    return Finding(
        kind=FindingKind.TILE_ALTERED,
        position=(index * WIDTH << tiles.HEIGHT * level) + 1,
        where=f"tile/{tiles.path(level, index)}",
        explanation=(
            f"The tile {tiles.path(level, index)} of the tree is not what follows from the events "
            "below it: the tree was changed, or lost a part."
        ),
    )


def _no_secret() -> Finding:
    return Finding(
        kind=FindingKind.SECRET_MISSING,
        explanation=(
            "The secret of the leaves' salts is gone, so nothing can be compared. Restore it "
            "(seal.secret) from a backup."
        ),
    )
