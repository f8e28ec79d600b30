"""The Merkle tree of RFC 6962 (section 2.1; RFC 9162 the same): heads, proofs of inclusion and of consistency.

Hashes are SHA-256. A leaf's hash is over 0x00 and its content, a node's over 0x01 and its two children, so that
neither can stand for the other. The tree over n leaves splits at the largest power of two below n; a full subtree of
2^level leaves that begins at leaf index · 2^level is the node (level, index), with leaves at level 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

Node: TypeAlias = tuple[int, int]
"""Level and index of a full subtree."""

ReadNode: TypeAlias = Callable[[Node], bytes]
"""Gives the hash of a full subtree."""

EMPTY_ROOT = hashlib.sha256().digest()
"""Head of the tree without leaves."""

HASH_BYTES = 32


def leaf_hash(content: bytes) -> bytes:
    """Hash of a leaf."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def full_subtrees(first: int, end: int) -> list[Node]:
    """The full subtrees, from the left, that leaves `first` to `end` - 1 fall into: a part of the tree as it splits."""
    nodes = []
    while first < end:
        level = (end - first).bit_length() - 1
        nodes.append((level, first >> level))
        first += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """Hash above full subtrees that stand side by side, given from the left, each smaller than the one before."""
    if not hashes:
        return EMPTY_ROOT
    *rest, folded = hashes
    for left in reversed(rest):
        folded = node_hash(left, folded)
    return folded


class Frontier:
    """What an appender must know of a tree: its size, and the hashes of its full subtrees from the left."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(self.hashes)}")

    def append(self, leaf: bytes) -> Iterator[tuple[Node, bytes]]:
        """Add the hash of a leaf; gives every node that this completes, the leaf first. Take them all."""
        index, level, made = self.size, 0, leaf
        self.size += 1
        while True:
            yield (level, index), made
            if not index & 1:
                break
            made = node_hash(self.hashes.pop(), made)
            index, level = index >> 1, level + 1
        self.hashes.append(made)

    @property
    def root(self) -> bytes:
        """Head of the tree."""
        return fold(self.hashes)


def root_of(read: ReadNode, first: int, end: int) -> bytes:
    """Hash above leaves `first` to `end` - 1, a part of the tree as it splits."""
    return fold([read(node) for node in full_subtrees(first, end)])


def prove_inclusion(read: ReadNode, index: int, size: int) -> list[bytes]:
    """The path by which leaf `index` lies in the tree of `size` leaves, from the leaf up (RFC 6962, 2.1.1).

    Raises ValueError when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        split = first + _split(end - first)
        if index < split:
            path.append(root_of(read, split, end))
            end = split
        else:
            path.append(root_of(read, first, split))
            first = split
    return path[::-1]


def prove_consistency(read: ReadNode, old: int, new: int) -> list[bytes]:
    """The hashes by which the tree of `old` leaves is the beginning of that of `new` (RFC 6962, 2.1.2).

    Raises ValueError unless 0 < `old` ≤ `new`.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {old} leaves is not the beginning of one of {new}; both begin with one leaf")
    proof: list[bytes] = []
    first, end, whole = 0, new, True
    while old != end:
        split = first + _split(end - first)
        if old <= split:
            proof.append(root_of(read, split, end))
            end = split
        else:
            proof.append(root_of(read, first, split))
            first, whole = split, False
    if not whole:
        proof.append(root_of(read, first, end))
    return proof[::-1]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` leads from the hash of leaf `index` to the head of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, made = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if number & 1 or number == last:
            made = node_hash(sibling, made)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            made = node_hash(made, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and made == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree with the one head begins the tree with the other (RFC 9162, 2.1.4.2).

    The empty tree begins every tree, with an empty proof.
    """
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    hashes = list(proof)
    if not old & old - 1:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    was = now = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and (was, now) == (old_root, new_root)
