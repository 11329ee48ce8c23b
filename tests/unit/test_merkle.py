"""The tree against Certificate Transparency's published vectors, and against a naive one."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealing import merkle, tiles
from sealing.merkle import HASH_BYTES, Frontier, ProofError
from sealing.rebuilt_tree import Tree
from sealing.tiles import TileError

# The well-known vectors of RFC 6962: certificate-transparency's merkle_tree_test.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# (leaf, size): the way from the leaf up.
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENT = {
    (1, 1): [],
    (1, 8): PATHS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
MANY = [hashlib.sha256(bytes([number % 251, number // 251])).digest() for number in range(1_300)]
sizes = st.integers(1, len(MANY))


def naive(hashes: Sequence[bytes]) -> bytes:
    """Return the root as RFC 6962 defines it."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    left, right = naive(hashes[:half]), naive(hashes[half:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtree_of(hashes: Sequence[bytes]) -> merkle.Subtree:
    """Return the hashes of subtrees, the naive way."""
    return lambda start, end: naive(hashes[start:end])


def tiled(hashes: Sequence[bytes], *stops: int) -> dict[tuple[int, int], bytes]:
    """Return the tiles of a tree that grew from stop to stop."""
    made: dict[tuple[int, int], bytes] = {}
    size = 0
    for stop in (*sorted(stops), len(hashes)):
        last = {level: made[level, index] for level, index in tiles.edge(size)}
        for tile in tiles.grow(size, last, b"".join(hashes[size:stop])):
            made[tile.level, tile.index] = tile.hashes
        size = stop
    return made


def test_the_published_roots() -> None:
    """Leaf by leaf, and of nothing."""
    assert merkle.EMPTY_ROOT.hex() == EMPTY
    assert merkle.root([]) == Frontier().root() == merkle.EMPTY_ROOT
    frontier = Frontier()
    for size, expected in enumerate(ROOTS, 1):
        frontier.append(HASHES[size - 1])
        assert merkle.root(HASHES[:size]).hex() == expected
        assert frontier.root().hex() == expected


@pytest.mark.parametrize("index, size", PATHS)
def test_the_published_inclusion_proofs(index: int, size: int) -> None:
    """Made just so, and leading to the published root."""
    proof = merkle.inclusion_proof(index, size, subtree_of(HASHES))
    assert [node.hex() for node in proof] == PATHS[index, size]
    assert merkle.root_from_inclusion(HASHES[index], index, size, proof).hex() == ROOTS[size - 1]


@pytest.mark.parametrize("old, new", CONSISTENT)
def test_the_published_consistency_proofs(old: int, new: int) -> None:
    """Made just so, and believed."""
    proof = merkle.consistency_proof(old, new, subtree_of(HASHES))
    assert [node.hex() for node in proof] == CONSISTENT[old, new]
    first, second = (bytes.fromhex(ROOTS[size - 1]) for size in (old, new))
    merkle.check_consistency(old, first, new, second, proof)


@given(sizes, st.lists(sizes, max_size=3))
def test_a_tree_of_tiles_is_the_tree(size: int, stops: list[int]) -> None:
    """However it grew; and the tree that a verification builds is the same."""
    hashes = MANY[:size]
    made = tiled(hashes, *(stop for stop in stops if stop < size))
    last = {level: made[level, index] for level, index in tiles.edge(size)}
    assert tiles.root(size, last) == merkle.root(hashes) == naive(hashes)
    for (level, index), row in made.items():
        assert len(row) == tiles.width_at(level, index, size) * HASH_BYTES
    tree = Tree()
    for first, end in zip([0, *sorted(stops)], [*sorted(stops), size], strict=True):
        tree.grow(hashes[first:end])
    assert tree.root() == naive(hashes)
    assert tree.copy().root() == tree.root()


@given(st.data(), sizes)
def test_every_inclusion_proof_is_believed_and_no_other(data: st.DataObject, size: int) -> None:
    """From tiles as from the naive tree; another leaf, place, or hash leads elsewhere."""
    index = data.draw(st.integers(0, size - 1))
    made = tiled(MANY[:size])
    proof = merkle.inclusion_proof(index, size, tiles.subtree(lambda *at: made[at]))
    assert proof == merkle.inclusion_proof(index, size, subtree_of(MANY))
    root = naive(MANY[:size])
    assert merkle.root_from_inclusion(MANY[index], index, size, proof) == root
    assert merkle.root_from_inclusion(MANY[index - 1 or 7], index, size, proof) != root or (
        MANY[index - 1 or 7] == MANY[index]
    )
    for wrong in ([*proof, MANY[0]], proof[:-1]):
        if wrong != proof:
            with pytest.raises(ProofError):
                merkle.root_from_inclusion(MANY[index], index, size, wrong)
    for place in range(len(proof)):
        wrong = [*proof[:place], MANY[place], *proof[place + 1 :]]
        if wrong != proof:
            assert merkle.root_from_inclusion(MANY[index], index, size, wrong) != root
    with pytest.raises(ProofError):
        merkle.root_from_inclusion(MANY[index], size, size, proof)


@given(st.data(), sizes)
def test_every_consistency_proof_is_believed_and_no_other(data: st.DataObject, new: int) -> None:
    """A tree that began otherwise is not believed to be the same one."""
    old = data.draw(st.integers(0, new))
    made = tiled(MANY[:new])
    proof = merkle.consistency_proof(old, new, tiles.subtree(lambda *at: made[at]))
    assert proof == merkle.consistency_proof(old, new, subtree_of(MANY))
    first = naive(MANY[:old]) if old else merkle.EMPTY_ROOT
    second = naive(MANY[:new])
    merkle.check_consistency(old, first, new, second, proof)
    for roots in ((MANY[0][::-1], second), (first, MANY[0][::-1])):
        if old or roots[0] != first:
            with pytest.raises(ProofError):
                merkle.check_consistency(old, roots[0], new, roots[1], proof)
    with pytest.raises(ProofError):
        merkle.check_consistency(old, first, new, second, [*proof, MANY[0]])
    if proof:
        with pytest.raises(ProofError):
            merkle.check_consistency(old, first, new, second, proof[:-1])
    with pytest.raises(ProofError):
        merkle.check_consistency(new + 1, first, new, second, proof)


@pytest.mark.parametrize(
    "level, index, width, path",
    [
        (0, 0, 256, "0/000"),
        (0, 999, 256, "0/999"),
        (1, 1_067, 256, "1/x001/067"),
        (0, 1_234_067, 256, "0/x001/x234/067"),
        (2, 4, 43, "2/004.p/43"),
    ],
)
def test_paths_are_those_of_the_specification(
    level: int, index: int, width: int, path: str
) -> None:
    """Groups of three digits, all but the last with an x; a partial tile names its width."""
    assert tiles.path(level, index, width) == path
    assert tiles.parsed(path.partition("/")[2]) == (index, width)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0000", "x000/001", "001/x002", "x001", "000.p/0", "000.p/256", "000.p/257"),
        *("000.p/01", "../000", "000/", "\u0660\u0660\u0660", "x001/067.p/", "-01"),
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    """There is one name for each tile."""
    with pytest.raises(TileError):
        tiles.parsed(text)
