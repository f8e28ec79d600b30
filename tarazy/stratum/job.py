"""A job: what is mined on until the next one, and the merkle arithmetic that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from tarazy.stratum.difficulty import LOWEST_EXPONENT


def double_sha256(data: bytes) -> bytes:
    """Bitcoin's hash, in internal byte order."""
    return sha256(sha256(data).digest()).digest()


def displayed(block_hash: bytes) -> str:
    """A hash of internal byte order as people and nodes write it."""
    return block_hash[::-1].hex()


def merkle_branch(txids: Sequence[bytes]) -> tuple[bytes, ...]:
    """The hashes that lead from a coinbase to the root over it and `txids` (internal order)."""
    branch: list[bytes] = []
    level: list[bytes] = [b"", *txids]
    while len(level) > 1:
        branch.append(level[1])
        if len(level) % 2:
            level.append(level[-1])
        level = [b"", *(double_sha256(level[i] + level[i + 1]) for i in range(2, len(level), 2))]
    return tuple(branch)


def merkle_root(coinbase: bytes, branch: Sequence[bytes]) -> bytes:
    """The root over a coinbase (without witness) and its branch, internal order."""
    root = sha256(sha256(coinbase).digest()).digest()
    for element in branch:
        root = sha256(sha256(root + element).digest()).digest()
    return root


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Hashes are in internal byte order, times in Unix seconds."""

    number: int
    """64 bits, from `JobNumbers`."""
    height: int
    previous_block_hash: bytes
    version: int
    """No bit of it lies inside the version mask (C-069)."""
    nbits: int
    target: int
    """A block's hash must not exceed it."""
    ntime: int
    mintime: int
    coinbase_head: bytes
    """The coinbase up to the byte that carries the difficulty exponent and the 8 bytes of the job's number."""
    coinbase_tail: bytes
    """From behind these to the push of the extranonces, its opcode included."""
    coinbase_end: bytes
    """Everything behind the extranonces: coinb2."""
    branch: tuple[bytes, ...]
    clean: bool
    """Whether it makes all earlier work worthless: a new previous block."""

    @property
    def wire_id(self) -> str:
        """The job id miners see: 16 hex digits."""
        return f"{self.number:016x}"

    def coinb1(self, exponent: int) -> bytes:
        """The coinbase up to extranonce1 for work of difficulty 2**exponent.

        The exponent's byte makes the credit part of the work (invariant 11); the job's number behind it makes work on
        two jobs of the same content two works, so that none is paid twice.
        """
        own = bytes([exponent - LOWEST_EXPONENT]) + self.number.to_bytes(8, "big")
        return self.coinbase_head + own + self.coinbase_tail


class JobNumbers:
    """Job numbers that never repeat, nor after a restart: start second in the high half, a count below."""

    def __init__(self, start: int) -> None:
        """`start`: Unix seconds at which this process began."""
        self._last = start << 32

    def __call__(self) -> int:
        """The next number."""
        self._last += 1
        return self._last
