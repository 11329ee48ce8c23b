"""Events that are not what their leaves say, and what may have happened to each. Pure."""

from collections.abc import Iterator

import msgspec

from runtime.sql import Row
from sealing import leaves, merkle
from sealing.findings import FINDINGS_MAX, Finding, FindingKind, Findings

# So many are compared with one another to see whether they only changed places.
MOVED_MAX = 64


class Altered(msgspec.Struct, frozen=True):
    """A position, what its leaf was sealed as, and the row there; none if it is gone."""

    position: int
    sealed: bytes
    row: Row | None


class Differences:
    """The rows that differ from their leaves.

    A row or its tile was changed: up to `agreed`, the size of the last signed checkpoint that
    confirms the rows, it was the tile.
    """

    def __init__(self) -> None:
        self.agreed = 0
        self._count = 0
        self._first: list[Altered] = []

    def add(self, position: int, sealed: bytes, row: Row | None) -> None:
        """Take one, in the order of the positions."""
        self._count += 1
        if len(self._first) < FINDINGS_MAX:
            self._first.append(Altered(position, sealed, row))

    def report(self, findings: Findings, secret: bytes) -> None:
        """Say what became of each."""
        came_from = dict(self._moved(secret))
        for each in self._first:
            findings.add(self._finding(each, came_from.get(each.position)))
        findings.count += self._count - len(self._first)

    def _moved(self, secret: bytes) -> Iterator[tuple[int, int]]:
        """Yield (position, the position that the row there was sealed at)."""
        some = self._first[:MOVED_MAX]
        sealed = {each.sealed: each.position for each in some}
        for each in some:
            if each.row is None:
                continue
            found = sealed.keys() & {
                merkle.leaf_hash(leaves.leaf(each.row, secret, other.position).encoded())
                for other in some
            }
            if found:
                yield each.position, sealed[found.pop()]

    def _finding(self, each: Altered, came_from: int | None) -> Finding:
        position = each.position
        if position <= self.agreed:
            kind = FindingKind.TILE_ALTERED
            what = (
                "The tree has another hash for the event at position {}, and a signed checkpoint "
                "confirms the event: the tree was changed."
            )
        elif each.row is None:
            kind = FindingKind.EVENT_MISSING
            what = "The event at position {} was sealed, and is gone."
        elif came_from is not None:
            kind = FindingKind.EVENT_MOVED
            what = f"The event at position {{}} was sealed at position {came_from}."
        else:
            kind = FindingKind.EVENT_ALTERED
            what = "The event at position {} is not what was sealed there: it was changed since."
        return Finding(
            kind=kind,
            position=position,
            expected=each.sealed.hex(),
            explanation=what.format(position),
        )
