"""What the portal answers with: read once a second for all viewers, off the reactor's thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Generic, TypeVar

import orjson
import structlog
from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from tarazy.accounting.schemes import Schedule
from tarazy.config.law import LawBook
from tarazy.config.settings import ScheduledReport
from tarazy.database.engine import reader
from tarazy.portal import queries, views
from tarazy.portal.documents import documents
from tarazy.portal.events import event
from tarazy.portal.facts import Facts, Live, Present, QuarterSoFar
from tarazy.portal.guard import Fault
from tarazy.portal.payments import Payments
from tarazy.portal.shelf import Shelf
from tarazy.portal.standing import Seat
from tarazy.portal.tokens import endings
from tarazy.reports.attention import Notice, present_notices
from tarazy.reports.content import Pool
from tarazy.reports.reconciled import FloorRule

log = structlog.get_logger()

LISTS = ("attention", "miners", "refusals", "blocks", "distributions", "reports")
SERIES = ("hashrate", "energy")
TOLD = frozenset((*LISTS, *SERIES, "admissions"))
"""Whose versions an open page is told, so that it reads again what changed."""
PUBLIC = {"blocks": "public_blocks", "hashrate": "public_hashrate"}
"""What everybody sees of a section, instead of which who may read sees all; the other sections nobody else sees."""

FRESH_SECONDS = 1.0
"""Younger answers are given again."""
SLOW_SECONDS, STALE_SECONDS = 0.1, 60.0
"""Nobody waits for a read that takes longer than the former, as long as there is an answer younger than the latter."""
REST = 10
"""A read that took a second is not repeated for so many, so that a large pool is not busy showing itself."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All lists of one moment, and a version of each that changes with its content."""

    sections: dict[str, dict[str, Any]]
    versions: dict[str, str]

    def version(self) -> str:
        """Changes with anything in the snapshot."""
        return hashlib.sha256("".join(self.versions.values()).encode()).hexdigest()[:16]

    def overview(self) -> bytes:
        """The overview as JSON, with the versions of the lists."""
        lists = {name: version for name, version in self.versions.items() if name in TOLD}
        return orjson.dumps({**self.sections["overview"], "versions": lists})

    def event(self) -> bytes:
        """The overview as a server-sent event, known by the snapshot's version."""
        return event("overview", self.overview(), self.version())


@dataclass(frozen=True, slots=True)
class Subject:
    """What the portal shows, besides the database."""

    live: Callable[[], Live]
    seat: Seat
    law: Callable[[], LawBook]
    """By the settings as they were read last."""
    reports: Path
    interval_seconds: int
    journals: Path
    terms: Schedule
    """Scheme and fees by date."""
    floor: FloorRule
    """What energy is held against."""
    depths: Callable[[], Mapping[str, int]] = dict
    """Confirmations of the sent transactions by txid, as the wallet last told."""
    schedule: Sequence[ScheduledReport] = ()
    """The reports that the office builds by itself."""
    payments: Payments | None = None
    """Who pays; None where the settings have no payouts."""
    machinery: Callable[[], Mapping[str, Any]] = dict
    """How the journal, the nodes and the gateways are, asked of every process; takes its time."""

    def pool(self) -> Pool:
        """The pool as reports name it."""
        return Pool(self.live().pool_name, self.seat.country, self.seat.server)


class _Rested(Generic[T]):
    """A value read again only after a rest in proportion to what reading it cost."""

    def __init__(self, read: Callable[[Connection, datetime], T]) -> None:
        self._read = read
        self._due = 0.0
        self._value: T | None = None

    def get(self, connection: Connection, now: datetime) -> T:
        begun = monotonic()
        if self._value is None or begun >= self._due:
            self._value = self._read(connection, now)
            ended = monotonic()
            self._due = ended + REST * (ended - begun)
        return self._value


class Reader:
    """Reads the facts of a moment. Runs on one thread at a time."""

    def __init__(self, engine: Engine, subject: Subject) -> None:
        self._engine = reader(engine)
        self._subject = subject
        self.shelf = Shelf(engine)
        self._present = _Rested(self._read_present)
        self._day = _Rested(queries.day_of_work)
        self._quarter = _Rested(self._read_quarter)
        self._attention = _Rested(self._read_attention)
        self._facts: Facts | None = None
        self._works = True

    def snapshot(self, live: Live) -> Snapshot:
        """Everything now. While the database cannot be read, the last facts with `database` reported ill.

        Raises `Fault` when there are none yet.
        """
        try:
            self._facts = self.facts(datetime.now(UTC))
            self._works = True
        except Exception as error:
            if self._works:
                log.error("portal_read_failed", error=repr(error))
            self._works = False
        if self._facts is None:
            raise Fault(503, "not_ready", "the database cannot be read; try again in a few seconds")
        health = {**live.health, "database": live.health.get("database", True) and self._works}
        return make_snapshot(self._facts, live, health, documents(self._subject.reports))

    def facts(self, now: datetime) -> Facts:
        """Read the database as of `now`."""
        with self._engine.begin() as connection:
            return Facts(
                now,
                self._subject.interval_seconds,
                self._present.get(connection, now),
                self._day.get(connection, now),
                self._quarter.get(connection, now),
                self._attention.get(connection, now),
            )

    def _read_present(self, connection: Connection, now: datetime) -> Present:
        registers, subject = self.shelf.present(now), self._subject
        return queries.present(connection, registers, subject.seat, subject.interval_seconds, now, None)

    def _read_quarter(self, connection: Connection, now: datetime) -> QuarterSoFar:
        return queries.quarter_so_far(connection, self.shelf.present(now), self._subject.law(), now)

    def _read_attention(self, connection: Connection, now: datetime) -> list[Notice]:
        subject, registers = self._subject, self.shelf.present(now)
        return present_notices(connection, registers, subject.law(), endings(connection), subject.schedule)


def make_snapshot(facts: Facts, live: Live, health: dict[str, bool], reports: dict[str, Any]) -> Snapshot:
    """The views of `facts`, each with its version."""
    blocks, hash_rate = views.blocks(facts), views.hashrate_series(facts)
    sections = {
        "overview": views.overview(facts, live, health),
        "attention": views.attention(facts),
        "miners": views.miners(facts),
        "refusals": views.refusals(facts),
        "blocks": blocks,
        "distributions": views.distributions(facts),
        "public_blocks": views.without_finders(blocks),
        "hashrate": hash_rate,
        "public_hashrate": {**hash_rate, "parties": []},
        "energy": views.energy(facts),
        "reports": reports,
    }
    versions = {name: _version(section) for name, section in sections.items()}
    versions["admissions"] = _version((facts.day.last_decision, facts.present.admissions))
    return Snapshot(sections, versions)


def _version(told: Any) -> str:
    """Changes with what is told."""
    return hashlib.sha256(orjson.dumps(told)).hexdigest()[:16]


class Snapshots:
    """The newest snapshot, shared: a hundred viewers cost one read."""

    def __init__(self, reactor: Any, engine: Engine, subject: Subject) -> None:
        self._reactor = reactor
        self.reader = Reader(engine, subject)
        self._live = subject.live
        self._threads = ThreadPool(minthreads=0, maxthreads=1, name="portal")
        self._newest: Snapshot | None = None
        self._read_at = 0.0
        self._begun = 0.0
        self._cost = 0.0
        """Seconds that the latest read took."""
        self._waiting: list[Deferred[Snapshot]] = []

    def start(self) -> None:
        """Begin to answer, if that has not begun."""
        if not self._threads.started:
            self._threads.start()

    def stop(self) -> None:
        """End the thread."""
        self._threads.stop()

    def get(self) -> Deferred[Snapshot]:
        """A snapshot not older than `FRESH_SECONDS`, in a large pool than `STALE_SECONDS`; then a newer one is read.

        Cancelling one caller's leaves the others' alone.
        """
        age = monotonic() - self._read_at
        if self._newest and age < FRESH_SECONDS:
            return succeed(self._newest)
        waiter: Deferred[Snapshot] = Deferred()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            self._begun = monotonic()
            maybeDeferred(self._read).addBoth(self._answer)
        if self._newest and self._cost > SLOW_SECONDS and age < STALE_SECONDS and not waiter.called:
            waiter.callback(self._newest)
        return waiter

    def _read(self) -> Deferred[Snapshot]:
        return deferToThreadPool(self._reactor, self._threads, self.reader.snapshot, self._live())

    def _answer(self, result: Snapshot | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        if isinstance(result, Snapshot):
            self._newest, self._read_at = result, monotonic()
            self._cost = self._read_at - self._begun
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(result) if isinstance(result, Snapshot) else waiter.errback(result)
