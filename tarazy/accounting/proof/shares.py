"""The accepted shares of a span, hashed again from the journals: the tree over them, and the work of each party."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

from tarazy.accounting.journal_file import (
    CURE,
    SHARE,
    JournalError,
    Segment,
    reading,
    required_job,
    required_names,
)
from tarazy.accounting.proof.chain import root_of
from tarazy.stratum.difficulty import HIGHEST_EXPONENT, LOWEST_EXPONENT, weight_of
from tarazy.stratum.job import Job
from tarazy.stratum.ports import NameRecord
from tarazy.stratum.share import HEADER, ShareRecord, Verdict

HASH_BYTES = 32
_HEAPS = 64
_AT_ONCE = 4_096


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, hashes: Sequence[bytes]) -> None:
        """Take some. Raises OSError."""
        for hash_ in hashes:
            self._heaps[hash_[0] * _HEAPS >> 8].write(hash_)
        self.count += len(hashes)

    def root(self) -> bytes:
        """Root over leaves H(0x00 ‖ hash). Raises `ProofError` when a hash came twice."""
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


def header_hashes(shares: Iterable[ShareRecord], names: Mapping[int, NameRecord], job: Job) -> list[bytes]:
    """The hashes of the headers of a job's shares, in their order, internal byte order.

    A level of the branch for all of them after the other, which is quicker than share by share.
    """
    begun: dict[tuple[int, int], bytes] = {}
    coinbases, ends = [], []
    for _, name, _, extranonce2, ntime, nonce, version, exponent, _ in shares:
        begin = begun.get((name, exponent))
        if begin is None:
            begin = begun[name, exponent] = job.coinb1(exponent) + names[name].extranonce1
        coinbases.append(begin + extranonce2 + job.coinbase_end)
        ends.append((version, ntime, nonce))
    roots = [sha256(sha256(coinbase).digest()).digest() for coinbase in coinbases]
    for element in job.branch:
        roots = [sha256(sha256(root + element).digest()).digest() for root in roots]
    previous, nbits, pack = job.previous_block_hash, job.nbits, HEADER.pack
    return [
        sha256(sha256(pack(version, previous, root, ntime, nbits, nonce)).digest()).digest()
        for root, (version, ntime, nonce) in zip(roots, ends, strict=True)
    ]


def hash_shares(spans: list[Span], tell: Callable[[int, int], None] = lambda done, of: None) -> Hashed:
    """Hash all accepted shares again. Raises `ProofError`, `JournalError` or OSError.

    Costs about 15 µs a share; nothing but the hashes is kept, on disk.
    """
    weights: Counter[str] = Counter()
    records, of = 0, sum(span.until - span.after for span in spans)
    with SortedHashes() as hashes:
        for span in (each for each in spans if each.after < each.until):
            with reading(span.journal, span.gateway) as reader:
                names: dict[int, NameRecord] = {}
                jobs: dict[int, Job] = {}
                for number, shares in _by_job(reader.segments(span.after, span.until)):
                    accepted = [share for share in shares if share.verdict == Verdict.ACCEPTED]
                    done = {(share.name, share.exponent) for share in accepted}
                    names |= required_names(reader, {name for name, _ in done} - names.keys())
                    if number not in jobs:
                        jobs[number] = required_job(reader, number)
                    if any(not LOWEST_EXPONENT <= exponent <= HIGHEST_EXPONENT for _, exponent in done):
                        raise JournalError(f"{span.journal}: damaged: a share of no difficulty; {CURE}")
                    hashes.add(header_hashes(accepted, names, jobs[number]))
                    for share in accepted:
                        weights[names[share.name].party] += weight_of(share.exponent)
                    records += len(shares)
                    tell(records, of)
        return Hashed(hashes.root(), hashes.count, records, dict(weights))


def hash_rounds(rounds: Sequence[list[Span]]) -> list[Hashed | Exception]:
    """Each round by itself, as `hash_shares` does it: what it comes to, or what is wrong with it."""
    results: list[Hashed | Exception] = []
    for spans in rounds:
        try:
            results.append(hash_shares(spans))
        except (ProofError, JournalError, OSError) as error:
            results.append(error)
    return results


def _by_job(segments: Iterable[Segment]) -> Iterator[tuple[int, list[ShareRecord]]]:
    """The shares by their job, some thousands at a time."""
    held: defaultdict[int, list[ShareRecord]] = defaultdict(list)
    count = 0
    for segment in segments:
        for share in map(ShareRecord._make, SHARE.iter_unpack(segment.shares)):
            held[share.job].append(share)
        count += segment.count
        if count >= _AT_ONCE:
            yield from held.items()
            held.clear()
            count = 0
    yield from held.items()
