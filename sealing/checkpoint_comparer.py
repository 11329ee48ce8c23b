"""Signed checkpoints, compared with the roots of the tree that was built from the log again."""

from collections.abc import Sequence

from sealing import findings
from sealing.checkpoint_history import CheckpointSource
from sealing.differences import Differences
from sealing.findings import Finding, Findings


class CheckpointComparer:
    """Goes through the checkpoints of all sources by size, beside the tree as it grows."""

    def __init__(
        self, sources: Sequence[CheckpointSource], found: Findings, differences: Differences
    ) -> None:
        self._sources = sources
        self._found = found
        self._differences = differences

    async def begin(self) -> bool:
        """Read the first checkpoint of each source; return whether there is any."""
        for source in self._sources:
            await source.advance()
        return any(source.next for source in self._sources)

    def next_size(self, size: int, stop: int) -> int:
        """Return how large the tree has to be for the next checkpoint, or `stop`."""
        return max(size, min([stop, *(each.next.size for each in self._sources if each.next)]))

    async def compare(self, size: int, root: bytes, root_as_sealed: bytes | None) -> None:
        """Compare all checkpoints of `size` with the root that follows from the rows.

        Where the tiles say something else, `root_as_sealed` follows from them.
        """
        for source in self._sources:
            while source.next is not None and source.next.size <= size:
                self._compare(source, size, root, root_as_sealed)
                await source.advance()

    async def end(self, end: int) -> None:
        """Look for what is signed beyond the end of the log."""
        for source in self._sources:
            beyond = None
            while source.next is not None:
                kept, checkpoint = source.next, source.read(source.next.size)
                if isinstance(checkpoint, Finding):
                    self._found.add(checkpoint)
                else:
                    beyond = kept
                await source.advance()
            if beyond is not None:
                self._found.add(findings.truncated(end, beyond.size, beyond.name))

    def _compare(
        self, source: CheckpointSource, size: int, root: bytes, root_as_sealed: bytes | None
    ) -> None:
        kept, checkpoint = source.next, source.read(size)
        assert kept is not None, "the caller has looked"
        if isinstance(checkpoint, Finding):
            self._found.add(checkpoint)
        elif checkpoint.root == root:
            source.agreed = self._differences.agreed = kept.size
        elif checkpoint.root == root_as_sealed:
            # It confirms the tiles, and with them each event that differs from its leaf.
            source.agreed = kept.size
        elif not source.contradicted:
            source.contradicted = True
            self._found.add(findings.rewritten(source.agreed, kept.size, kept.name))
