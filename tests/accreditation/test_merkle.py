"""The Merkle tree against its definition in RFC 6962, and its proofs against every lie of one step."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazy.accreditation.merkle import (
    EMPTY_ROOT,
    Frontier,
    Node,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The leaves that Certificate Transparency's own tests use, and the heads of their first 1, 2, … 8."""
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


class Tree:
    """A tree with every full subtree kept."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.frontier = Frontier()
        self.nodes: dict[Node, bytes] = {}
        self.roots = [self.frontier.root]
        for leaf in leaves:
            self.nodes.update(self.frontier.append(leaf_hash(leaf)))
            self.roots.append(self.frontier.root)

    def read(self, node: Node) -> bytes:
        """Hash of a full subtree."""
        return self.nodes[node]


def defined(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\1" + defined(leaves[:split]) + defined(leaves[split:])).digest()


def numbered(count: int) -> list[bytes]:
    """So many different leaves."""
    return [b"%d" % number for number in range(count)]


def test_heads_are_those_of_certificate_transparency() -> None:
    """Known answers."""
    assert [root.hex() for root in Tree(LEAVES).roots[1:]] == ROOTS


@given(st.integers(0, 70))
def test_heads_are_as_defined(size: int) -> None:
    """For every size, by the definition."""
    tree = Tree(numbered(size))
    assert tree.frontier.root == tree.roots[size] == defined(numbered(size))
    assert Frontier(size, tree.frontier.hashes).root == tree.roots[size]


def test_every_leaf_of_every_small_tree_is_proven_and_no_other() -> None:
    """Inclusion holds for the leaf, its place, size and head, and for nothing else."""
    tree = Tree(numbered(20))
    for size in range(1, 21):
        root = tree.roots[size]
        for index in range(size):
            leaf = leaf_hash(b"%d" % index)
            path = prove_inclusion(tree.read, index, size)
            assert verify_inclusion(leaf, index, size, path, root)
            assert not verify_inclusion(leaf_hash(b"x"), index, size, path, root)
            assert not verify_inclusion(leaf, index, size, path, EMPTY_ROOT)
            assert not verify_inclusion(leaf, index, size, [*path, root], root)
            assert not any(verify_inclusion(leaf, other, size, path, root) for other in range(-1, 21) if other != index)
            for place in range(len(path)):
                assert not verify_inclusion(leaf, index, size, path[:place] + path[place + 1 :], root)
                assert not verify_inclusion(leaf, index, size, [*path[:place], b"x" * 32, *path[place + 1 :]], root)


def test_every_tree_begins_every_larger_one_and_no_other() -> None:
    """Consistency holds between the heads of the sizes named, and for nothing else."""
    tree = Tree(numbered(20))
    other = Tree([b"another", *numbered(20)[1:]])
    for new in range(1, 21):
        for old in range(1, new + 1):
            proof = prove_consistency(tree.read, old, new)
            assert verify_consistency(old, new, tree.roots[old], tree.roots[new], proof)
            assert not verify_consistency(old, new, other.roots[old], tree.roots[new], proof)
            assert not verify_consistency(old, new, tree.roots[old], other.roots[new], proof)
            assert not verify_consistency(old, new, tree.roots[old], tree.roots[new], [*proof, EMPTY_ROOT])
            for place in range(len(proof)):
                assert not verify_consistency(
                    old, new, tree.roots[old], tree.roots[new], proof[:place] + proof[place + 1 :]
                )
        assert verify_consistency(0, new, EMPTY_ROOT, tree.roots[new], [])


def test_proofs_of_certificate_transparency() -> None:
    """A path and a consistency proof of RFC 6962's example of seven leaves (section 2.1.3)."""
    tree = Tree(numbered(7))
    a, b, c, d, e, f, j = (leaf_hash(leaf) for leaf in numbered(7))
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, last = node_hash(g, h), node_hash(i, j)
    assert prove_inclusion(tree.read, 0, 7) == [b, h, last]
    assert prove_inclusion(tree.read, 3, 7) == [c, g, last]
    assert prove_inclusion(tree.read, 4, 7) == [f, j, k]
    assert prove_inclusion(tree.read, 6, 7) == [i, k]
    assert prove_consistency(tree.read, 3, 7) == [c, d, g, last]
    assert prove_consistency(tree.read, 4, 7) == [last]
    assert prove_consistency(tree.read, 6, 7) == [i, j, k]


@given(st.integers(1, 3_000), st.data())
def test_proofs_are_short(size: int, data: st.DataObject) -> None:
    """A proof has at most a hash for each level, and one more."""
    tree = Tree(numbered(size))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    path, proof = prove_inclusion(tree.read, index, size), prove_consistency(tree.read, old, size)
    assert verify_inclusion(leaf_hash(b"%d" % index), index, size, path, tree.roots[size])
    assert verify_consistency(old, size, tree.roots[old], tree.roots[size], proof)
    assert max(len(path), len(proof) - 1) <= (size - 1).bit_length()


INCLUSION = [
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (2, 5, ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip
"""Paths in the tree over LEAVES, known answers of Certificate Transparency: the leaf from 1, the size, hashes."""
CONSISTENCY = [
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 5, ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
    (6, 7, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
]  # fmt: skip
"""The smaller size, the larger, hashes."""


def test_proofs_are_those_of_certificate_transparency() -> None:
    """Known answers, made and verified alike."""
    tree = Tree(LEAVES)
    for number, size, path in INCLUSION:
        assert [made.hex() for made in prove_inclusion(tree.read, number - 1, size)] == path
        known, root = [bytes.fromhex(text) for text in path], bytes.fromhex(ROOTS[size - 1])
        assert verify_inclusion(leaf_hash(LEAVES[number - 1]), number - 1, size, known, root)
    for old, new, proof in CONSISTENCY:
        assert [made.hex() for made in prove_consistency(tree.read, old, new)] == proof
        known = [bytes.fromhex(text) for text in proof]
        assert verify_consistency(old, new, bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1]), known)


SMALL = Tree(numbered(20))
_HASH = st.sampled_from([*SMALL.nodes.values(), EMPTY_ROOT])


@given(st.integers(-2, 40), st.integers(-2, 40), st.lists(_HASH, max_size=6), st.booleans())
def test_whatever_is_sent_as_a_proof_proves_only_what_is_so(
    first: int, second: int, hashes: list[bytes], honest: bool
) -> None:
    """No exception, and nothing but the tree's own proofs for its own heads passes."""
    root = SMALL.roots[second] if 0 <= second <= 20 else EMPTY_ROOT
    leaf = leaf_hash(b"%d" % first)
    if honest and 0 <= first < second <= 20:
        hashes = prove_inclusion(SMALL.read, first, second)
    if verify_inclusion(leaf, first, second, hashes, root):
        assert hashes == prove_inclusion(SMALL.read, first, second)
    if honest and 0 < first <= second <= 20:
        hashes = prove_consistency(SMALL.read, first, second)
    old = SMALL.roots[first] if 0 <= first <= 20 else EMPTY_ROOT
    if verify_consistency(first, second, old, root, hashes) and first > 0:
        assert hashes == prove_consistency(SMALL.read, first, second)


def test_what_cannot_be_proven_is_refused() -> None:
    """A leaf beyond the tree, a tree longer than the other, a frontier of another size."""
    tree = Tree(numbered(3))
    with pytest.raises(ValueError, match="no leaf 3"):
        prove_inclusion(tree.read, 3, 3)
    with pytest.raises(ValueError, match="is not the beginning"):
        prove_consistency(tree.read, 4, 3)
    with pytest.raises(ValueError, match="has 2 full subtrees, not 1"):
        Frontier(3, [EMPTY_ROOT])
