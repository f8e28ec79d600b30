"""The share: rebuilt, hashed and judged by one function, the same for every connection."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from hashlib import sha256
from struct import Struct
from typing import NamedTuple, TypeAlias

from tarazy.stratum.codec import encode_notify
from tarazy.stratum.difficulty import target_of, weight_of
from tarazy.stratum.job import Job, merkle_root

NTIME_ROLL = 7000
"""Seconds that a miner may run ahead of the job's ntime; cgminer uses them."""
NTIME_FUTURE = 7200
"""Seconds that a block may lie ahead of the clock, by consensus."""


class Verdict(IntEnum):
    """What was said of a share. The numbers are kept in the journal."""

    ACCEPTED = 0
    STALE = 1
    DUPLICATE = 2
    LOW_DIFFICULTY = 3
    UNAUTHORIZED = 4
    TIME_TOO_OLD = 5
    TIME_TOO_NEW = 6
    BAD_VERSION = 7
    RATE_LIMITED = 8


class ShareRecord(NamedTuple):
    """A judged share as the journal keeps it: with its job and name, all that is needed to judge it again."""

    at_us: int
    """Instant of its arrival, Unix microseconds."""
    name: int
    job: int
    extranonce2: bytes
    ntime: int
    nonce: int
    version: int
    """The header's full version."""
    exponent: int
    verdict: int


class Work:
    """A job at one difficulty: shared by all connections to which it was sent so."""

    __slots__ = (
        "coinb1",
        "expires",
        "exponent",
        "generation",
        "job",
        "notify",
        "target",
        "weight",
        "wire_id",
    )

    def __init__(
        self,
        job: Job,
        exponent: int,
        *,
        generation: int = 0,
        expires: float = float("inf"),
        coinb1: bytes | None = None,
        target: int | None = None,
    ) -> None:
        """`generation` counts changes of the previous block; shares after `expires` are too old for credit.

        `coinb1` and `target` are the job's own unless another pool's work is to be judged.
        """
        self.job = job
        self.exponent = exponent
        self.generation = generation
        self.expires = expires
        self.coinb1 = job.coinb1(exponent) if coinb1 is None else coinb1
        self.target = target_of(exponent) if target is None else target
        self.weight = weight_of(exponent)
        self.wire_id = job.wire_id
        self.notify = encode_notify(job, self.coinb1)
        """The notification's bytes: with clean_jobs false, with true."""


Judgement: TypeAlias = tuple[ShareRecord, bytes, bool, bool]
"""The record with its verdict; the header; whether it is a block not found before; whether to keep it."""

_FIELDS = Struct(">8sIII")
HEADER = Struct("<I32s32sIII")
"""Version, previous block, merkle root, ntime, nbits, nonce."""


def header_of(
    coinbase: bytes,
    branch: Sequence[bytes],
    version: int,
    previous_block_hash: bytes,
    ntime: int,
    nbits: int,
    nonce: int,
) -> bytes:
    """The 80-byte header over a coinbase without witness."""
    return HEADER.pack(version, previous_block_hash, merkle_root(coinbase, branch), ntime, nbits, nonce)


def hash_value(header: bytes) -> int:
    """The hash of a header as the integer that is compared with targets."""
    return int.from_bytes(sha256(sha256(header).digest()).digest(), "little")


def judge(
    work: Work,
    extranonce1: bytes,
    fields: bytes,
    mask: int,
    seen: set[bytes],
    name: int,
    at_us: int,
    stale: bool = False,
    fault: Verdict | None = None,
) -> Judgement:
    """Judge a share: first whether it is a block, then all that may be wrong with it, in a fixed order.

    `fields`: extranonce2, ntime, nonce and version bits as on the wire, 20 bytes. `seen` holds what was
    already judged of this work and extranonce1; an accepted share is added, a rejected one never stands in
    the way of a later one. `fault` is what the connection already knows against it. The credit is the work's
    difficulty, never the hash's.
    """
    job = work.job
    extranonce2, ntime, nonce, bits = _FIELDS.unpack(fields)
    version = (job.version & ~mask) | bits
    root = merkle_root(work.coinb1 + extranonce1 + extranonce2 + job.coinbase_end, job.branch)
    header = HEADER.pack(version, job.previous_block_hash, root, ntime, job.nbits, nonce)
    value = int.from_bytes(sha256(sha256(header).digest()).digest(), "little")
    found = value <= job.target and header not in seen
    if found:
        seen.add(header)
    if fault is not None:
        verdict = fault
    elif bits & ~mask:
        verdict = _BAD_VERSION
    elif stale:
        verdict = _STALE
    elif ntime < job.mintime:
        verdict = Verdict.TIME_TOO_OLD
    elif ntime > job.ntime + NTIME_ROLL or (ntime - NTIME_FUTURE) * 1_000_000 > at_us:
        verdict = Verdict.TIME_TOO_NEW
    elif value > work.target:
        verdict = Verdict.LOW_DIFFICULTY
    elif fields in seen:
        verdict = Verdict.DUPLICATE
    else:
        verdict = _ACCEPTED
    keep = found
    if verdict is _ACCEPTED or (verdict is _STALE and value <= work.target and fields not in seen):
        seen.add(fields)
        keep = True
    record = ShareRecord(at_us, name, job.number, extranonce2, ntime, nonce, version, work.exponent, int(verdict))
    return record, header, found, keep


_ACCEPTED = Verdict.ACCEPTED
_STALE = Verdict.STALE
_BAD_VERSION = Verdict.BAD_VERSION
