"""The tree as a verification builds it again: leaf by leaf, another way than the sealer's. Pure."""

from collections.abc import Sequence

from sealing import merkle
from sealing.merkle import Frontier
from sealing.tiles import WIDTH


class Tree:
    """A growing tree: the roots of whole tiles, and the leaf hashes of the last one."""

    def __init__(self) -> None:
        self._whole = Frontier()
        self._tail: list[bytes] = []

    def grow(self, hashes: Sequence[bytes]) -> list[bytes]:
        """Append leaf hashes; return the roots of the tiles that are whole now."""
        roots: list[bytes] = []
        at = 0
        while at < len(hashes):
            taken = hashes[at : at + WIDTH - len(self._tail)]
            at += len(taken)
            self._tail += taken
            if len(self._tail) == WIDTH:
                roots.append(merkle.root(self._tail))
                self._whole.append(roots[-1])
                self._tail = []
        return roots

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        return self._whole.root(merkle.root(self._tail) if self._tail else None)

    def copy(self) -> "Tree":
        """Return another tree that grows by itself."""
        other = Tree()
        other._whole, other._tail = self._whole.copy(), list(self._tail)
        return other
