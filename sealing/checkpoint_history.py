"""Checkpoints to compare with, one after the other by size: the database's own, and those outside.

Bounded memory: each source is read a little ahead, and no further than the log is hashed.
"""

from collections.abc import AsyncIterator, Sequence

import msgspec

from runtime.database import Executor
from runtime.sql import queries
from sealing import offsite, signed_notes
from sealing.findings import Finding, FindingKind
from sealing.offsite import CheckpointStore
from sealing.signed_notes import NoteError, SignedCheckpoint, Verifier

SQL = queries("sealing")
PAGE_CHECKPOINTS_MAX = 1_000


class StoredNote(msgspec.Struct, frozen=True):
    """A note that was found under a size."""

    size: int
    note: str
    name: str


async def stored(connection: Executor) -> AsyncIterator[StoredNote]:
    """Yield the database's own checkpoints by size."""
    size = 0
    while True:
        rows = await connection.fetch(SQL["checkpoints_after"], size, PAGE_CHECKPOINTS_MAX)
        for row in rows:
            size = row["size"]
            yield StoredNote(size, row["note"], f"the database's checkpoint of size {size}")
        if len(rows) < PAGE_CHECKPOINTS_MAX:
            return


async def sent(place: CheckpointStore, where: str) -> AsyncIterator[StoredNote]:
    """Yield the checkpoints that were sent to a place, by size."""
    async for name, body in place.all():
        if name.endswith(offsite.SUFFIX):
            yield StoredNote(
                offsite.size_of(name), body.decode(errors="replace"), f"{where}/{name}"
            )


class CheckpointSource:
    """One source of checkpoints: what was read of it, and up to where the log agrees with it."""

    def __init__(self, kept: AsyncIterator[StoredNote], verifiers: Sequence[Verifier]) -> None:
        self._kept = kept
        self._verifiers = verifiers
        self.next: StoredNote | None = None
        self.count = 0
        self.agreed = 0
        self.contradicted = False

    async def advance(self) -> None:
        """Read the next one."""
        self.next = await anext(self._kept, None)
        self.count += self.next is not None

    def read(self, size: int) -> SignedCheckpoint | Finding:
        """Return what the next one says, of just `size` events, or why it cannot be believed."""
        kept = self.next
        assert kept is not None, "there is a next one"
        try:
            text = signed_notes.opened(kept.note, self._verifiers)
        except NoteError as error:
            return Finding(
                kind=FindingKind.SIGNATURE_INVALID,
                where=kept.name,
                explanation=(
                    f"{kept.name} is not signed by a key that you trust: {error}. "
                    "Somebody else wrote it, or the key was changed without telling you."
                ),
            )
        try:
            checkpoint = signed_notes.checkpoint(text)
        except NoteError as error:
            return _unreadable(kept, str(error))
        if not checkpoint.size == kept.size == size:
            return _unreadable(kept, f"it is of size {checkpoint.size}")
        if checkpoint.origin not in {each.name for each in self._verifiers}:
            return _unreadable(kept, f"it is of another log, {checkpoint.origin!r}")
        return checkpoint


def _unreadable(kept: StoredNote, why: str) -> Finding:
    return Finding(
        kind=FindingKind.CHECKPOINT_UNREADABLE,
        where=kept.name,
        explanation=f"{kept.name} is no checkpoint of this log: {why}.",
    )
