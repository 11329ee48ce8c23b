"""The whole log against its seal: every row hashed again, compared with all that was signed.

    rows of the log ─▶ leaves ─▶ tree ─┬─▶ tiles            which event differs?
                                       ├─▶ checkpoints of the database
                                       └─▶ checkpoints that left the box

The owner of the database can rewrite rows, tiles and its checkpoints, but neither the signatures
nor the checkpoints elsewhere. An event that differs is found by its leaf. Where the tiles were
rewritten to agree with it, it is found by the first checkpoint that does not agree. The log is read
in one snapshot, a page at a time.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from events import log
from runtime.database import Connection
from runtime.problems import NotFound
from runtime.sql import queries
from sealing import database_guards, findings, offsite
from sealing.checkpoint_comparer import CheckpointComparer
from sealing.checkpoint_history import CheckpointSource, sent, stored
from sealing.differences import Differences
from sealing.findings import Findings, Verdict
from sealing.log_reader import HashedPage, LogReader
from sealing.rebuilt_tree import Tree
from sealing.signed_notes import Verifier
from sealing.tile_comparer import TileComparer

SQL = queries("sealing")

# Called with how many events were verified, and how many there are.
Progress = Callable[[int, int], object]


async def verify_log(
    connection: Connection,
    verifiers: Sequence[Verifier],
    places: Sequence[str] = (),
    progress: Progress = lambda _done, _total: None,
) -> Verdict:
    """Verify everything, and return what was found. Changes nothing.

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
        own = CheckpointSource(stored(connection), verifiers)
        outside = [
            CheckpointSource(sent(place, where), verifiers)
            for place, where in zip(opened, places, strict=True)
        ]
        found = Findings()
        sealed: int = await connection.fetchval(SQL["sealed_size"]) or 0
        differences = Differences()
        tiles = TileComparer(connection, sealed, found, differences)
        checkpoints = CheckpointComparer([own, *outside], found, differences)
        for finding in await database_guards.look(connection):
            found.add(finding)
        if not await checkpoints.begin() and not sealed:
            raise NotFound("not_sealed", "Nothing of this log was ever sealed: there is no proof.")
        await _check_last_checkpoint(connection, sealed, found)
        secret: bytes = await connection.fetchval(SQL["secret"]) or b""
        verified = 0
        if secret:
            reader = LogReader(connection, found, secret)
            verified = await _compare(
                connection, reader, sealed, tiles, checkpoints, found, progress
            )
            differences.report(found, secret)
            await _check_end(connection, verified, sealed, found)
            await checkpoints.end(verified)
        else:
            found.add(findings.no_secret())
    return Verdict(
        events=verified,
        sealed=min(sealed, verified),
        tiles=tiles.count,
        checkpoints=own.count,
        checkpoints_off_the_box=sum(source.count for source in outside),
        finding_count=found.count,
        findings=found.listed,
    )


async def _compare(
    connection: Connection,
    reader: LogReader,
    sealed: int,
    tiles: TileComparer,
    checkpoints: CheckpointComparer,
    found: Findings,
    progress: Progress,
) -> int:
    """Read the log, and compare all that was made of it; return the last position."""
    first, end = await _bounds(connection)
    if first < 1:
        found.add(findings.gap(first, 0))
    trees = _Trees()
    async for page in reader.pages(end, sealed):
        as_sealed = await tiles.leaves(page)
        if as_sealed != page.hashes and trees.branch():
            tiles.branch()
        await tiles.above(*await trees.grow(page, as_sealed, checkpoints))
        progress(page.end, end)
    return trees.size


class _Trees:
    """The tree that follows from the rows, and from the first difference on that of the tiles."""

    def __init__(self) -> None:
        self.size = 0
        self._of_rows = Tree()
        self._of_tiles: Tree | None = None

    def branch(self) -> bool:
        """Follow the tiles, too; return whether that begins now."""
        begins = self._of_tiles is None
        if begins:
            self._of_tiles = self._of_rows.copy()
        return begins

    async def grow(
        self, page: HashedPage, as_sealed: list[bytes], checkpoints: CheckpointComparer
    ) -> tuple[list[bytes], list[bytes]]:
        """Grow by a page, and stop at each checkpoint; return the roots of whole tiles."""
        roots: list[bytes] = []
        roots_as_sealed: list[bytes] = []
        while self.size < page.end:
            upto = checkpoints.next_size(self.size, page.end)
            part = slice(self.size - page.start, upto - page.start)
            roots += self._of_rows.grow(page.hashes[part])
            if self._of_tiles is not None:
                roots_as_sealed += self._of_tiles.grow(as_sealed[part])
            self.size = upto
            root_as_sealed = None if self._of_tiles is None else self._of_tiles.root()
            await checkpoints.compare(self.size, self._of_rows.root(), root_as_sealed)
        return roots, roots_as_sealed


async def _bounds(connection: Connection) -> tuple[int, int]:
    """Return the first position and the last one."""
    row = await connection.fetchrow(SQL["log_bounds"])
    assert row is not None, "an aggregate has a row"
    return row["first"] or 1, row["last"] or 0


async def _check_last_checkpoint(connection: Connection, sealed: int, found: Findings) -> None:
    latest = await connection.fetchrow(SQL["latest_checkpoint"])
    size = 0 if latest is None else latest["size"]
    if size != sealed:
        found.add(findings.checkpoint_missing(sealed, size))


async def _check_end(connection: Connection, end: int, sealed: int, found: Findings) -> None:
    if end < sealed:
        found.add(findings.truncated(end, sealed, "the tree"))
    head = await connection.fetchval(log.SQL["head"])
    if head is None or (head != end and not (head == sealed > end)):
        found.add(findings.head_mismatch(end, head))
