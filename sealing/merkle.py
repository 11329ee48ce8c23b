"""The Merkle tree of RFC 6962 and RFC 9162, section 2.1: hashes, roots and proofs. Pure.

    leaf hash   SHA-256(0x00 ‖ leaf)             node hash   SHA-256(0x01 ‖ left ‖ right)

A tree of n leaves is split at the largest power of two below n. So whatever was a whole subtree
stays one as the tree grows, and a tree needs no more than the roots of its whole subtrees: at most
one for each bit of n.
"""

import hashlib
from collections.abc import Callable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

# The hash of the leaves in [start, end), a range that the tree has as a subtree.
Subtree = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof that does not fit what it should prove."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    """Return how many of `count` > 1 leaves are below the left side of their root."""
    return int(1 << (count - 1).bit_length() - 1)


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the root above `hashes`, of leaves or of whole subtrees of one size.

    The last one may be of a smaller subtree: the split is the same.
    """
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    sha256 = hashlib.sha256
    while len(row) > 1:
        odd = [row.pop()] if len(row) % 2 else []
        pairs = zip(row[::2], row[1::2], strict=True)
        row = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return row[0]


class Frontier:
    """The roots of a growing tree's whole subtrees, the largest first: O(log n) memory.

    What is appended are leaf hashes, or the roots of subtrees of one size; it costs one hash on
    average.
    """

    def __init__(self) -> None:
        self._size = 0
        self._roots: list[bytes] = []

    def append(self, node: bytes) -> None:
        """Append a hash at the right."""
        bits = self._size
        while bits & 1:
            node = node_hash(self._roots.pop(), node)
            bits >>= 1
        self._roots.append(node)
        self._size += 1

    def root(self, rest: bytes | None = None) -> bytes:
        """Return the root, with a smaller subtree `rest` at the right of all."""
        nodes = self._roots if rest is None else [*self._roots, rest]
        if not nodes:
            return EMPTY_ROOT
        *left, node = nodes
        for each in reversed(left):
            node = node_hash(each, node)
        return node

    def copy(self) -> "Frontier":
        """Return another one that grows by itself."""
        other = Frontier()
        other._size, other._roots = self._size, list(self._roots)
        return other


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root of `size` leaves.

    RFC 9162, 2.1.3.1: the one next to the leaf first.
    """
    assert 0 <= index < size, "the tree has no such leaf"
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return the hashes which show that `new` leaves begin with the same `old` ones.

    RFC 9162, 2.1.4.1. Empty for equal sizes, and from an empty tree, which begins every other.
    """
    assert 0 <= old <= new, "a tree only grows"
    if old in {0, new}:
        return []
    path: list[bytes] = []
    start, end, is_old_root = 0, new, True
    while old != end:
        middle = start + split(end - start)
        if old <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start, is_old_root = middle, False
    if not is_old_root:
        path.append(subtree(start, end))
    return path[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` gives the tree of `size` leaves with this leaf hash at `index`.

    RFC 9162, 2.1.3.2. Raises ProofError if the proof has another length than such a tree's.
    """
    if not 0 <= index < size:
        raise ProofError("the tree has no such leaf")
    node, last, rest = leaf, size - 1, list(proof)
    for sibling in rest:
        if last == 0:
            raise ProofError("the proof is too long")
        if index % 2 or index == last:
            node = node_hash(sibling, node)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    return node


def check_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofError unless the tree of `new` leaves begins with the tree of `old` ones.

    RFC 9162, 2.1.4.2.
    """
    if not 0 <= old <= new:
        raise ProofError("a tree only grows")
    if old in {0, new}:
        same = old_root == (EMPTY_ROOT if old == 0 else new_root)
        if proof or not same:
            raise ProofError("the roots of one tree differ")
        return
    # A whole subtree is its own first hash.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    first, second = _climb(old, new, path)
    if (first, second) != (old_root, new_root):
        raise ProofError("the roots do not follow from the proof")


def _climb(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the two roots that a proof of consistency leads to. Raises ProofError."""
    if not path:
        raise ProofError("the proof is too short")
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if place % 2 or place == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, node)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    return first, second
