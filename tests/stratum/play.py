"""A model of the pool as its peers see it, simple enough to be right by reading: for `test_state_machine`.

It knows what was sent over the wire and what the tests did, never what the code under test keeps.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from tarazy.stratum.difficulty import exponent_of, target_of, weight_of
from tarazy.stratum.miner import MinerJob
from tarazy.stratum.share import Verdict, hash_value, header_of
from tests.stratum.house import MASK, Client, Pool

JOBS_KEPT = 40
BLOCKS_KEPT = 2
STALE = (21, "stale")


@dataclass(eq=False)
class Sent:
    """A job as it was sent to one peer."""

    job: MinerJob
    exponent: int
    block: int
    """How many changes of the previous block came before it."""
    expires: float
    target: int
    """A block's hash must not exceed it."""
    mask: int
    credited: set[tuple[str, ...]] = field(default_factory=set)
    """Shares that bring no more credit, nor another record."""
    solved: set[bytes] = field(default_factory=set)


@dataclass(eq=False)
class Answer:
    """What a request must be answered: a result, the code of an error, or neither yet."""

    ident: int
    result: Any = None
    code: int | None = None
    word: str = ""
    share: Share | None = None
    """Set until its commit ended."""


@dataclass(eq=False)
class Share:
    """An accepted share."""

    login: str
    sent: Sent
    key: tuple[str, ...]
    header: bytes
    block: bool


class Peer:
    """One connection: the real session behind a `Client`, and what must be true of it."""

    def __init__(self, pool: Pool) -> None:
        self.client = Client(pool)
        self.session = self.client.session
        self.pool = pool
        self.subscribed = False
        self.ready = False
        self.names: dict[str, bool] = {}
        """Names that were admitted here, and whether they are now."""
        self.mask = 0
        self.jobs: OrderedDict[str, Sent] = OrderedDict()
        self.block = -1
        """That of the newest job; none was sent yet below 0."""
        self.exponent: int | None = None
        self.owed: list[Answer] = []
        self.requests = 0
        self.lines = 0
        self.refusals = 0
        self.malformed = 0

    @property
    def working(self) -> bool:
        """Whether it must be given jobs."""
        return self.ready and any(self.names.values())

    @property
    def newest(self) -> Sent | None:
        """The job it was sent last."""
        return next(reversed(self.jobs.values()), None)

    def perhaps_ready(self) -> None:
        """A request or a second passes: who has subscribed and has an admitted name is ready, and stays it."""
        self.ready = self.ready or (self.subscribed and any(self.names.values()))

    def forget_jobs(self) -> None:
        """Forty jobs, over two changes of the block."""
        while len(self.jobs) > JOBS_KEPT or next(iter(self.jobs.values())).block < self.block - BLOCKS_KEPT:
            self.jobs.popitem(last=False)


class Model:
    """All peers, the jobs that were published, and what must have been counted."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.peers: list[Peer] = []
        self.blocks = 0
        self.expires = 0.0
        self.target = 0
        self.withdrawn: set[str] = set()
        self.waiting: list[Share] = []
        self.credited: list[tuple[str, int, int]] = []
        """Login, job and exponent of every share that was given to the journal with credit, in order."""
        self.accepted = 0
        self.weight = 0
        self.rejected: Counter[str] = Counter()
        self.solved = 0
        self.stale = 0
        """Stale shares that are recorded: each once."""

    def share_answer(self, peer: Peer, ident: int, login: str, sent: Sent | None, proof: list[str]) -> Answer:
        """What a submit of good shape must be answered, and everything that follows from it."""
        if not peer.subscribed:
            return self._refuse(ident, 25, "not-subscribed")
        if not peer.ready:
            return self._refuse(ident, 24, "unauthorized")
        if sent is None or sent.job.job_id not in peer.jobs:
            return self._refuse(ident, 21, "unknown-job")
        header, value = rebuilt(peer, sent, proof)
        solves = value <= sent.target and header not in sent.solved
        if solves:
            sent.solved.add(header)
            self.solved += 1
        refusal = self._fault(peer, login, sent, proof, value)
        key = tuple(proof[1:])
        if refusal is not None:
            if refusal == STALE:
                new = value <= target_of(sent.exponent) and key not in sent.credited
                if new:
                    sent.credited.add(key)
                self.stale += new or solves
            return self._refuse(ident, *refusal)
        sent.credited.add(key)
        share = Share(login, sent, key, header, solves)
        self.waiting.append(share)
        self.credited.append((login, int(sent.job.job_id, 16), sent.exponent))
        return Answer(ident, share=share)

    def _fault(self, peer: Peer, login: str, sent: Sent, proof: list[str], value: int) -> tuple[int, str] | None:
        bits = int(proof[4], 16)
        if not peer.names.get(login):
            return 24, "unauthorized"
        if bits & ~peer.mask and bits & ~sent.mask:
            return 20, "bad-version"
        if sent.block != peer.block or self.pool.now > sent.expires:
            return STALE
        if value > target_of(sent.exponent):
            return 23, "low-difficulty"
        if tuple(proof[1:]) in sent.credited:
            return 22, "duplicate"
        return None

    def _refuse(self, ident: int, code: int, word: str) -> Answer:
        self.rejected[word] += 1
        return Answer(ident, code=code, word=word)

    def end_commit(self, committed: bool) -> None:
        """All that waits is on disk, or lost."""
        for share in self.waiting:
            if committed:
                self.accepted += 1
                self.weight += weight_of(share.sent.exponent)
            else:
                self.rejected["not-ready"] += 1
                share.sent.credited.discard(share.key)
                share.sent.solved.discard(share.header)
        for peer in self.peers:
            for answer in peer.owed:
                if answer.share in self.waiting:
                    answer.share = None
                    answer.result, answer.code, answer.word = (True, None, "") if committed else (None, 20, "not-ready")
        self.waiting = []

    # What was heard, against what must have been said.

    def listen(self, peer: Peer) -> int:
        """Check everything that a peer is sent now; the number of jobs among it."""
        jobs = 0
        announced = False
        for message in peer.client.hear():
            method = message.get("method")
            assert not announced or method == "mining.notify", "a difficulty stands directly before a job"
            announced = method == "mining.set_difficulty"
            if method is None:
                self._answered(peer, message)
            else:
                assert message["id"] is None or method == "mining.ping"
                assert peer.ready, f"{method} before ready"
                if announced:
                    exponent = exponent_of(message["params"][0])
                    assert exponent != peer.exponent
                    peer.exponent = exponent
                elif method == "mining.notify":
                    jobs += 1
                    self._given(peer, MinerJob.of(message["params"]))
                else:
                    peer.client.send(b'{"id":1,"result":"pong","error":null}\n')
        assert not announced
        must_be_out = len(list(takewhile(lambda answer: answer.share is None, peer.owed)))
        assert not must_be_out or peer.session.ended, f"{peer.owed[:must_be_out]} are owed"
        return jobs

    def _answered(self, peer: Peer, message: dict[str, Any]) -> None:
        if peer.session.ended and not peer.owed:
            assert message["id"] is None
            return
        answer = peer.owed.pop(0)
        assert answer.share is None, "answered before the commit"
        assert message["id"] == answer.ident
        if answer.code is None:
            assert message["error"] is None, message
            assert answer.result is None or message["result"] == answer.result
            assert message["result"] is not None
        else:
            assert message["result"] is None
            assert message["error"][0] == answer.code, (message, answer)
            assert message["error"][1].startswith(answer.word)

    def _given(self, peer: Peer, job: MinerJob) -> None:
        assert peer.working, "a job without an admitted name"
        assert job.job_id not in peer.jobs
        assert not job.version & MASK
        assert job.clean == (peer.block != self.blocks)
        assert peer.exponent is not None
        peer.block = self.blocks
        peer.jobs[job.job_id] = Sent(job, peer.exponent, self.blocks, self.expires, self.target, peer.mask)
        peer.forget_jobs()

    def check(self) -> None:
        """What must hold between any two steps."""
        board, journal = self.pool.board, self.pool.journal
        records = [record for record in journal.shares if record.verdict == 0]
        assert len(records) == len(self.credited)
        for record, (login, job, exponent) in zip(records[-20:], self.credited[-20:], strict=True):
            name = journal.names[record.name - 1]
            assert (f"{name.account}.{name.worker}", record.job, record.exponent) == (login, job, exponent)
            assert name.party == f"party-{name.account}"
        assert sum(record.verdict == Verdict.STALE for record in journal.shares) == self.stale
        counters = board.counters
        assert counters.accepted == self.accepted
        assert counters.weight["accepted"] == self.weight
        assert {word: count for word, count in counters.rejected.items() if count} == dict(self.rejected)
        assert counters.ready == sum(peer.ready for peer in self.peers)
        assert sum(event[0] == "found" for event in self.pool.blocks.events) == self.solved
        for peer in self.peers:
            assignments = peer.session.assignments
            assert len(assignments._works) == len(peer.jobs)
            assert len(assignments._seen) <= len(peer.jobs)
            assert len(peer.session.waiting) <= 70
        known = {peer.session.extranonce1 for peer in self.peers if peer.session.extranonce1}
        assert board.extranonces._living == known
        assert len(known) == sum(bool(peer.session.extranonce1) for peer in self.peers)
        assert board.hurried <= {peer.session for peer in self.peers}


def rebuilt(peer: Peer, sent: Sent, proof: list[str]) -> tuple[bytes, int]:
    """Header and hash of a share, from what was sent."""
    job = sent.job
    coinbase = job.coinb1 + peer.session.extranonce1 + bytes.fromhex(proof[1]) + job.coinb2
    version = job.version | int(proof[4], 16)
    ntime, nonce = int(proof[2], 16), int(proof[3], 16)
    header = header_of(coinbase, job.branch, version, job.previous_block_hash, ntime, job.nbits, nonce)
    return header, hash_value(header)


def proofs(peer: Peer, sent: Sent, extranonce2: int, bits: int) -> Iterator[tuple[list[str], int]]:
    """Proofs with one nonce after the other, and their hashes."""
    for nonce in range(1 << 16):
        proof = [sent.job.job_id, f"{extranonce2:016x}", f"{sent.job.ntime:08x}", f"{nonce:08x}", f"{bits:08x}"]
        yield proof, rebuilt(peer, sent, proof)[1]
