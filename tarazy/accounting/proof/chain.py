"""The chain over a gateway's shares: segments of shares, each a Merkle tree, and a head that names the one before it.

H is SHA-256, numbers are big-endian, names and jobs are bound to every share that refers to them:
leaf = H(0x00 ‖ sequence u64 ‖ share, 42 bytes ‖ name's digest ‖ job's digest), node = H(0x01 ‖ left ‖ right), head =
H(0x02 ‖ head before ‖ root ‖ first u64 ‖ last u64). An odd node moves up unchanged. Sequence numbers rise by one inside
a segment; between two segments some are missing where a commit failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from struct import Struct
from typing import NamedTuple, TypeAlias

from tarazy.accounting.journal_file import SHARE, Segment
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord

SEGMENT_SHARES = 1_000
"""Most shares of a segment."""
NO_HEAD = bytes(32)
"""What the first head names as the one before it."""
SALT_BYTES = 32

_REFERENCES = Struct(">8xIQ22x")
"""Of `SHARE`: name and job."""
_SEQUENCE = Struct(">Q")
_NAME = Struct(">BIQ4sQ32s")
_JOB = Struct(">QI32sIIII")


class Link(NamedTuple):
    """A segment as the chain knows it."""

    first: int
    last: int
    root: bytes
    head: bytes


Digests: TypeAlias = Callable[[int, int], bytes]
"""Gives the digests of a name and a job, joined."""


def alias_of(party: str, salt: bytes) -> bytes:
    """What stands for a party in published records; only who has the salt can tell."""
    return sha256(b"\x11" + sha256(party.encode()).digest() + salt).digest()


def name_digest(gateway: int, number: int, name: NameRecord, alias: bytes) -> bytes:
    """Digest of an admitted name: its connection, whose work that is, and since when."""
    return sha256(b"\x12" + _NAME.pack(gateway, number, name.connection, name.extranonce1, name.at_us, alias)).digest()


def job_digest(job: Job) -> bytes:
    """Digest of all that is needed to rebuild the work of a job."""
    numbers = _JOB.pack(job.number, job.height, job.previous_block_hash, job.version, job.nbits, job.ntime, job.mintime)
    parts = (job.coinbase_head, job.coinbase_tail, job.coinbase_end, b"".join(job.branch))
    return sha256(b"\x13" + numbers + b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def references(shares: bytes) -> set[tuple[int, int]]:
    """The names and jobs that shares refer to."""
    return set(_REFERENCES.iter_unpack(shares))


def leaf_hashes(first: int, shares: bytes, digests: Digests) -> list[bytes]:
    """The leaves of shares that are numbered from `first`."""
    bound: dict[tuple[int, int], bytes] = {}
    leaves = []
    pack, size = _SEQUENCE.pack, SHARE.size
    for index, references in enumerate(_REFERENCES.iter_unpack(shares)):
        digest = bound.get(references)
        if digest is None:
            digest = bound[references] = digests(*references)
        share = shares[index * size : (index + 1) * size]
        leaves.append(sha256(b"\x00" + pack(first + index) + share + digest).digest())
    return leaves


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root over leaves; of none, the hash of nothing."""
    full: list[bytes] = []
    for index, made in enumerate(leaves):
        while index & 1:
            made = sha256(b"\x01" + full.pop() + made).digest()
            index >>= 1
        full.append(made)
    if not full:
        return sha256().digest()
    root = full.pop()
    while full:
        root = sha256(b"\x01" + full.pop() + root).digest()
    return root


def next_head(before: bytes, root: bytes, first: int, last: int) -> bytes:
    """The head behind another one."""
    return sha256(b"\x02" + before + root + _SEQUENCE.pack(first) + _SEQUENCE.pack(last)).digest()


def links(before: bytes, segments: Iterable[Segment], digests: Digests) -> Iterator[Link]:
    """The segments of the chain that shares in their order make behind the head `before`."""
    for first, shares in _regrouped(segments):
        root = root_of(leaf_hashes(first, shares, digests))
        last = first + len(shares) // SHARE.size - 1
        before = next_head(before, root, first, last)
        yield Link(first, last, root, before)


def _regrouped(segments: Iterable[Segment]) -> Iterator[tuple[int, bytes]]:
    """Runs of shares without a missing number, as long as they may be."""
    limit = SEGMENT_SHARES * SHARE.size
    first, held = 0, b""
    for segment in segments:
        if held and segment.first_sequence != first + len(held) // SHARE.size:
            yield first, held
            held = b""
        if not held:
            first = segment.first_sequence
        taken = 0
        while taken < len(segment.shares):
            more = segment.shares[taken : taken + limit - len(held)]
            held += more
            taken += len(more)
            if len(held) == limit:
                yield first, held
                first, held = first + SEGMENT_SHARES, b""
    if held:
        yield first, held


def others_of(leaves: Sequence[bytes], indices: Sequence[int]) -> list[bytes]:
    """What the leaves at `indices` (rising) lack for the root: the hashes of the largest trees without any of them.

    From the left; the tree over n leaves splits at the largest power of two below n.
    """
    others: list[bytes] = []

    def visit(first: int, end: int, wanted: Sequence[int]) -> None:
        if not wanted:
            others.append(root_of(leaves[first:end]))
        elif end - first > 1:
            split = first + (1 << (end - first - 1).bit_length() - 1)
            left = [index for index in wanted if index < split]
            visit(first, split, left)
            visit(split, end, wanted[len(left) :])

    visit(0, len(leaves), indices)
    return others
