"""A miner simulated against the real session, board and vardiff: only hashing, sockets and the disk are left out.

Everything is drawn from a seed and nothing asks a clock, so a run can be repeated. Times are seconds from the start.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

import orjson

from tarazy.stratum.board import Board, StratumRules
from tarazy.stratum.difficulty import DIFFICULTY_1_TARGET, LOWEST_EXPONENT, exponent_of
from tarazy.stratum.job import Job, JobNumbers
from tarazy.stratum.ports import Admission, NameRecord, Peer
from tarazy.stratum.server import SLICES
from tarazy.stratum.session import Session
from tarazy.stratum.share import ShareRecord

HASHES = 2**48 / 0xFFFF
"""Expected hashes for a share of difficulty 1."""
REFRESH = 30.0
"""Seconds from one job of the server to the next."""
_JOB = Job(
    number=0,
    height=900_000,
    previous_block_hash=bytes(32),
    version=0x20000000,
    nbits=0x17021A42,
    target=DIFFICULTY_1_TARGET >> 47,
    ntime=1_800_000_000,
    mintime=1_800_000_000,
    coinbase_head=bytes(50),
    coinbase_tail=bytes(9),
    coinbase_end=bytes(100),
    branch=(),
    clean=False,
)


class Firmware(Enum):
    """What a machine does with a new difficulty and the job behind it."""

    NEXT_JOB = "from the next job"
    AT_ONCE = "at once, on old jobs too"
    OLD_JOBS = "old jobs for a while"


LAG = {Firmware.NEXT_JOB: 0.0, Firmware.AT_ONCE: 2.0, Firmware.OLD_JOBS: 10.0}
"""Seconds for which the job before is still worked on."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A miner."""

    hashrate: float
    """Hashes per second."""
    firmware: Firmware = Firmware.NEXT_JOB
    pause: tuple[float, float] = (math.inf, math.inf)
    """From when to when it does nothing, connected all the while."""
    known: bool = False
    """Whether its difficulty is remembered from an earlier connection."""


def ideal_difficulty(hashrate: float, share_interval: float) -> float:
    """The difficulty at which a machine finds one share per interval (seconds)."""
    return hashrate * share_interval / HASHES


class _Outside:
    """Gate, journal and blocks that take everything and keep nothing."""

    def admit(self, name: str, password: str, peer: Peer) -> Admission:
        return Admission(True, "", name, "")

    def open_connection(self) -> int:
        return 1

    def name(self, record: NameRecord) -> int:
        return 1

    def job(self, job: Job) -> None: ...

    def share(self, record: ShareRecord, done: Callable[[bool], None]) -> int:
        raise NotImplementedError("shares are counted by the simulation")

    def found(self, header: bytes, coinbase: bytes, job: Job) -> None: ...

    def recorded(self, block_hash: bytes, sequence: int, name: int) -> None: ...


class Simulation:
    """One machine on one connection."""

    def __init__(
        self, machine: Machine, seed: int, *, start: int, share_interval: float = 6.0, minimum: int = LOWEST_EXPONENT
    ) -> None:
        """`start` and `minimum` are exponents of difficulties."""
        self.machine = machine
        self.now = 0.0
        self.hashes = 0.0
        self.credit = 0.0
        """Difficulties credited so far."""
        self.shares: list[float] = []
        """When each accepted share came."""
        self.rejected = 0
        self.changes: list[tuple[float, int]] = []
        """When which exponent came into force; the first is the start."""
        self._random = random.Random(seed)  # noqa: S311 - a simulation, nothing secret
        outside = _Outside()
        rules = StratumRules(
            gateway=0, version_mask=0, minimum=minimum, maximum=48, start=start, share_interval=share_interval
        )
        self._numbers = JobNumbers(0)
        self.board = Board(rules, outside, outside, outside, self._numbers)
        if machine.known:
            self.board.remember("a", start, 0.0)
        self._next_job = self._random.uniform(0.0, REFRESH)
        self._phase = self._random.random()
        self._slice = self._random.randrange(SLICES)
        self._ticked = -1
        self._announced = 0
        self._job = ""
        self._filter = 0
        """What the machine works on, and the difficulty it asks of a hash before it sends it."""
        self._newer: deque[tuple[float, str, int]] = deque()
        """Jobs it will take up, from when on, at which difficulty."""
        self._publish()
        self.session = Session(self.board, Peer(""), 0.0)
        for method in ("mining.subscribe", "mining.authorize"):
            self._say(method, ["a"])

    def run(self, until: float) -> None:
        """Let time pass."""
        begin, end = self.machine.pause
        while self.now < until:
            resting = begin <= self.now < end
            rate = self.machine.hashrate / HASHES / 2.0**self._filter
            share = math.inf if resting else self.now + self._random.expovariate(rate)
            switch = self._newer[0][0] if self._newer else math.inf
            look = self._next_look()
            turn = end if resting else begin if self.now < begin else math.inf
            at = min(share, switch, look, self._next_job, turn, until)
            if not resting:
                self.hashes += (at - self.now) * self.machine.hashrate
            self.now = at
            if at == share:
                self._share()
            elif at == switch:
                self._take_up()
            elif at == look:
                self._tick()
            elif at == self._next_job:
                self._next_job += REFRESH
                self._publish()
                self.session.send_job(at)
                self._listen()

    @property
    def exponent(self) -> int:
        """In force now."""
        return self.session.assignments.vardiff.exponent

    # The pool.

    def _publish(self) -> None:
        self.board.publish(replace(_JOB, number=self._numbers()), self.now)

    def _next_look(self) -> float:
        """When the server's timer of one second next concerns this connection."""
        second = max(self._ticked + 1, math.ceil(self.now - self._phase))
        if self.session.settled and not self.board.hurried:
            second += (self._slice - second) % SLICES
        return second + self._phase

    def _tick(self) -> None:
        """The server's second."""
        self._ticked = round(self.now - self._phase)
        if not self.session.settled or self._ticked % SLICES == self._slice:
            self.session.tick(self.now)
        hurried, self.board.hurried = self.board.hurried, set()
        if hurried and self.board.reissue():
            self.session.send_job(self.now)
        self._listen()

    # The machine.

    def _say(self, method: str, params: list[str]) -> None:
        self.session.receive(orjson.dumps({"id": 1, "method": method, "params": params}) + b"\n", self.now)
        self._listen()

    def _listen(self) -> None:
        for line in self.session.output().splitlines():
            message = orjson.loads(line)
            if message.get("method") == "mining.ping":
                self._say("pong", [])
            elif message.get("method") == "mining.set_difficulty":
                self._announced = exponent_of(message["params"][0])
                self.changes.append((self.now, self._announced))
                if self.machine.firmware is Firmware.AT_ONCE:
                    self._filter = self._announced
            elif message.get("method") == "mining.notify":
                lag = LAG[self.machine.firmware] if self._job else 0.0
                self._newer.append((self.now + lag, message["params"][0], self._announced))
                if not lag:
                    self._take_up()

    def _take_up(self) -> None:
        _, self._job, exponent = self._newer.popleft()
        self._filter = self._announced if self.machine.firmware is Firmware.AT_ONCE else exponent

    def _share(self) -> None:
        """A hash that the machine takes for a share; the pool does if it meets the difficulty its job was sent with."""
        work = self.session.assignments.find(self._job)
        assert work is not None
        missed = self._filter < work.exponent and self._random.random() >= 2.0 ** (self._filter - work.exponent)
        if missed or self.session.assignments.is_stale(work, self.now):
            self.rejected += 1
            return
        self.credit += 2.0**work.exponent
        self.shares.append(self.now)
        self.session.count_share(work.exponent, self.now)
