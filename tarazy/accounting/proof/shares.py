"""The accepted shares of a span, hashed again from the journals: the tree over them, and the work of each party."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

from tarazy.accounting.journal_file import SHARE, JournalReader
from tarazy.accounting.proof.chain import root_of
from tarazy.accounting.proof.sealing import required_job
from tarazy.stratum.difficulty import weight_of
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import ShareRecord, Verdict, header_of

HASH_BYTES = 32
_HEAPS = 64


class ProofError(Exception):
    """A distribution cannot be proven. One line: which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Span:
    """The shares of one gateway that a distribution pays: behind `after`, up to `until`."""

    gateway: int
    journal: Path
    after: int
    until: int


@dataclass(frozen=True, slots=True)
class Hashed:
    """What the shares of a distribution come to."""

    root: bytes
    """Of the tree over the hashes of the accepted ones, sorted."""
    shares: int
    """Accepted ones."""
    records: int
    """All."""
    weights: dict[str, int]
    """By party."""


class SortedHashes:
    """Hashes, more than memory holds, and the root of the tree over them in their order."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._heaps = [self._open.enter_context(TemporaryFile()) for _ in range(_HEAPS)]  # noqa: SIM115
        self.count = 0

    def add(self, hash_: bytes) -> None:
        """Take one."""
        self._heaps[hash_[0] * _HEAPS >> 8].write(hash_)
        self.count += 1

    def root(self) -> bytes:
        """Root over leaves H(0x00 ‖ hash). Raises `ProofError` when a hash came twice. Ends the collection."""
        with self._open:
            return root_of(sha256(b"\x00" + hash_).digest() for hash_ in self._rising())

    def _rising(self) -> Iterator[bytes]:
        for heap in self._heaps:
            heap.seek(0)
            held = heap.read()
            hashes = sorted(held[at : at + HASH_BYTES] for at in range(0, len(held), HASH_BYTES))
            before = b""
            for hash_ in hashes:
                if hash_ == before:
                    raise ProofError(f"the share with the hash {hash_[::-1].hex()} was accepted twice")
                yield hash_
                before = hash_


def header_hash(share: ShareRecord, name: NameRecord, job: Job) -> bytes:
    """The hash of a share's header, internal order."""
    coinbase = job.coinb1(share.exponent) + name.extranonce1 + share.extranonce2 + job.coinbase_end
    header = header_of(
        coinbase, job.branch, share.version, job.previous_block_hash, share.ntime, job.nbits, share.nonce
    )
    return sha256(sha256(header).digest()).digest()


def hash_shares(spans: list[Span], tell: Callable[[int, int], None] = lambda done, of: None) -> Hashed:
    """Hash all accepted shares again. Raises `ProofError` or `JournalError`.

    Costs about 15 µs a share; nothing but the hashes is kept, on disk.
    """
    hashes = SortedHashes()
    weights: Counter[str] = Counter()
    records, of = 0, sum(span.until - span.after for span in spans)
    for span in spans:
        reader = JournalReader(span.journal, span.gateway)
        names: dict[int, NameRecord] = {}
        jobs: dict[int, Job] = {}
        for segment in reader.segments(span.after, span.until):
            records += segment.count
            for share in map(ShareRecord._make, SHARE.iter_unpack(segment.shares)):
                if share.verdict != Verdict.ACCEPTED:
                    continue
                if share.name not in names:
                    names |= reader.names([share.name])
                if share.job not in jobs:
                    jobs[share.job] = required_job(reader, share.job)
                hashes.add(header_hash(share, names[share.name], jobs[share.job]))
                weights[names[share.name].party] += weight_of(share.exponent)
            tell(records, of)
        reader.close()
    return Hashed(hashes.root(), hashes.count, records, dict(weights))
