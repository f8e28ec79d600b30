"""The sum tree of a distribution: one root from which each party checks its own weight and credit.

H is SHA-256, numbers are big-endian and of fixed width, leaves are sorted by commitment, and an odd node moves
up unchanged.

    commit = H(0x10 ‖ round u64 ‖ H(party) ‖ salt)
    leaf = H(0x00 ‖ commit ‖ weight u128 ‖ credit u64 ‖ fee in ppm u32)
    node = H(0x01 ‖ both children, each with hash, weight and credit)

The sums of the children are hashed apart: hashed only as a total they could hide amounts (Hu, Zhang, Guo, ePrint
2018/1139).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

_U32, _U64, _U128 = 4, 8, 16


class Leaf(NamedTuple):
    """A party's part."""

    commit: bytes
    weight: int
    credit: int
    fee_ppm: int


class Node(NamedTuple):
    """A hash, and the sums below it."""

    hash: bytes
    weight: int
    credit: int


EMPTY = Node(sha256().digest(), 0, 0)
"""Root over no parties."""


def commit_of(round_: int, party: str, salt: bytes) -> bytes:
    """What stands for a party in one round."""
    return sha256(b"\x10" + round_.to_bytes(_U64, "big") + sha256(party.encode()).digest() + salt).digest()


def leaf_node(leaf: Leaf) -> Node:
    """The lowest node of a party. Raises OverflowError for sums that do not fit their width."""
    packed = _packed(Node(leaf.commit, leaf.weight, leaf.credit)) + leaf.fee_ppm.to_bytes(_U32, "big")
    return Node(sha256(b"\x00" + packed).digest(), leaf.weight, leaf.credit)


def above(left: Node, right: Node) -> Node:
    """The node over two others. Raises OverflowError."""
    joined = sha256(b"\x01" + _packed(left) + _packed(right)).digest()
    return Node(joined, left.weight + right.weight, left.credit + right.credit)


def _packed(node: Node) -> bytes:
    return node.hash + node.weight.to_bytes(_U128, "big") + node.credit.to_bytes(_U64, "big")


def root_of(leaves: Sequence[Leaf]) -> Node:
    """The root over leaves that are sorted by commitment."""
    levels = _levels(leaves)
    return levels[-1][0] if leaves else EMPTY


def path_of(leaves: Sequence[Leaf], index: int) -> list[Node]:
    """The nodes beside the way from leaf `index` to the root, from below; none where it moves up alone."""
    path = []
    for level in _levels(leaves)[:-1]:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        index //= 2
    return path


def _levels(leaves: Sequence[Leaf]) -> list[list[Node]]:
    level = [leaf_node(leaf) for leaf in leaves]
    levels = [level]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [above(*pair) for pair in zip(level[::2], level[1::2], strict=False)] + odd
        levels.append(level)
    return levels
