"""The board: the job of the moment, in the form each connection gets it, and what all connections share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tarazy.stratum.addresses import Addresses
from tarazy.stratum.agents import DEVICES, OTHER_DEVICE
from tarazy.stratum.difficulty import exponent_below
from tarazy.stratum.extranonces import Extranonces
from tarazy.stratum.job import Job
from tarazy.stratum.limits import Hit, Limits
from tarazy.stratum.load import Load
from tarazy.stratum.ports import Admission, Blocks, Gate, Journal, Talker
from tarazy.stratum.rejections import Rejections
from tarazy.stratum.share import Work
from tarazy.stratum.vardiff import DifficultyLimits, DifficultyRules

JOB_LIFE = 600.0
"""Seconds for which shares of a job are credited while its previous block is current."""
MEMORY_LIFE = 86_400.0
MEMORY_SIZE = 100_000
"""Names whose last difficulty is remembered."""

REASONS = (
    "stale",
    "duplicate",
    "low-difficulty",
    "unauthorized",
    "time-too-old",
    "time-too-new",
    "bad-version",
    "unknown-job",
    "bad-params",
    "bad-extranonce2",
    "not-subscribed",
    "not-ready",
    "rate-limited",
)
"""Why a submit is rejected: the words of the answers and of the counters."""


@dataclass(slots=True)
class Counters:
    """What happened since the start. Plain numbers, read by whoever wants them."""

    connections: int = 0
    ready: int = 0
    """Connections, now: all, and those with an admitted name."""
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    weight: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("accepted", *REASONS), 0))
    """Weight of the judged shares by result."""
    devices: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*DEVICES.values(), OTHER_DEVICE), 0))
    """Ready connections, now, by the kind of device they say they are."""
    refused: dict[str, int] = field(default_factory=dict)
    """Refused admissions by their first reason."""
    hits: dict[Hit, int] = field(default_factory=lambda: dict.fromkeys(Hit, 0))
    """Limits that peers reached."""


@dataclass(frozen=True, slots=True)
class StratumRules(DifficultyRules):
    """The settings that connections follow."""

    gateway: int
    """First byte of every extranonce1."""
    version_mask: int
    limits: Limits = field(default_factory=Limits)


def _require_outside(mask: int, job: Job) -> None:
    if job.version & mask:
        raise ValueError(f"job version {job.version:08x} has bits inside the mask {mask:08x}")


def _asleep() -> None:
    """No server to wake."""


class Board:
    """Shared by all connections of a server. Times are the reactor's, in seconds."""

    def __init__(
        self,
        rules: StratumRules,
        gate: Gate,
        journal: Journal,
        blocks: Blocks,
        numbers: Callable[[], int],
    ) -> None:
        """`numbers` is the source of job numbers, the same that numbers the jobs published."""
        self.rules = rules
        self.gate = gate
        self.journal = journal
        self.blocks = blocks
        self.counters = Counters()
        self.rejections = Rejections()
        self.addresses = Addresses(rules.limits)
        self.limits = DifficultyLimits(rules)
        self.utc_offset = 0.0
        """Unix time minus the reactor's."""
        self.handing_out = True
        """False after the journal failed: no work that could not be booked."""
        self.generation = 0
        """Changes of the previous block."""
        self.talkative: list[Talker] = []
        """Sessions that have something to send, outside of a call to them."""
        self.hurried: set[Talker] = set()
        """Sessions whose change of difficulty should not wait for the next job."""
        self.extranonces = Extranonces(rules.gateway, journal.open_connection)
        self.wake: Callable[[], None] = _asleep
        """Called when `talkative` is no longer empty."""
        self.previous_block_hash: bytes | None = None
        """That of the jobs of the present generation."""
        self.job_id: str | None = None
        """The job of the moment, as miners know it."""
        self._numbers = numbers
        self._job: Job | None = None
        self._load = Load()
        self._works: dict[int, Work] = {}
        self._expires = 0.0
        self._memory: dict[str, tuple[int, float]] = {}

    def publish(self, job: Job, now: float) -> None:
        """Make `job` the one that is handed out from now on.

        Raises ValueError if its version has a bit inside the mask: miners differ in what they do with it.
        """
        _require_outside(self.rules.version_mask, job)
        if job.previous_block_hash != self.previous_block_hash:
            self.generation += 1
            self.previous_block_hash = job.previous_block_hash
        self.limits.ceiling = exponent_below(job.target)
        self._install(job, now + JOB_LIFE)

    def go_on(self, previous_block_hash: bytes | None, generation: int) -> None:
        """Take over from an earlier process, before the first job: jobs on this block are of that generation."""
        self.previous_block_hash = previous_block_hash
        self.generation = generation

    def reissue(self) -> bool:
        """Give the present job, if there is one, a new number: for those that cannot wait for the next."""
        if self._job is None or not self.handing_out:
            return False
        self._install(replace(self._job, number=self._numbers(), clean=False), self._expires)
        return True

    def follow(self, rules: StratumRules) -> None:
        """Take other rules for connections made from now on; mask and highest difficulty hold for all.

        Raises ValueError if the present job's version has a bit inside the mask; then nothing changes.
        """
        if self._job is not None:
            _require_outside(rules.version_mask, self._job)
        self.rules = self.limits.rules = rules
        self.addresses.limits = rules.limits

    def _install(self, job: Job, expires: float) -> None:
        self._job = job
        self.job_id = job.wire_id
        self._expires = expires
        self._works = {}
        self.journal.job(job)

    def work(self, exponent: int) -> Work:
        """The job of the moment, which there must be, at difficulty 2**exponent."""
        work = self._works.get(exponent)
        if work is None:
            assert self._job is not None
            work = Work(self._job, exponent, generation=self.generation, expires=self._expires)
            self._works[exponent] = work
        return work

    def count_refusal(self, admission: Admission) -> None:
        """Count a refused name."""
        reason = admission.reasons[0] if admission.reasons else "refused"
        refused = self.counters.refused
        refused[reason] = refused.get(reason, 0) + 1

    def hit(self, hit: Hit) -> None:
        """Count a limit that was reached."""
        self.counters.hits[hit] += 1

    def count_rejection(self, reason: str, weight: int) -> None:
        """Count a rejected share."""
        self.counters.rejected[reason] += 1
        self.counters.weight[reason] += weight

    def behind(self, seconds: float, now: float) -> bool:
        """Told every second how late the server is. True if the share interval changed, with all next jobs."""
        changed = self._load.observe(seconds, now)
        self.limits.doublings = self._load.doublings
        return changed

    def speak(self, session: Talker) -> None:
        """Note that a session has something to send, and wake the server for the first of them."""
        session.talking = True
        self.talkative.append(session)
        if len(self.talkative) == 1:
            self.wake()

    def unix_us(self, now: float) -> int:
        """The reactor's `now` in Unix microseconds."""
        return int((now + self.utc_offset) * 1_000_000)

    def remember(self, name: str, exponent: int, now: float) -> None:
        """Keep the difficulty a name was last served at."""
        self._memory.pop(name, None)
        if len(self._memory) >= MEMORY_SIZE:
            del self._memory[next(iter(self._memory))]
        self._memory[name] = (exponent, now)

    def recall(self, name: str, now: float) -> int | None:
        """The difficulty a name was served at within the last day."""
        exponent, at = self._memory.get(name, (None, 0.0))
        return exponent if now - at < MEMORY_LIFE else None
